import { ChangeLog, DamagedLogError, type Change } from "../../runtime/change-log.ts";
import { DiskError, type Disk } from "../../runtime/ports/disk.ts";
import { TransactionError } from "../../runtime/transactions/error.ts";
import { isBranch, isSession, type BranchSession, type GlobalSession } from "./session.ts";

/** What the disk remembers. */
export interface Recovered {
  readonly log: SessionLog;
  readonly sessions: readonly GlobalSession[];
  /** The highest id that was ever given. */
  readonly lastId: bigint;
}

/** Where the highest id is kept; no xid has this form. */
const idKey = "last id";

/**
 * Sessions on the disk, and the highest id that was given. A branch is an entry of its own, named by its session's xid and its id: what a
 * change costs doesn't grow with the branches that a session has.
 */
export class SessionLog {
  readonly #log: ChangeLog;
  #lastId: bigint;

  private constructor(log: ChangeLog, lastId: bigint) {
    this.#log = log;
    this.#lastId = lastId;
  }

  static async open(disk: Disk): Promise<Recovered> {
    const { log, entries } = await ChangeLog.open(disk, "coordinator");
    const sessions = new Map<string, GlobalSession>();
    let lastId = 0n;
    for (const [key, value] of entries) {
      const session = sessions.get(key.slice(0, Math.max(0, key.lastIndexOf(" "))));
      if (key === idKey && typeof value === "string" && /^\d+$/.test(value)) lastId = BigInt(value);
      else if (isSession(value)) sessions.set(key, { ...value, branches: [] });
      else if (isBranch(value) && session !== undefined) session.branches.push(value);
      else throw new DamagedLogError("coordinator-snapshot.ndjson", `"${key}" is no session, and no branch of one`);
    }
    return { log: new SessionLog(log, lastId), sessions: [...sessions.values()], lastId };
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

  /** Notes a session as it is now, but for its branches. */
  session(session: GlobalSession, lastId = this.#lastId): void {
    this.#note(sessionEntry(session), lastId);
  }

  /** Notes a branch of a session that is noted, as it is now. */
  branch(session: GlobalSession, branch: BranchSession, lastId = this.#lastId): void {
    this.#note(branchEntry(session, branch), lastId);
  }

  /** Notes that a branch is finished. */
  finished({ xid }: GlobalSession, { branchId }: BranchSession): void {
    this.#log.note([`${xid} ${branchId}`, null]);
  }

  /** Notes that a session has ended, with all that is left of its branches. */
  ended({ xid, branches }: GlobalSession): void {
    this.#log.note([xid, null], ...branches.map(({ branchId }): Change => [`${xid} ${branchId}`, null]));
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

  #note(change: Change, lastId: bigint): void {
    if (lastId === this.#lastId) this.#log.note(change);
    else this.#log.note(change, [idKey, lastId.toString()]);
    this.#lastId = lastId;
  }
}

const sessionEntry = ({ branches: _, ...session }: GlobalSession): Change => [session.xid, session];

const branchEntry = ({ xid }: GlobalSession, branch: BranchSession): Change => [`${xid} ${branch.branchId}`, branch];
