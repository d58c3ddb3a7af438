import type { Clock } from "../../ports/clock.ts";
import type { Branch, Coordinator } from "../../ports/coordinator.ts";
import {
  DataSourceError,
  isRefused,
  isUnanswered,
  type DataSource,
  type LocalTransaction,
} from "../../ports/data-source.ts";
import type { Telemetry } from "../../ports/telemetry.ts";
import { TransactionError } from "../error.ts";
import { finished, retryable, unretryable } from "../phase-two.ts";
import type { BranchStatus } from "../status.ts";
import { AtBranch } from "./branch.ts";
import { CommitQueue } from "./commit-queue.ts";
import { Inheritance } from "./inheritance.ts";
import { untilUnlocked, type LockRetryOptions } from "./lock-retry.ts";
import { AtLocal } from "./statements.ts";
import { undoBranch } from "./undo.ts";
import { undoRow, undoTable } from "./undo-log.ts";

export interface AtOptions<Local extends LocalTransaction> {
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  readonly coordinator: Coordinator;
  /** Opened with `undoTable` among its tables. */
  readonly dataSource: DataSource<Local>;
  /** The same for all who use this database, and nobody else: its URL without user and parameters. */
  readonly resourceId: string;
  readonly lockRetry?: LockRetryOptions | undefined;
  /** Undo logs of committed branches are removed after so long at most. Default 1000, as Seata's. */
  readonly removeEveryMs?: number | undefined;
  /** Undo logs that one statement removes. Default 1000, as Seata's. */
  readonly removeBatchMax?: number | undefined;
  /** Commits that may wait for that; more are to be asked for again. Default 10 000, as Seata's. */
  readonly removeWaitingMax?: number | undefined;
  /** Hears of the first phase of every branch, once its local transaction is over. Default: nobody does. */
  readonly onStep?: ((step: AtStep) => void) | undefined;
}

/** What came of a branch's first phase: it was committed, or its rollback had been here before. */
export interface AtStep {
  readonly xid: string;
  readonly branchId: string;
  readonly step: "change";
  readonly outcome: "done" | "refused";
}

/** What a local transaction is to the global ones. */
export interface AtScope {
  /** The global transaction that it is a branch of. Undefined: of none. */
  readonly xid?: string | undefined;
  /** Of none, but it keeps off the rows of those that are under way (Seata's `@GlobalLock`). Default false: it doesn't look. */
  readonly requiresGlobalLock?: boolean | undefined;
  /**
   * When another transaction holds a row: `rerun` (default) rolls back and does all of it again, as Seata does with a statement outside of
   * a local transaction; `hold` keeps the local locks and only asks again.
   */
  readonly onConflict?: "rerun" | "hold" | undefined;
}

/**
 * A database as a resource of global transactions in AT mode: each local transaction is a branch that keeps what it takes to undo it,
 * and commits at once. Phase two has nothing to do but to forget that, or to undo.
 *
 * Others see what a branch has committed before its global transaction has ended, unless they ask for the row's global lock
 * (`AtLocal.lock`). Who writes without asking (not through here, or with neither `xid` nor `requiresGlobalLock`) makes a rollback
 * impossible: it is told (`repair`), and nothing is overwritten.
 */
export class AtResource<Local extends LocalTransaction = LocalTransaction> {
  readonly #options: AtOptions<Local>;
  readonly #removals: CommitQueue;
  readonly #inheritance: Inheritance;

