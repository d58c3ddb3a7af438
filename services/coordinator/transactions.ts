import type { Clock } from "../../runtime/ports/clock.ts";
import type { BranchRegistration, BranchReport } from "../../runtime/ports/coordinator.ts";
import { TransactionError, type TransactionCode } from "../../runtime/transactions/error.ts";
import { parseLockKey } from "../../runtime/transactions/lock-key.ts";
import { finished, unretryable, type Decision } from "../../runtime/transactions/phase-two.ts";
import { familyOf, isAllowed, isEnded, needsRepair, type GlobalStatus } from "../../runtime/transactions/status.ts";
import type { Leftover } from "../../runtime/telemetry/events.ts";
import { formatXid } from "../../runtime/transactions/xid.ts";
import { GlobalLocks } from "./locks.ts";
import type { Recovered, SessionLog } from "./log.ts";
import type { Participants } from "./participants.ts";
import type { BranchSession, GlobalSession } from "./session.ts";

export interface Timing {
  /** Pause between two looks at what has timed out or is to be tried again, in milliseconds. Default 1000, as Seata's. */
  readonly retryMs: number;
  /** Time since its begin after which a commit, or a rollback, isn't tried again; -1: never. Default -1, as Seata's. */
  readonly maxCommitRetryMs: number;
  readonly maxRollbackRetryMs: number;
}

/** How much the coordinator takes on, so that nobody can exhaust it. */
export const limits = {
  sessions: 100_000,
  branches: 10_000,
  nameBytes: 512,
  /** Of a branch's lock key and application data together: what Seata's file store takes (`max-branch-session-size`). */
  branchBytes: 16_384,
};

export interface TransactionsOptions extends Recovered {
  readonly clock: Clock;
  readonly participants: Participants;
  readonly timing: Timing;
  /** A transaction has come into this state. */
  readonly onStatus: (xid: string, status: GlobalStatus) => void;
}

export interface Registered {
  readonly branchId: string;
}

export interface Refused {
  readonly refusal: { readonly code: TransactionCode; readonly message: string };
}

/**
 * Global transactions: who takes part, which rows are theirs, what was decided, and its way to every branch. The state machine is
 * `runtime/transactions/status.ts`. A decision is on the disk before any branch hears of it, and nobody is told what isn't on the disk.
 *
 * Commits go in the order of registration, rollbacks in the reverse. A commit lets go of the global locks as it is decided, a rollback
 * row by row as branches are done. Of AT branches alone, a commit is answered at once and done at the next look.
 */
export class Transactions {
  readonly #clock: Clock;
  readonly #log: SessionLog;
  readonly #participants: Participants;
  readonly #timing: Timing;
  readonly #onStatus: TransactionsOptions["onStatus"];
  readonly #sessions = new Map<string, GlobalSession>();
  /** On `clock`. */
  readonly #deadlineUs = new Map<string, number>();
  readonly #locks = new GlobalLocks();
  /** Phase two is under way: one worker a transaction. */
  readonly #working = new Set<string>();
  #address = "";
  #disarm: () => void = () => undefined;

