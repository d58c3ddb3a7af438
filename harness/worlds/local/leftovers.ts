import { readdirSync, statSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, sep } from "node:path";

import { allProcesses, commandOf, environmentOf, parentOf, startTimeOf } from "../live/process-table.ts";

/** What runs left that nobody could clean up after: their guardian was killed together with them. */
export interface Leftovers {
  readonly processes: readonly { readonly pid: number; readonly startTime: string | undefined }[];
  readonly directories: readonly string[];
}

/** A run that starts makes its directory before its first node: one that is young may be such. */
const youngMs = 10 * 60_000;

/** Where the runs of this user have their nodes' disks: see `LocalGround`. */
const ofRun = /^flyball-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Nodes whose harness is gone, and directories that no process has its disk in. */
export function findLeftovers(temporary = tmpdir(), nowMs = Date.now()): Leftovers {
  const nodes = allProcesses().flatMap((pid) => {
    const disk = environmentOf(pid, "FLYBALL_DISK");
    return disk === undefined || !disk.startsWith(temporary + sep) ? [] : [{ pid, disk }];
  });
  const orphans = nodes.filter(({ pid }) => isOrphan(pid));
  const living = nodes.filter((node) => !orphans.includes(node));
  const directories = namesIn(temporary)
    .filter((name) => ofRun.test(name))
    .map((name) => join(temporary, name))
    .filter((path) => isOld(path, nowMs) && !living.some(({ disk }) => `${disk}${sep}`.startsWith(path + sep)));
  return { processes: orphans.map(({ pid }) => ({ pid, startTime: startTimeOf(pid) })), directories };
}

export async function removeLeftovers({ processes, directories }: Leftovers): Promise<void> {
  for (const { pid, startTime } of processes) {
    if (startTime === undefined || startTimeOf(pid) !== startTime) continue;
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It went by itself, or isn't ours to end.
    }
  }
  for (const path of directories) await rm(path, { recursive: true, force: true, maxRetries: 3 });
}

/** A harness is a program of Node.js; whoever takes in its orphans (init, a session's manager) isn't. */
function isOrphan(pid: number): boolean {
  const control = environmentOf(pid, "FLYBALL_CONTROL") ?? "";
  if (!/^(ipc|pack)$/.test(control) || !/services\/main[.-]/.test(commandOf(pid))) return false;
  const parent = parentOf(pid);
  return parent !== undefined && !/node|harness/.test(commandOf(parent));
}

function namesIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function isOld(path: string, nowMs: number): boolean {
  try {
    const { mtimeMs, uid } = statSync(path);
    return nowMs - mtimeMs > youngMs && uid === (process.getuid?.() ?? uid);
  } catch {
    return false;
  }
}
