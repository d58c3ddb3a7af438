import { mkdir, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";

import { HistoryError } from "./error.ts";

/**
 * Makes a directory, and what is missing above it, one by one: Node's own recursive `mkdir` never comes back where a file system
 * lets nobody make anything (/proc). Rejects with a `HistoryError` when it can't be made.
 */
export async function makeDirectory(path: string): Promise<void> {
  const missing: string[] = [];
  try {
    for (let at = resolve(path); !(await isDirectory(at)); at = dirname(at)) missing.unshift(at);
    for (const directory of missing) await makeOne(directory);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new HistoryError(`the directory ${path} can't be made: ${reason}`, {
      code: "CANNOT_WRITE",
      hint: "write elsewhere with --out DIR",
      cause,
    });
  }
}

/** False when there is nothing at all; what else is there is in the way. */
async function isDirectory(path: string): Promise<boolean> {
  try {
    if ((await stat(path)).isDirectory()) return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw error;
  }
  throw new Error(`${path} is a file`);
}

async function makeOne(path: string): Promise<void> {
  try {
    await mkdir(path);
  } catch (error) {
    // Another run beside this one was quicker.
    if ((error as NodeJS.ErrnoException).code !== "EEXIST" || !(await isDirectory(path))) throw error;
  }
}
