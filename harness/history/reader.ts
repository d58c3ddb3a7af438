import { open } from "node:fs/promises";

import { HistoryCollector } from "./collector.ts";
import { HistoryError } from "./error.ts";
import type { History } from "./history.ts";
import { historyVersion, type HistoryRecord } from "./record.ts";

/**
 * Reads a history from its file. A last line that was cut off is left out (and `end` is undefined then); any other line that
 * is no record is a `HistoryError` MALFORMED with its number.
 */
export async function readHistory(path: string): Promise<History> {
  const collector = new HistoryCollector();
  let number = 0;
  let unreadable: number | undefined;
  for await (const line of linesOf(path)) {
    number++;
    if (unreadable !== undefined) throw malformed(path, unreadable);
    const record = parse(line);
    if (record === undefined) {
      unreadable = number;
      continue;
    }
    if (number === 1) checkFirst(path, record);
    else if (record.type === "run") throw malformed(path, number);
    collector.add(record);
  }
  if (number === 0 || unreadable === 1) throw malformed(path, 1);
  return collector.history();
}

async function* linesOf(path: string): AsyncIterable<string> {
  try {
    await using file = await open(path);
    yield* file.readLines();
  } catch (cause) {
    if (cause instanceof HistoryError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new HistoryError(`the history can't be read from ${path}: ${reason}`, {
      code: "CANNOT_READ",
      hint: "a run directory's history.ndjson is meant",
      cause,
    });
  }
}

/** Files are written by this program: a line that is one of its records in outline is one. */
function parse(line: string): HistoryRecord | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (!isObject(value) || !types.has(value["type"])) return undefined;
  if (value["type"] === "event" && !(typeof value["node"] === "string" && isObject(value["event"]))) return undefined;
  return value as unknown as HistoryRecord;
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null;

const types: ReadonlySet<unknown> = new Set<HistoryRecord["type"]>([
  "run",
  "event",
  "step",
  "rollout",
  "process",
  "gap",
  "load",
  "load.report",
  "harness.lag",
  "harness.cpu",
  "metrics",
  "end",
]);

function checkFirst(path: string, record: HistoryRecord): void {
  if (record.type !== "run") throw malformed(path, 1);
  if ((record.version as number) === historyVersion) return;
  throw new HistoryError(
    `${path} has version ${String(record.version)}; this Flyball reads version ${historyVersion}`,
    {
      code: "WRONG_VERSION",
      hint: "read it with the Flyball that wrote it",
    },
  );
}

function malformed(path: string, line: number): HistoryError {
  return new HistoryError(`${path}:${line} is no history record`, {
    code: "MALFORMED",
    hint: "a run directory's history.ndjson is meant",
  });
}
