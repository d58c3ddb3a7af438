import { ChangeLog, DamagedLogError } from "../../runtime/change-log.ts";
import { DiskError, type Disk } from "../../runtime/ports/disk.ts";
import { TransactionError } from "../../runtime/transactions/error.ts";
import { isSession, type GlobalSession } from "./session.ts";

/** What the disk remembers. */
export interface Recovered {
  readonly log: SessionLog;
  readonly sessions: readonly GlobalSession[];
  /** The highest id that was ever given. */
  readonly lastId: bigint;
}

/** Where the highest id is kept; no xid has this form. */
const idKey = "last id";

/** Sessions on the disk, whole after each change, and the highest id that was given. */
export class SessionLog {
  readonly #log: ChangeLog;
  #lastId: bigint;

  private constructor(log: ChangeLog, lastId: bigint) {
    this.#log = log;
    this.#lastId = lastId;
  }

  static async open(disk: Disk): Promise<Recovered> {
    const { log, entries } = await ChangeLog.open(disk, "coordinator");
    const sessions: GlobalSession[] = [];
    let lastId = 0n;
    for (const [key, value] of entries) {
      if (key === idKey && typeof value === "string" && /^\d+$/.test(value)) lastId = BigInt(value);
      else if (isSession(value)) sessions.push(value);
      else throw new DamagedLogError("coordinator-snapshot.ndjson", `"${key}" is no session`);
    }
    return { log: new SessionLog(log, lastId), sessions, lastId };
  }

  /** Whose state a snapshot takes. */
  watch(sessions: () => Iterable<GlobalSession>): void {
    this.#log.watch(() => [
      [idKey, this.#lastId.toString()],
      ...[...sessions()].map((session) => [session.xid, session] as const),
    ]);
  }

  /** Notes a session as it is now, or that it has ended. */
  note(xid: string, session: GlobalSession | null, lastId = this.#lastId): void {
    this.#lastId = lastId;
    this.#log.note([xid, session], [idKey, lastId.toString()]);
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
}
