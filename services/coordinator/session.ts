import { isRecord } from "../../runtime/whole-file.ts";
import { branchStatuses, branchTypes, globalStatuses } from "../../runtime/transactions/status.ts";
import type { BranchStatus, BranchType, GlobalStatus } from "../../runtime/transactions/status.ts";

/** A global transaction as the coordinator knows it. */
export interface GlobalSession {
  readonly xid: string;
  readonly name: string;
  readonly application: string;
  readonly timeoutMs: number;
  /** On the wall clock, because it outlives this process. */
  readonly beganMs: number;
  status: GlobalStatus;
  /** In the order of registration; finished ones go. */
  readonly branches: BranchSession[];
}

export interface BranchSession {
  readonly branchId: string;
  readonly branchType: BranchType;
  readonly resourceId: string;
  readonly lockKey: string;
  /** Who registered it: phase two goes there first. */
  readonly application: string;
  readonly client: string;
  /** See `BranchRegistration`; "" or absent: none. */
  readonly key?: string;
  status: BranchStatus;
  applicationData: string;
}

/** Whether a value from the disk is a session, which has its branches elsewhere. */
export function isSession(value: unknown): value is Omit<GlobalSession, "branches"> {
  return (
    isRecord(value) &&
    hasTexts(value, ["xid", "name", "application"]) &&
    typeof value["timeoutMs"] === "number" &&
    typeof value["beganMs"] === "number" &&
    includes(globalStatuses, value["status"]) &&
    value["branches"] === undefined
  );
}

/** Whether a value from the disk is a branch. */
export function isBranch(value: unknown): value is BranchSession {
  return (
    isRecord(value) &&
    hasTexts(value, ["branchId", "resourceId", "lockKey", "application", "client", "applicationData"]) &&
    (value["key"] === undefined || typeof value["key"] === "string") &&
    includes(branchTypes, value["branchType"]) &&
    includes(branchStatuses, value["status"])
  );
}

const hasTexts = (value: Readonly<Record<string, unknown>>, keys: readonly string[]): boolean =>
  keys.every((key) => typeof value[key] === "string");

const includes = (known: readonly string[], value: unknown): boolean =>
  typeof value === "string" && known.includes(value);