  constructor(options: TransactionsOptions) {
    const { clock, log, sessions } = options;
    this.#clock = clock;
    this.#log = log;
    this.#participants = options.participants;
    this.#timing = options.timing;
    this.#onStatus = options.onStatus;
    log.watch(() => this.#sessions.values());
    for (const session of sessions) this.#recover(session);
  }

  /** Begins to work; `address` is where clients find it, and what its xids begin with. */
  start(address: string): void {
    this.#address = address;
    this.#disarm = this.#clock.after(this.#timing.retryMs * 1000, () => this.#look());
  }

  async stop(): Promise<void> {
    this.#disarm();
    await this.#log.settled();
  }

  async begin(options: {
    readonly name: string;
    readonly timeoutMs: number;
    readonly application: string;
  }): Promise<string> {
    const { name, timeoutMs, application } = options;
    if (!(Number.isInteger(timeoutMs) && timeoutMs > 0)) throw invalid(`a timeout of ${timeoutMs} ms`);
    if (name.length + application.length > limits.nameBytes) throw invalid("a name that is too long");
    if (this.#sessions.size >= limits.sessions) {
      const text = `the coordinator has ${limits.sessions} transactions already`;
      throw new TransactionError(text, {
        code: "BeginFailed",
        hint: "settle those that have failed (ListFailed, Settle)",
      });
    }
    const xid = formatXid(this.#address, this.#nextId());
    const session: GlobalSession = {
      ...{ xid, name, application, timeoutMs, beganMs: this.#clock.wallMs(), status: "Begin", branches: [] },
    };
    this.#sessions.set(xid, session);
    this.#deadlineUs.set(xid, this.#clock.nowUs() + timeoutMs * 1000);
    this.#log.noteSession(session);
    this.#onStatus(xid, "Begin");
    await this.#log.durable();
    return xid;
  }

  async commit(xid: string): Promise<GlobalStatus> {
    const session = this.#sessions.get(xid);
    if (session === undefined) return this.status(xid);
    if (session.status !== "Begin") return this.#told(session);
    if (this.#isTimedOut(xid)) {
      // Too late: the next look begins with it.
      this.#enter(session, "TimeoutRollbacking");
      return this.#told(session);
    }
    const isAsync = session.branches.every(
      ({ branchType, status }) => branchType === "AT" || status === "PhaseOne_Failed",
    );
    this.#enter(session, isAsync ? "AsyncCommitting" : "Committing");
    // The decision stands, and the data of AT branches is committed already.
    this.#locks.release(xid);
    if (!isAsync) await this.#finish(session);
    return this.#told(session);
  }

  async rollback(xid: string): Promise<GlobalStatus> {
    const session = this.#sessions.get(xid);
    if (session === undefined) return this.status(xid);
    if (session.status !== "Begin") return this.#told(session);
    this.#enter(session, "Rollbacking");
    await this.#finish(session);
    return this.#told(session);
  }

  async status(xid: string): Promise<GlobalStatus> {
    const session = this.#sessions.get(xid);
    const status = session?.status ?? "Finished";
    await this.#log.durable();
    return status;
  }

  /**
   * That another transaction has a row is an answer, not an error: who waits asks again and again, and a stack trace costs more than all
   * else.
   */
  async registerBranch(
    branch: BranchRegistration & { readonly application: string; readonly client: string },
  ): Promise<Registered | Refused> {
    const { xid, branchType, resourceId, lockKey, applicationData, application, client, key = "" } = branch;
    const session = this.#known(xid);
    const known =
      key === "" ? undefined : session.branches.find((other) => other.key === key && other.resourceId === resourceId);
    if (known !== undefined) {
      await this.#log.durable();
      return { branchId: known.branchId };
    }
    if (session.status !== "Begin") {
      const text = `${xid} takes no branches any more: it is ${session.status}`;
      throw new TransactionError(text, { code: "GlobalTransactionNotActive", hint: "begin another one" });
    }
    if (resourceId === "") throw invalid("a branch without a resource");
    if (resourceId.length + key.length + application.length + client.length > limits.nameBytes)
      throw invalid("a branch whose names are too long");
    if (session.branches.length >= limits.branches)
      throw tooMuch(`${xid} has ${limits.branches} branches already`, "begin another transaction for the rest");
    if (lockKey.length + applicationData.length > limits.branchBytes) {
      const rows = parseLockKey(lockKey).length;
      throw tooMuch(
        `a branch of ${rows} rows, whose keys take ${lockKey.length} characters, with application data of ${applicationData.length}`,
        `together at most ${limits.branchBytes}: change fewer rows in one local transaction, and the others in further ones of the same global transaction`,
      );
    }
    const branchId = this.#nextId();
    if (branchType === "AT") {
      const refused = this.#lock({ xid, branchId, resourceId, lockKey, applicationData });
      if (refused !== undefined) return refused;
    }
    const registered: BranchSession = {
      ...{ branchId, branchType, resourceId, lockKey, application, client, key, status: "Registered", applicationData },
    };
    session.branches.push(registered);
    this.#log.noteBranch(session, registered);
    await this.#log.durable();
    return { branchId };
  }

  async reportBranch({
    xid,
    branchId,
    status,
    applicationData,
  }: Pick<BranchReport, "xid" | "branchId" | "status" | "applicationData">): Promise<void> {
    const session = this.#known(xid);
    const branch = session.branches.find((known) => known.branchId === branchId);
    if (branch === undefined) {
      throw new TransactionError(`${xid} has no branch ${branchId}`, { code: "BranchTransactionNotExist" });
    }
    // What doesn't fit into a message would keep all of its resource's branches from their second phase.
    if (branch.lockKey.length + applicationData.length > limits.branchBytes) {
      throw new TransactionError(`a report with application data of ${applicationData.length} characters`, {
        code: "BranchReportFailed",
        hint: `with the branch's lock key at most ${limits.branchBytes}: keep the rest in a table, and report its key`,
      });
    }
    branch.status = status;
    branch.applicationData = applicationData;
    this.#log.noteBranch(session, branch);
    await this.#log.durable();
  }

  /** Of a transaction that it doesn't know, as of any other, it is only asked whether somebody else is in the way. */
  async lockQuery(query: {
    readonly xid: string;
    readonly resourceId: string;
    readonly lockKey: string;
  }): Promise<boolean> {
    const { xid, resourceId, lockKey } = query;
    const isFree = this.#locks.conflict(xid, resourceId, parseLockKey(lockKey)) === undefined;
    await this.#log.durable();
    return isFree;
  }

  /** Those that only a person can mend, the oldest first. */
  failed(): readonly GlobalSession[] {
    return [...this.#sessions.values()].filter(({ status }) => needsRepair(status));
  }

  /** A person has put right what a failed transaction left: its rows are unlocked, and it is forgotten. */
  async settle(xid: string): Promise<GlobalStatus> {
    const session = this.#sessions.get(xid);
    if (session !== undefined) {
      if (!needsRepair(session.status)) {
        const text = `${xid} is ${session.status}: only what needs a person is settled by one`;
        throw new TransactionError(text, { code: "GlobalTransactionStatusInvalid" });
      }
      this.#forget(session);
      this.#onStatus(xid, "Finished");
    }
    await this.#log.durable();
    return "Finished";
  }

  /** For looks from outside: transactions that are open, and rows that are locked. */
  get counts(): { readonly sessions: number; readonly locks: number } {
    return { sessions: this.#sessions.size, locks: this.#locks.size };
  }

  /** What isn't over: transactions, and rows that are locked. Those that need a person are over for the coordinator, and are here too. */
  left(): readonly Leftover[] {
    const sessions = [...this.#sessions.keys()].map((xid) => ({ kind: "transaction" as const, xid }));
    const locks = [...this.#locks.holders()].map(({ xid, branchId }) => ({ kind: "lock" as const, xid, branchId }));
    return [...sessions, ...locks];
  }

  #recover(session: GlobalSession): void {
    this.#sessions.set(session.xid, session);
    // Time that passed while nobody looked counts; a clock that was set back lengthens no timeout.
    const leftMs = session.beganMs + session.timeoutMs - this.#clock.wallMs();
    const boundedMs = Math.max(0, Math.min(session.timeoutMs, leftMs));
    this.#deadlineUs.set(session.xid, this.#clock.nowUs() + boundedMs * 1000);
    if (familyOf(session.status) === "commit") return;
    for (const { branchId, branchType, resourceId, lockKey } of session.branches) {
      if (branchType === "AT") this.#locks.acquire({ xid: session.xid, branchId }, resourceId, parseLockKey(lockKey));
    }
  }

  #known(xid: string): GlobalSession {
    const session = this.#sessions.get(xid);
    if (session !== undefined) return session;
    const what = xid === "" ? "an xid is missing" : `there is no transaction ${xid}`;
    const hint =
      xid === "" ? "begin a transaction, and pass on its tx_xid" : "it has ended, or another coordinator has it";
    throw new TransactionError(what, { code: "GlobalTransactionNotExist", hint });
  }

  /** Why it can't have its rows; undefined: it has them. */
  #lock(
    branch: Pick<BranchRegistration, "xid" | "resourceId" | "lockKey" | "applicationData"> & {
      readonly branchId: string;
    },
  ): Refused | undefined {
    const { xid, branchId, resourceId, lockKey, applicationData } = branch;
    const inTheWay = this.#locks.acquire({ xid, branchId }, resourceId, parseLockKey(lockKey));
    if (inTheWay === undefined) return undefined;
    // A rollback needs the row's local lock, which this branch holds while it waits for the global one: waiting would be for ever.
    const status = this.#sessions.get(inTheWay.xid)?.status ?? "Finished";
    const isDeadlock = familyOf(status) !== undefined && familyOf(status) !== "commit";
    const code = isDeadlock && !isAutoCommit(applicationData) ? "LockKeyConflictFailFast" : "LockKeyConflict";
    const message = `Global lock acquire failed xid = ${xid} branchId = ${branchId}: ${inTheWay.xid} has it`;
    return { refusal: { code, message } };
  }

  #isTimedOut(xid: string, nowUs = this.#clock.nowUs()): boolean {
    return nowUs > (this.#deadlineUs.get(xid) ?? Infinity);
  }

  /** `changed`: what has changed with it, of its branches. */
  #enter(session: GlobalSession, status: GlobalStatus, ...changed: readonly BranchSession[]): void {
    assertAllowed(session, status);
    session.status = status;
    this.#log.noteSession(session, ...changed);
    this.#onStatus(session.xid, status);
  }

  /** All is done. That is never noted but by its absence: a crash in between would leave what nobody goes on with. */
  #end(session: GlobalSession): void {
    const status = ends[session.status] ?? session.status;
    assertAllowed(session, status);
    session.status = status;
    this.#onStatus(session.xid, status);
    this.#forget(session);
  }

  /** For who asked for the decision: a commit that stands is `Committed`, whatever is done in the background. */
  async #told(session: GlobalSession): Promise<GlobalStatus> {
    await this.#log.durable();
    return session.status === "AsyncCommitting" ? "Committed" : session.status;
  }

  /** Takes the decision to the branches, as far as it comes now. */
  async #finish(session: GlobalSession): Promise<void> {
    const { xid, branches } = session;
    if (this.#working.has(xid)) return;
    this.#working.add(xid);
    try {
      await this.#log.durable();
      const decision: Decision = familyOf(session.status) === "commit" ? "commit" : "rollback";
      const order = decision === "commit" ? [...branches] : [...branches].reverse();
      for (const branch of order) {
        const result = await this.#finishBranch(session, branch, decision);
        if (result === "done" || (result === "later" && session.status === "AsyncCommitting")) continue;
        if (result === "later") this.#retryLater(session);
        // A failure stops the rest: their order is a promise.
        return;
      }
      if (branches.length > 0) return;
      this.#end(session);
    } finally {
      this.#working.delete(xid);
    }
  }

  async #finishBranch(
    session: GlobalSession,
    branch: BranchSession,
    decision: Decision,
  ): Promise<"done" | "later" | "never"> {
    const { xid } = session;
    // Its first phase failed by its own report: there is nothing to finish.
    const isNothing = branch.status === "PhaseOne_Failed";
    const status = isNothing ? finished[decision] : await this.#participants.finish({ xid, branch, decision });
    if (status === finished[decision]) {
      session.branches.splice(session.branches.indexOf(branch), 1);
      if (decision === "rollback") this.#locks.release(xid, branch.branchId);
      this.#log.noteFinished(session, branch);
      return "done";
    }
    if (status !== unretryable[decision] || session.status === "AsyncCommitting") return "later";
    branch.status = status;
    this.#enter(session, failures[session.status] ?? session.status, branch);
    return "never";
  }

