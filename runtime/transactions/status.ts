/**
 * The states of global transactions and their branches, by Seata's names; an index is the number on Seata's wire
 * (`io.seata.core.model.GlobalStatus` and `BranchStatus`, 2.0).
 */
export const globalStatuses = [
  "UnKnown",
  "Begin",
  "Committing",
  "CommitRetrying",
  "Rollbacking",
  "RollbackRetrying",
  "TimeoutRollbacking",
  "TimeoutRollbackRetrying",
  "AsyncCommitting",
  "Committed",
  "CommitFailed",
  "Rollbacked",
  "RollbackFailed",
  "TimeoutRollbacked",
  "TimeoutRollbackFailed",
  "Finished",
  "CommitRetryTimeout",
  "RollbackRetryTimeout",
] as const;

/** `Finished` says only that the coordinator knows no such transaction (any more): it is no outcome. */
export type GlobalStatus = (typeof globalStatuses)[number];

export const branchStatuses = [
  "Unknown",
  "Registered",
  "PhaseOne_Done",
  "PhaseOne_Failed",
  "PhaseOne_Timeout",
  "PhaseTwo_Committed",
  "PhaseTwo_CommitFailed_Retryable",
  "PhaseTwo_CommitFailed_Unretryable",
  "PhaseTwo_Rollbacked",
  "PhaseTwo_RollbackFailed_Retryable",
  "PhaseTwo_RollbackFailed_Unretryable",
  "PhaseTwo_CommitFailed_XAER_NOTA_Retryable",
  "PhaseTwo_RollbackFailed_XAER_NOTA_Retryable",
  "PhaseOne_RDONLY",
] as const;

export type BranchStatus = (typeof branchStatuses)[number];

export const branchTypes = ["AT", "TCC", "SAGA", "XA"] as const;

/** How a branch does its part; the index is the number on Seata's wire. */
export type BranchType = (typeof branchTypes)[number];

export type StatusFamily = "commit" | "rollback" | "timeout";

const families: Readonly<Record<StatusFamily, ReadonlySet<GlobalStatus>>> = {
  commit: new Set([
    "Committing",
    "CommitRetrying",
    "AsyncCommitting",
    "Committed",
    "CommitFailed",
    "CommitRetryTimeout",
  ]),
  rollback: new Set(["Rollbacking", "RollbackRetrying", "Rollbacked", "RollbackFailed", "RollbackRetryTimeout"]),
  timeout: new Set(["TimeoutRollbacking", "TimeoutRollbackRetrying", "TimeoutRollbacked", "TimeoutRollbackFailed"]),
};

/** What has been decided about a transaction in this state; undefined while nothing has, or where it can't be known. */
export function familyOf(status: GlobalStatus): StatusFamily | undefined {
  if (families.commit.has(status)) return "commit";
  if (families.rollback.has(status)) return "rollback";
  return families.timeout.has(status) ? "timeout" : undefined;
}

/** By state, those that may follow it. What isn't here is an end. */
const followers: Partial<Record<GlobalStatus, readonly GlobalStatus[]>> = {
  Begin: ["Committing", "AsyncCommitting", "Rollbacking", "TimeoutRollbacking"],
  AsyncCommitting: ["Committed"],
  Committing: ["Committed", "CommitRetrying", "CommitFailed"],
  CommitRetrying: ["Committed", "CommitFailed", "CommitRetryTimeout"],
  Rollbacking: ["Rollbacked", "RollbackRetrying", "RollbackFailed"],
  RollbackRetrying: ["Rollbacked", "RollbackFailed", "RollbackRetryTimeout"],
  TimeoutRollbacking: ["TimeoutRollbacked", "TimeoutRollbackRetrying", "TimeoutRollbackFailed"],
  TimeoutRollbackRetrying: ["TimeoutRollbacked", "TimeoutRollbackFailed", "RollbackRetryTimeout"],
};

/** Whether a coordinator may take a transaction from one state to another. A decision is never taken back. */
export function isAllowed(from: GlobalStatus, to: GlobalStatus): boolean {
  return followers[from]?.includes(to) ?? false;
}

/** Nothing happens to the transaction any more, of the coordinator's own accord. */
export function isEnded(status: GlobalStatus): boolean {
  return followers[status] === undefined && status !== "UnKnown";
}

/** An end that only a person can mend: a branch can't be finished, and the coordinator has stopped trying. */
export function needsRepair(status: GlobalStatus): boolean {
  return isEnded(status) && (status.endsWith("Failed") || status.endsWith("RetryTimeout"));
}
