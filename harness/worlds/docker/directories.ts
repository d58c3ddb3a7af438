import { createHash } from "node:crypto";
import { readdirSync } from "node:fs";
import { rm } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";

import { startTimeOf } from "../live/process-table.ts";
import { isProcessAlive } from "./labels.ts";

/**
 * This machine's directory for the disks of an invocation's nodes. As a container's label does, its name says whose it is: a temporary
 * directory may be shared with other machines' containers, and outlive a start of the machine.
 */
export function directoryOf(invocation: string): string {
  return join(tmpdir(), ["flyball", invocation, machine(), process.pid, startTimeOf(process.pid) ?? "none"].join("-"));
}

/** The directories of invocations on this machine that are dead. */
export function orphanDirectories(temporary = tmpdir()): readonly string[] {
  return namesIn(temporary)
    .filter((name) => {
      const [, host, pid, startTime] = /^flyball-[0-9a-f]{6}-([0-9a-f]{8})-(\d+)-(\d+|none)$/.exec(name) ?? [];
      return host === machine() && !isProcessAlive(Number(pid), startTime === "none" ? undefined : startTime);
    })
    .map((name) => join(temporary, name));
}

/** Removes them; one of another user's stays. */
export async function removeOrphanDirectories(temporary?: string): Promise<readonly string[]> {
  const removed = [];
  for (const path of orphanDirectories(temporary)) {
    try {
      await rm(path, { recursive: true, force: true, maxRetries: 3 });
      removed.push(path);
    } catch (error) {
      if (!["EACCES", "EPERM"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
    }
  }
  return removed;
}

const machine = (): string => createHash("sha256").update(hostname()).digest("hex").slice(0, 8);

function namesIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
