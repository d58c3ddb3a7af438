import { closeSync, openSync, writeSync } from "node:fs";

import { HistoryError } from "./error.ts";
import type { HistoryRecord } from "./record.ts";

/** Writes a history while the run goes on. */
export interface HistoryWriter {
  /** Never throws: after a failure nothing more is written, and `close` tells why. */
  write(record: HistoryRecord): void;
  /** Writes out what is left. Rejects with a `HistoryError` when something could not be written. */
  close(): Promise<void>;
}

/** Written out when so much text has come together, or something else than an event: a crash of the harness loses less than this. */
const chunkLength = 64 * 1024;
const encoder = new TextEncoder();

/**
 * A new NDJSON file. Writing is synchronous, in chunks: memory stays bounded whatever the disk does, and the records of a run
 * are in the file when the process dies. Throws a `HistoryError` when the file can't be made.
 */
export function openHistoryWriter(path: string): HistoryWriter {
  let file: number;
  try {
    file = openSync(path, "w");
  } catch (cause) {
    throw failure(path, cause);
  }
  // Enough for nearly every chunk: what is larger goes in parts.
  const buffer = new Uint8Array(2 * chunkLength);
  let chunk = "";
  let problem: HistoryError | undefined;
  const flush = (): void => {
    if (problem !== undefined || chunk === "") return;
    try {
      for (let from = 0; from < chunk.length;) {
        const { read, written } = encoder.encodeInto(from === 0 ? chunk : chunk.slice(from), buffer);
        for (let at = 0; at < written;) at += writeSync(file, buffer, at, written - at);
        from += read;
      }
    } catch (cause) {
      problem = failure(path, cause);
    }
    chunk = "";
  };
  return {
    write: (record) => {
      if (problem !== undefined) return;
      chunk += `${JSON.stringify(record)}\n`;
      // What nodes do comes in masses and waits for a chunk; everything else is rare, and brings what came before along.
      if (chunk.length >= chunkLength || record.type !== "event") flush();
    },
    close: () => {
      flush();
      try {
        closeSync(file);
      } catch (cause) {
        problem ??= failure(path, cause);
      }
      return problem === undefined ? Promise.resolve() : Promise.reject(problem);
    },
  };
}

function failure(path: string, cause: unknown): HistoryError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new HistoryError(`the history can't be written to ${path}: ${reason}`, {
    code: "CANNOT_WRITE",
    hint: "make room, or write elsewhere with --out DIR",
    cause,
  });
}
