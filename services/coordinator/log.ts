import { murmur3 } from "../../runtime/numbers.ts";
import type { Disk } from "../../runtime/ports/disk.ts";
import { TransactionError } from "../../runtime/transactions/error.ts";
import { isRecord, replaceFile } from "../../runtime/whole-file.ts";
import { ConfigError } from "../service.ts";
import { isSession, type GlobalSession } from "./session.ts";

const snapshotFile = "coordinator-sessions.ndjson";
const logFile = "coordinator-log.ndjson";
/** Bytes of log after which it is folded into the snapshot. */
const logBytesMax = 4 * 1024 * 1024;

/** What the disk remembers. */
export interface Recovered {
  readonly log: SessionLog;
  readonly sessions: readonly GlobalSession[];
  /** The highest id that was ever given. */
  readonly lastId: bigint;
}

/**
 * Sessions on the disk: a snapshot, and a log of what changed since. A line is a checksum and, as JSON, a number, the highest id
 * given so far, and a whole session, or null for one that has ended. Changes are made in memory and noted at once; `durable` tells when
 * everything noted so far is on the disk, and whoever tells anybody of a change waits for it. Those who wait together are written
 * together.
 *
 * A crash may tear the last lines, whom nobody was told of. A gap before a readable line is damage, and refused: a decision may be in it.
 */
export class SessionLog {
  readonly #disk: Disk;
  #sessions: () => Iterable<GlobalSession> = () => [];
  /** Of the last line that was noted, and of the last that is on the disk. */
  #number: number;
  #written: number;
  #lastId: bigint;
  #lines: string[] = [];
  #bytes = 0;
  /** The disk lacks something that was noted: only a whole snapshot makes up for it. */
  #isBehind = false;
  #flushing: Promise<void> | undefined;

  private constructor(disk: Disk, number: number, lastId: bigint) {
    this.#disk = disk;
    this.#number = this.#written = number;
    this.#lastId = lastId;
  }

  /** Reads what there is, and begins a new log. */
  static async open(disk: Disk): Promise<Recovered> {
    const sessions = new Map<string, GlobalSession>();
    let number = 0;
    let lastId = 0n;
    let isWhole = true;
    for (const line of parseLines(await disk.read(snapshotFile))) {
      ({ number, lastId } = line);
      isWhole = line.xid === `${sessions.size} sessions`;
      if (line.session !== null) sessions.set(line.xid, line.session);
    }
    if (!isWhole) throw damaged(snapshotFile, "sessions are missing");
    for (const line of parseLines(await disk.read(logFile))) {
      // The snapshot may be newer than the log's beginning.
      if (line.number <= number) continue;
      if (line.number > number + 1) throw damaged(logFile, `record ${number + 1} can't be read`);
      ({ number, lastId } = line);
      if (line.session === null) sessions.delete(line.xid);
      else sessions.set(line.xid, line.session);
    }
    const log = new SessionLog(disk, number, lastId);
    await log.#fold(sessions.values());
    return { log, sessions: [...sessions.values()], lastId };
  }

  /** Whose state a snapshot takes. */
  watch(sessions: () => Iterable<GlobalSession>): void {
    this.#sessions = sessions;
  }

  /** Notes a session as it is now, or that it has ended. */
  note(xid: string, session: GlobalSession | null, lastId = this.#lastId): void {
    this.#number++;
    this.#lastId = lastId;
    if (!this.#isBehind) this.#lines.push(lineOf(this.#number, this.#lastId, xid, session));
  }

  /** Resolves when everything noted so far is on the disk; rejects `FailedStore` when it can't be written now. */
  async durable(): Promise<void> {
    const number = this.#number;
    while (this.#written < number) {
      this.#flushing ??= this.#flush().finally(() => {
        this.#flushing = undefined;
      });
      await this.#flushing;
    }
  }

  /** Resolves when nothing is being written. */
  async settled(): Promise<void> {
    await this.durable().catch(() => undefined);
  }

  async #flush(): Promise<void> {
    const number = this.#number;
    const lines = this.#lines;
    this.#lines = [];
    try {
      if (this.#isBehind || this.#bytes > logBytesMax) {
        this.#isBehind = false;
        await this.#fold(this.#sessions());
        this.#written = number;
        return;
      }
      // A line break first: whatever a crash left behind is then a line of its own.
      const bytes = new TextEncoder().encode(`\n${lines.join("\n")}\n`);
      await this.#disk.append(logFile, bytes);
      await this.#disk.sync(logFile);
      this.#bytes += bytes.length;
      this.#written = number;
    } catch (error) {
      this.#isBehind = true;
      this.#lines = [];
      const message = `the coordinator can't write: ${error instanceof Error ? error.message : String(error)}`;
      throw new TransactionError(message, { code: "FailedStore", hint: "make room on its disk", cause: error });
    }
  }

  /** The snapshot is of this moment: what is noted while it is written comes into the new log. */
  async #fold(sessions: Iterable<GlobalSession>): Promise<void> {
    const lines = [...sessions].map((session) => lineOf(this.#number, this.#lastId, session.xid, session));
    // How many there are, so that none gets lost unnoticed; and numbers and ids go on although nothing is left.
    lines.push(lineOf(this.#number, this.#lastId, `${lines.length} sessions`, null));
    await replaceFile(this.#disk, snapshotFile, lines.join("\n") + "\n");
    await this.#disk.remove(logFile);
    this.#bytes = 0;
  }
}

interface Line {
  readonly number: number;
  readonly lastId: bigint;
  readonly xid: string;
  readonly session: GlobalSession | null;
}

function lineOf(number: number, lastId: bigint, xid: string, session: GlobalSession | null): string {
  const json = JSON.stringify({ number, lastId: lastId.toString(), xid, session });
  return `${checksum(json)} ${json}`;
}

function* parseLines(bytes: Uint8Array | undefined): Iterable<Line> {
  if (bytes === undefined) return;
  for (const line of new TextDecoder().decode(bytes).split("\n")) {
    const space = line.indexOf(" ");
    const json = line.slice(space + 1);
    if (space < 0 || line.slice(0, space) !== checksum(json)) continue;
    const value: unknown = JSON.parse(json);
    if (!isRecord(value)) continue;
    const { number, lastId, xid, session } = value;
    if (typeof number !== "number" || typeof lastId !== "string" || !/^\d+$/.test(lastId)) continue;
    if (typeof xid !== "string" || !(session === null || isSession(session))) continue;
    yield { number, lastId: BigInt(lastId), xid, session };
  }
}

function checksum(json: string): string {
  return murmur3(json, 0).toString(16).padStart(8, "0");
}

function damaged(file: string, how: string): ConfigError {
  return new ConfigError(
    `${file} is damaged: ${how}`,
    "decisions may be lost: restore the file, or remove the coordinator's files and settle its open transactions by hand",
  );
}
