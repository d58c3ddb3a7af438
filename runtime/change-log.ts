import { murmur3OfBytes } from "./numbers.ts";
import type { Disk } from "./ports/disk.ts";
import { isRecord, replaceFile } from "./whole-file.ts";

/** A key's new value; null: it is gone. */
export type Change = readonly [key: string, value: unknown];

const encoder = new TextEncoder();
const decoder = new TextDecoder();
/** Where a line's checksum goes, and what parts it from the rest. */
const checksumRoom = "00000000 ";
const checksumDigits = checksumRoom.length - 1;
const digits = "0123456789abcdef";
const lineBreak = 10;
/** What is written at once fits in nearly always, with the most that a character can take. */
const bufferBytes = 16 * 1024;
/** Characters of a snapshot that are written at once. */
const partLength = 1024 * 1024;

/** Bytes of log after which it is folded into the snapshot: a second's reading at a start, and seldom enough to cost little. */
const logBytesMax = 32 * 1024 * 1024;

/**
 * A map of JSON values on the disk: a snapshot, and a log of what changed since, a line for each group of changes that belong together.
 * Changes are made in memory and noted at once; `durable` tells when everything noted so far is on the disk, and whoever tells anybody of
 * a change waits for it. Those who wait together are written together.
 *
 * A crash may tear the last lines, of which nobody was told. A gap before a readable line is damage, and refused: what is missing may be
 * what matters.
 */
export class ChangeLog {
  readonly #disk: Disk;
  readonly #files: Files;
  #entries: () => Iterable<Change> = () => [];
  /** Of the last line that was noted, and of the last that is on the disk. */
  #number: number;
  #written: number;
  #lines: string[] = [];
  /** What is being written. One at a time is. */
  #buffer: Uint8Array | undefined;
  #bytes = 0;
  /** The disk lacks something that was noted: only a whole snapshot makes up for it. */
  #isBehind = false;
  #flushing: Promise<void> | undefined;

  private constructor(disk: Disk, files: Files, number: number) {
    this.#disk = disk;
    this.#files = files;
    this.#number = this.#written = number;
  }

  /** Reads what there is, and begins a new log. `name` begins the names of its files. Throws a `DamagedLogError`. */
  static async open(
    disk: Disk,
    name: string,
  ): Promise<{ readonly log: ChangeLog; readonly entries: ReadonlyMap<string, unknown> }> {
    const files = { snapshot: `${name}-snapshot.ndjson`, log: `${name}-log.ndjson` };
    const entries = new Map<string, unknown>();
    let number = 0;
    let isWhole = true;
    for (const line of parseLines(await disk.read(files.snapshot))) {
      number = line.number;
      isWhole = line.of === entries.size;
      apply(entries, line.changes);
    }
    if (!isWhole) throw new DamagedLogError(files.snapshot, "entries are missing");
    for (const line of parseLines(await disk.read(files.log))) {
      // The snapshot may be newer than the log's beginning.
      if (line.number <= number) continue;
      if (line.number > number + 1) throw new DamagedLogError(files.log, `record ${number + 1} can't be read`);
      number = line.number;
      apply(entries, line.changes);
    }
    const log = new ChangeLog(disk, files, number);
    await log.#fold(entries);
    return { log, entries };
  }

  /** Whose state a snapshot takes. */
  watch(entries: () => Iterable<Change>): void {
    this.#entries = entries;
  }

