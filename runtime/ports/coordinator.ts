import type { BranchStatus, BranchType, GlobalStatus } from "../transactions/status.ts";

/**
 * The transaction coordinator (TC) as its clients see it, in Seata's terms: a transaction manager (TM) begins and ends global
 * transactions, a resource manager (RM) takes part in them with branches. Each method rejects with a `TransactionError`.
 */
export interface Coordinator {
  /** Begins a global transaction and answers its xid. The coordinator rolls it back by itself after `timeoutMs` (Seata: 60 000). */
  begin(options: { readonly name: string; readonly timeoutMs: number }): Promise<string>;
  /**
   * Decides for commit, finishes the branches, and answers how far that came: `Committed`; `CommitRetrying` while the coordinator goes on
   * trying; `CommitFailed` when a branch never will; `Finished` for a transaction that it doesn't know, `Timeout…` when it was too
   * late: a caller looks at what it gets. May be asked again.
   */
  commit(xid: string): Promise<GlobalStatus>;
  /** As `commit`, for rollback. */
  rollback(xid: string): Promise<GlobalStatus>;
  /** `Finished` for a transaction that it doesn't know (any more). */
  status(xid: string): Promise<GlobalStatus>;
  /**
   * Adds a branch to a transaction that is under way, and takes its global locks, all or none; answers the branch's id, a decimal number
   * of up to 19 digits. Rejects `LockKeyConflict` at once when another transaction holds one: who wants to wait asks again.
   */
  registerBranch(branch: BranchRegistration): Promise<string>;
  /** Tells how a branch's first phase went. `applicationData` replaces what was registered: pass it again or it is lost. */
  reportBranch(report: BranchReport): Promise<void>;
  /** Whether this transaction could take these locks now. */
  lockQuery(query: Omit<BranchRegistration, "applicationData" | "key">): Promise<boolean>;
  /**
   * Answers for a resource from now on, also after a lost connection: phase two of its branches comes to `manager`. Resolves when the
   * coordinator knows.
   */
  registerResource(resourceId: string, manager: ResourceManager): Promise<void>;
  /** Lets go of everything; what is under way rejects `Closed`. */
  close(): Promise<void>;
}

export interface BranchRegistration {
  readonly xid: string;
  readonly branchType: BranchType;
  /** A database's URL without parameters for AT, an action's name for TCC. */
  readonly resourceId: string;
  /** "table:pk1,pk2;table2:pk3" (`lock-key.ts`); "" for none. Only AT branches take locks. */
  readonly lockKey: string;
  /** Comes back in phase two. */
  readonly applicationData: string;
  /**
   * Names the registration within its transaction: asked for twice, it is one branch, for a request that may itself come twice. Default: a
   * name of its own for each call, which guards against a message that is doubled on its way. Seata's protocol knows no names: there each
   * is a branch.
   */
  readonly key?: string | undefined;
}

export interface BranchReport {
  readonly xid: string;
  readonly branchId: string;
  readonly branchType: BranchType;
  readonly resourceId: string;
  readonly status: BranchStatus;
  readonly applicationData: string;
}

/** A branch in phase two. */
export interface Branch {
  readonly xid: string;
  readonly branchId: string;
  readonly branchType: BranchType;
  readonly resourceId: string;
  readonly applicationData: string;
}

/**
 * Finishes branches; may be asked more than once for each. A rejection counts as `…Failed_Retryable`: the coordinator asks again.
 */
export interface ResourceManager {
  /** `PhaseTwo_Committed`, or why not. */
  commit(branch: Branch): Promise<BranchStatus>;
  /** `PhaseTwo_Rollbacked`, or why not. */
  rollback(branch: Branch): Promise<BranchStatus>;
}