  #retryLater(session: GlobalSession): void {
    const next = retries[session.status];
    if (next !== undefined) this.#enter(session, next);
  }

  #forget(session: GlobalSession): void {
    const { xid } = session;
    this.#sessions.delete(xid);
    this.#deadlineUs.delete(xid);
    this.#locks.release(xid);
    this.#log.noteEnd(session);
  }

  #look(): void {
    const nowUs = this.#clock.nowUs();
    for (const session of [...this.#sessions.values()]) {
      const { xid, status } = session;
      if (this.#working.has(xid) || isEnded(status)) continue;
      if (status === "Begin") {
        if (!this.#isTimedOut(xid, nowUs)) continue;
        this.#enter(session, "TimeoutRollbacking");
      } else if (this.#isGivenUp(session)) {
        this.#enter(session, familyOf(status) === "commit" ? "CommitRetryTimeout" : "RollbackRetryTimeout");
        continue;
      }
      // A disk that can't write now is asked again at the next look.
      void this.#finish(session).catch(() => undefined);
    }
    this.#disarm = this.#clock.after(this.#timing.retryMs * 1000, () => this.#look());
  }

  #isGivenUp({ status, beganMs }: GlobalSession): boolean {
    const { maxCommitRetryMs, maxRollbackRetryMs } = this.#timing;
    const maxMs = familyOf(status) === "commit" ? maxCommitRetryMs : maxRollbackRetryMs;
    return maxMs >= 0 && status.endsWith("Retrying") && this.#clock.wallMs() - beganMs > maxMs;
  }

  #nextId(): string {
    return this.#log.nextId(this.#clock.wallMs());
  }
}

