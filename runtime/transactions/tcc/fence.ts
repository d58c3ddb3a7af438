import type { LocalTransaction, Row, Table } from "../../ports/data-source.ts";
import { retentionMs, type Remains } from "../cleaner.ts";
import { finished, retryable, unretryable, type Decision } from "../phase-two.ts";
import type { StepOutcome } from "../../telemetry/events.ts";
import type { BranchStatus } from "../status.ts";

/** Seata's `tcc_fence_log`: what became of each branch, in the same local transaction as what the business changed. */
export const fenceTable: Table = {
  name: "tcc_fence_log",
  columns: {
    ...{ xid: "text", branch_id: "text", action_name: "text", status: "integer" },
    ...{ gmt_create: "integer", gmt_modified: "integer" },
  },
  key: ["xid", "branch_id"],
};

/** A confirm or cancel: what the coordinator is told, and what came of it here. */
export interface FencedEnd {
  readonly status: BranchStatus;
  readonly outcome: Exclude<StepOutcome, "refused">;
}

/** Seata's numbers. */
export const fenceStatus = { tried: 1, committed: 2, rollbacked: 3, suspended: 4 } as const;

/** A branch, and the time on the wall clock. */
export interface FencedBranch {
  readonly xid: string;
  readonly branchId: string;
  readonly action: string;
  readonly nowMs: number;
}

/**
 * Whether a try may do its work: `done` once it has; `again`: it was done before; `refused`: its cancel has been here already, and what it
 * did would stay for ever (anti-suspension). A row stays whatever comes, so a second late try is refused like the first
 * (seata's own fence deletes it: governance R9).
 */
export async function fenceTry(local: LocalTransaction, branch: FencedBranch): Promise<"done" | "again" | "refused"> {
  const row = rowOf(branch, fenceStatus.tried);
  if (await local.insert(fenceTable, row)) return "done";
  const status = (await local.lock(fenceTable, row))?.["status"];
  return status === fenceStatus.tried || status === fenceStatus.committed ? "again" : "refused";
}

/**
 * Lets `work` do a branch's confirm or cancel exactly once. A confirm without a try is tried again; a cancel without one succeeds and
 * leaves `suspended` behind (empty rollback). What was done is done: again is a success. A confirm after a cancel, or the reverse, can
 * never be.
 */
export async function fenceFinish(
  local: LocalTransaction,
  branch: FencedBranch,
  decision: Decision,
  work: () => Promise<void>,
): Promise<FencedEnd> {
  const row = await local.lock(fenceTable, rowOf(branch, fenceStatus.tried));
  if (row === undefined) {
    if (decision === "commit") return { status: retryable.commit, outcome: "early" };
    const isEmpty = await local.insert(fenceTable, rowOf(branch, fenceStatus.suspended));
    // Whoever was adding the row at this moment was first: what is to be done depends on what it is.
    return isEmpty ? { status: finished.rollback, outcome: "empty" } : fenceFinish(local, branch, decision, work);
  }
  const { committed, rollbacked, suspended, tried } = fenceStatus;
  const status = row["status"];
  const isDone = decision === "commit" ? status === committed : status === rollbacked || status === suspended;
  if (isDone) return { status: finished[decision], outcome: "again" };
  if (status !== tried) return { status: unretryable[decision], outcome: "impossible" };
  const next = decision === "commit" ? committed : rollbacked;
  await local.update(fenceTable, { ...row, status: next, gmt_modified: branch.nowMs });
  await work();
  return { status: finished[decision], outcome: "done" };
}

/**
 * Those that are over. One that only tried is needed, however old it is. Seata cleans each table by its `gmt_modified`, a day later
 * (`DefaultCommonFenceHandler`).
 */
export const oldFences: Remains = {
  table: fenceTable,
  retentionMs: retentionMs.fence,
  finished: (beforeMs) => ({
    among: { status: [fenceStatus.committed, fenceStatus.rollbacked, fenceStatus.suspended] },
    atMost: { gmt_modified: beforeMs },
  }),
};

function rowOf({ xid, branchId, action, nowMs }: FencedBranch, status: number): Row {
  return { xid, branch_id: branchId, action_name: action, status, gmt_create: nowMs, gmt_modified: nowMs };
}
