import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";

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
  const lines = createInterface({ input: createReadStream(path, "utf8"), crlfDelay: Infinity });
  let number = 0;
  let unreadable: number | undefined;
  for await (const line of lines) {
    number++;
    if (unreadable !== undefined) throw malformed(path, unreadable);
    const record = parse(line);
    if (record === undefined) {
      unreadable = number;
      continue;
    }
    if (number === 1) checkFirst(path, record);
    collector.add(record);
  }
  if (number === 0 || unreadable === 1) throw malformed(path, 1);
  return collector.history();
}

function parse(line: string): HistoryRecord | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null && "type" in value ? (value as HistoryRecord) : undefined;
  } catch {
    return undefined;
  }
}

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
