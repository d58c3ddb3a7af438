import { ChangeLog, DamagedLogError, type Change } from "../../runtime/change-log.ts";
import { DiskError, type Disk } from "../../runtime/ports/disk.ts";
import { TransactionError } from "../../runtime/transactions/error.ts";
import { isBranch, isSession, type BranchSession, type GlobalSession } from "./session.ts";

/** What the disk remembers. */
export interface Recovered {
  readonly log: SessionLog;
  readonly sessions: readonly GlobalSession[];
}

/** Where the highest id is kept; no xid has this form. */
const idKey = "last id";
/** 2020-05-03, where Seata's ids begin. */
const seataEpochMs = 1_588_435_200_000;

/**
 * Sessions on the disk, and the highest id that was given. A branch is an entry of its own, behind its session's: what a change costs
 * doesn't grow with the branches that a session has.
 */
export class SessionLog {
  readonly #log: ChangeLog;
  #lastId: bigint;
  /** The highest id that is noted. */
  #notedId: bigint;

  private constructor(log: ChangeLog, lastId: bigint) {
    this.#log = log;
    this.#lastId = this.#notedId = lastId;
  }

  static async open(disk: Disk): Promise<Recovered> {
    const { log, entries } = await ChangeLog.open(disk, "coordinator");
    const sessions = new Map<string, GlobalSession>();
    let lastId = 0n;
    for (const [key, value] of entries) {
      if (key === idKey && typeof value === "string" && /^\d+$/.test(value)) lastId = BigInt(value);
      else if (isSession(value)) sessions.set(key, { ...value, branches: [] });
      else {
        const session = sessions.get(xidIn(key));
        if (session === undefined || !isBranch(value)) {
          const how = `"${key}" is no session, and no branch of one`;
          throw new DamagedLogError("coordinator-snapshot.ndjson", how);
        }
        session.branches.push(value);
      }
    }
    return { log: new SessionLog(log, lastId), sessions: [...sessions.values()] };
  }

  /** Whose state a snapshot takes. */
  watch(sessions: () => Iterable<GlobalSession>): void {
    this.#log.watch(() => [
      [idKey, this.#lastId.toString()],
      ...[...sessions()].flatMap((session) => [
        sessionEntry(session),
        ...session.branches.map((branch) => branchEntry(session, branch)),
      ]),
    ]);
  }

  /**
   * As Seata's snowflake variant: the time and a sequence in one counter that only grows, so that a clock which is set back repeats
   * nothing; across restarts too, since the highest is noted with whatever is noted next. What a branch that is refused would have been
   * called is nobody's, and may be given again after a crash.
   */
  nextId(wallMs: number): string {
    const now = BigInt(Math.max(0, wallMs - seataEpochMs)) << 12n;
    this.#lastId = now > this.#lastId ? now : this.#lastId + 1n;
    return this.#lastId.toString();
  }

  /** Notes a session as it is now, and these of its branches. */
  noteSession(session: GlobalSession, ...changed: readonly BranchSession[]): void {
    this.#note(sessionEntry(session), ...changed.map((branch) => branchEntry(session, branch)));
  }

  /** Notes a branch as it is now, of a session that is noted. */
  noteBranch(session: GlobalSession, branch: BranchSession): void {
    this.#note(branchEntry(session, branch));
  }

  /** Notes that a branch is finished. */
  noteFinished({ xid }: GlobalSession, { branchId }: BranchSession): void {
    this.#note([branchKey(xid, branchId), null]);
  }

  /** Notes that nothing is kept of a session any more, nor of the branches that it has left. */
  noteEnd({ xid, branches }: GlobalSession): void {
    this.#note([xid, null], ...branches.map(({ branchId }): Change => [branchKey(xid, branchId), null]));
  }

  /** Resolves when everything noted so far is on the disk; rejects `FailedStore` when it can't be written now. */
  async durable(): Promise<void> {
    try {
      await this.#log.durable();
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
      const text = `the coordinator can't write: ${error.message}`;
      throw new TransactionError(text, { code: "FailedStore", hint: "make room on its disk", cause: error });
    }
  }

  settled(): Promise<void> {
    return this.#log.settled();
  }

  #note(...changes: readonly Change[]): void {
    if (this.#notedId === this.#lastId) this.#log.note(...changes);
    else this.#log.note(...changes, [idKey, this.#lastId.toString()]);
    this.#notedId = this.#lastId;
  }
}

const branchKey = (xid: string, branchId: string): string => `${xid} ${branchId}`;

const xidIn = (key: string): string => key.slice(0, Math.max(0, key.lastIndexOf(" ")));

const sessionEntry = ({ branches: _, ...session }: GlobalSession): Change => [session.xid, session];

const branchEntry = ({ xid }: GlobalSession, branch: BranchSession): Change => [
  branchKey(xid, branch.branchId),
  branch,
];