function assertAllowed({ xid, status }: GlobalSession, next: GlobalStatus): void {
  if (!isAllowed(status, next)) throw new TypeError(`${xid}: ${status} → ${next}`);
}

const ends: Partial<Record<GlobalStatus, GlobalStatus>> = {
  ...{ AsyncCommitting: "Committed", Committing: "Committed", CommitRetrying: "Committed" },
  ...{ Rollbacking: "Rollbacked", RollbackRetrying: "Rollbacked" },
  ...{ TimeoutRollbacking: "TimeoutRollbacked", TimeoutRollbackRetrying: "TimeoutRollbacked" },
};

const retries: Partial<Record<GlobalStatus, GlobalStatus>> = {
  ...{ Committing: "CommitRetrying", Rollbacking: "RollbackRetrying", TimeoutRollbacking: "TimeoutRollbackRetrying" },
};

const failures: Partial<Record<GlobalStatus, GlobalStatus>> = {
  ...{ Committing: "CommitFailed", CommitRetrying: "CommitFailed" },
  ...{ Rollbacking: "RollbackFailed", RollbackRetrying: "RollbackFailed" },
  ...{ TimeoutRollbacking: "TimeoutRollbackFailed", TimeoutRollbackRetrying: "TimeoutRollbackFailed" },
};

/** AT's data-source proxy says so where the statement is a transaction of its own; otherwise it is one. */
function isAutoCommit(applicationData: string): boolean {
  try {
    const data: unknown = JSON.parse(applicationData);
    return (data as { readonly autoCommit?: unknown } | null)?.autoCommit !== false;
  } catch {
    return true;
  }
}

function tooMuch(what: string, hint: string): TransactionError {
  return new TransactionError(what, { code: "FailedToAddBranch", hint });
}

function invalid(what: string): TransactionError {
  return new TransactionError(`the coordinator takes no transaction with ${what}`, { code: "InvalidArgument" });
}