  constructor(options: AtOptions<Local>) {
    this.#options = options;
    const {
      clock,
      coordinator,
      dataSource,
      removeEveryMs = 1000,
      removeBatchMax = 1000,
      removeWaitingMax = 10_000,
    } = options;
    this.#removals = new CommitQueue({
      ...{ clock, everyMs: removeEveryMs, batchMax: removeBatchMax, waitingMax: removeWaitingMax },
      remove: (branches) => {
        const keys = branches.map(({ xid, branchId }) => ({ xid, branch_id: branchId }));
        return dataSource.transaction((local) => local.removeEach(undoTable, keys));
      },
    });
    this.#inheritance = new Inheritance({
      ...{ clock, coordinator, dataSource, pauseMs: removeEveryMs },
      remove: (branch) => this.#removals.add(branch),
    });
  }

  /** Answers for phase two from now on, and takes up what a crash left of it, also where the coordinator can't be reached yet. */
  async register(): Promise<void> {
    const { coordinator, resourceId } = this.#options;
    try {
      await coordinator.registerResource(resourceId, {
        commit: (branch) => Promise.resolve(this.#commit(branch)),
        rollback: (branch) => this.#rollback(branch),
      });
    } finally {
      void this.#inheritance.settle();
    }
  }

  /**
   * A local transaction, its statements as values. Rejects as `work` does, and with a `TransactionError`: `LockWaitTimeout` or
   * `LockKeyConflictFailFast` when it can't have its rows; `Suspended` when its rollback was here before; as the coordinator does.
   */
  transaction<T>(
    scope: AtScope,
    work: (local: LocalTransaction, branch: AtBranch | undefined) => Promise<T>,
  ): Promise<T> {
    return this.run(scope, (local, branch) => work(branch === undefined ? local : new AtLocal(local, branch), branch));
  }

  /** The same for other kinds of statements: they record in the branch what they change. Without a branch there is nothing to record. */
  run<T>(scope: AtScope, work: (local: Local, branch: AtBranch | undefined) => Promise<T>): Promise<T> {
    const { clock, coordinator, dataSource, resourceId, lockRetry = {} } = this.#options;
    const { xid, requiresGlobalLock = false, onConflict = "rerun" } = scope;
    if (xid === undefined && !requiresGlobalLock) return dataSource.transaction((local) => work(local, undefined));
    // Its images are of this try: another begins with none (seata#1098).
    const attempt = (): Promise<T> =>
      this.#attempt(scope, new AtBranch({ clock, coordinator, resourceId, xid, lockRetry }), work);
    return onConflict === "rerun" ? untilUnlocked(clock, lockRetry, attempt) : attempt();
  }

  /** Removes what undo logs it can, and lets go. The coordinator and the database are closed by whoever opened them. */
  close(): Promise<void> {
    this.#inheritance.close();
    return this.#removals.close();
  }

  async #attempt<T>(
    scope: AtScope,
    branch: AtBranch,
    work: (local: Local, branch: AtBranch) => Promise<T>,
  ): Promise<T> {
    const { clock, dataSource } = this.#options;
    const { xid } = scope;
    let isCommitting = false;
    try {
      const done = await dataSource.transaction(async (local) => {
        const result = await work(local, branch);
        if (branch.items.length === 0) return result;
        if (xid === undefined) {
          await this.#asking(scope, () => branch.check(branch.lockKey));
          return result;
        }
        const branchId = await this.#asking(scope, () => this.#registerBranch(xid, branch, scope));
        branch.branchId = branchId;
        if (!(await local.insert(undoTable, undoRow({ xid, branchId }, branch.items, clock.wallMs())))) {
          const text = `the transaction ${xid} is over, and this branch comes too late`;
          throw new TransactionError(text, { code: "Suspended" });
        }
        isCommitting = true;
        return result;
      });
      this.#tell(xid, branch, "done");
      return done;
    } catch (error) {
      if (error instanceof TransactionError && error.code === "Suspended") this.#tell(xid, branch, "refused");
      // A commit whose answer is lost may have been one: then only its rollback can tell.
      const { branchId } = branch;
      if (branchId !== undefined && !(isCommitting && isUnanswered(error))) await this.#reportFailed(xid!, branchId);
      throw error;
    }
  }

  #tell(xid: string | undefined, { branchId }: AtBranch, outcome: AtStep["outcome"]): void {
    if (xid !== undefined && branchId !== undefined) this.#options.onStep?.({ xid, branchId, step: "change", outcome });
  }

  /** Who holds its local locks asks again; who doesn't, does everything again. */
  #asking<T>({ onConflict }: AtScope, request: () => Promise<T>): Promise<T> {
    const { clock, lockRetry = {} } = this.#options;
    return onConflict === "hold" ? untilUnlocked(clock, lockRetry, request) : request();
  }

  #registerBranch(xid: string, branch: AtBranch, { onConflict }: AtScope): Promise<string> {
    const { coordinator, resourceId } = this.#options;
    const applicationData = applicationDataOf(onConflict !== "hold");
    return coordinator.registerBranch({ xid, branchType: "AT", resourceId, lockKey: branch.lockKey, applicationData });
  }

  /** So that its rollback has nothing to do. When it can't be told, that rollback finds out by itself. */
  async #reportFailed(xid: string, branchId: string): Promise<void> {
    const { coordinator, resourceId } = this.#options;
    const applicationData = applicationDataOf(true);
    await coordinator
      .reportBranch({ xid, branchId, branchType: "AT", resourceId, status: "PhaseOne_Failed", applicationData })
      .catch(() => undefined);
  }

  #commit({ xid, branchId }: Branch): BranchStatus {
    return this.#removals.add({ xid, branchId }) ? finished.commit : retryable.commit;
  }

  async #rollback({ xid, branchId }: Branch): Promise<BranchStatus> {
    const { clock, telemetry, dataSource, resourceId } = this.#options;
    const undone = (): Promise<"done" | "again"> =>
      dataSource.transaction((local) => undoBranch(local, { xid, branchId }, clock.wallMs()));
    try {
      while ((await undone()) === "again");
      return finished.rollback;
    } catch (error) {
      const isOurs = error instanceof TransactionError;
      if (!isOurs && !isFinal(error)) throw error;
      const { message } = error;
      const code = isOurs ? error.code : "UndoRefused";
      const repair = { what: "repair", xid, branchId, resource: resourceId, code, message } as const;
      telemetry.emit({ type: "transaction", atUs: clock.nowUs(), ...repair });
      return unretryable.rollback;
    }
  }
}

/** A row that was there under its lock, and can't be changed: something in the database sees to that. */
const isFinal = (error: unknown): error is DataSourceError =>
  isRefused(error) || (error instanceof DataSourceError && error.code === "NO_ROW");

/** Whether a statement is a transaction of its own: a coordinator refuses others at once where waiting would be for ever. */
const applicationDataOf = (autoCommit: boolean): string => JSON.stringify({ autoCommit });