  /** Notes changes, which come back all or none. */
  note(...changes: readonly Change[]): void {
    this.#number++;
    if (!this.#isBehind) this.#lines.push(lineOf({ number: this.#number, changes }));
  }

  /** Resolves when everything noted so far is on the disk; rejects with the disk's error when it can't be written now. */
  async durable(): Promise<void> {
    const number = this.#number;
    while (this.#written < number) {
      const flushing = (this.#flushing ??= this.#flush());
      try {
        await flushing;
      } finally {
        // Another one may be under way already.
        if (this.#flushing === flushing) this.#flushing = undefined;
      }
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
        await this.#fold(this.#entries());
      } else {
        // A line break first: whatever a crash left behind is then a line of its own.
        const bytes = encoded(lines, (this.#buffer ??= new Uint8Array(bufferBytes)));
        await this.#disk.append(this.#files.log, bytes);
        await this.#disk.sync(this.#files.log);
        this.#bytes += bytes.length;
      }
      this.#written = number;
    } catch (error) {
      this.#isBehind = true;
      this.#lines = [];
      throw error;
    }
  }

  /** The snapshot is of this moment: what is noted while it is written comes into the new log. */
  async #fold(entries: Iterable<Change>): Promise<void> {
    const number = this.#number;
    const lines = [...entries].map((change) => lineOf({ number, changes: [change] }));
    // How many there are, so that none gets lost unnoticed; and the numbers go on although nothing is left.
    lines.push(lineOf({ number, changes: [], of: lines.length }));
    await replaceFile(this.#disk, this.#files.snapshot, inParts(lines));
    await this.#disk.remove(this.#files.log);
    this.#bytes = 0;
  }
}

/** Files that lack something: whoever reads them must not guess. */
export class DamagedLogError extends Error {
  override readonly name = "DamagedLogError";
  readonly code = "DAMAGED";
  readonly hint =
    "what is missing may matter: restore the file, or remove it with the others of its name and begin anew";

  constructor(file: string, how: string) {
    super(`${file} is damaged: ${how}`);
  }
}

interface Files {
  readonly snapshot: string;
  readonly log: string;
}

interface Line {
  readonly number: number;
  readonly changes: readonly Change[];
  /** Of a snapshot's last line: how many entries came before. */
  readonly of?: number;
}

function apply(entries: Map<string, unknown>, changes: readonly Change[]): void {
  for (const [key, value] of changes) {
    if (value === null) entries.delete(key);
    else entries.set(key, value);
  }
}

const lineOf = (line: Line): string => JSON.stringify(line);

/** Lines, each with its checksum and between line breaks: in `buffer`, if there is room enough. */
function encoded(lines: readonly string[], buffer?: Uint8Array): Uint8Array {
  // Joined at once: there is no other copy of so much text.
  const text = ["", ...lines].join(`\n${checksumRoom}`);
  const bytesMax = text.length * 3 + 1;
  const bytes = buffer !== undefined && bytesMax <= buffer.length ? buffer : new Uint8Array(bytesMax);
  const view = new DataView(bytes.buffer);
  const end = encoder.encodeInto(text, bytes).written;
  bytes[end] = lineBreak;
  for (let from = 1, to: number; from < end; from = to + 1) {
    to = bytes.indexOf(lineBreak, from);
    let hash = murmur3OfBytes(view, from + checksumRoom.length, to);
    for (let at = from + checksumDigits - 1; at >= from; at--) {
      bytes[at] = digits.charCodeAt(hash & 15);
      hash >>>= 4;
    }
  }
  return bytes.subarray(0, end + 1);
}

/** The same in pieces that are no text too long for the engine, however much there is. */
function* inParts(lines: readonly string[]): Iterable<Uint8Array> {
  for (let from = 0, to = 0; from < lines.length; from = to) {
    for (let length = 0; to < lines.length && length < partLength; to++) length += lines[to]!.length;
    yield encoded(lines.slice(from, to));
  }
}

function* parseLines(bytes: Uint8Array | undefined): Iterable<Line> {
  if (bytes === undefined) return;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let from = 0, to: number; from < bytes.length; from = to + 1) {
    to = bytes.indexOf(lineBreak, from);
    if (to < 0) to = bytes.length;
    const begin = from + checksumRoom.length;
    if (begin >= to || checksumAt(bytes, from) !== murmur3OfBytes(view, begin, to)) continue;
    const value: unknown = JSON.parse(decoder.decode(bytes.subarray(begin, to)));
    if (isLine(value)) yield value;
  }
}

/** NaN where there is none. */
const checksumAt = (bytes: Uint8Array, from: number): number =>
  Number(`0x${decoder.decode(bytes.subarray(from, from + checksumDigits))}`);

function isLine(value: unknown): value is Line {
  return (
    isRecord(value) &&
    typeof value["number"] === "number" &&
    Array.isArray(value["changes"]) &&
    value["changes"].every((change) => Array.isArray(change) && change.length === 2 && typeof change[0] === "string")
  );
}
