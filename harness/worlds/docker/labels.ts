import { readFileSync } from "node:fs";
import { hostname } from "node:os";

import { startTimeOf } from "../live/process-table.ts";

/** On everything that Flyball makes in an engine. */
export const label = {
  /** Whose it is: one invocation of the command line, or of a test. */
  invocation: "flyball.invocation",
  /** The process that made it: while that lives, nobody else removes it. */
  owner: "flyball.owner",
  /** "orders/0", "zookeeper", "network": for people. */
  role: "flyball.role",
  /** On an image that `services/Dockerfile` makes, and on the stage before it: "local", or a test's name. */
  image: "flyball.image",
} as const;

/** This process, so that a later one can tell whether it still lives: machine, boot, process id, start time. */
export function ownerOfThis(): string {
  return [hostname(), bootId(), process.pid, startTimeOf(process.pid) ?? "-"].join(" ");
}

/** Whether the owner may still live: one on another machine counts as alive, for nothing is known of it. */
export function isOwnerAlive(owner: string): boolean {
  const [host, boot, pid, startTime] = owner.split(" ");
  if (host !== hostname()) return true;
  if (boot !== bootId()) return false;
  return isProcessAlive(Number(pid), startTime === "-" ? undefined : startTime);
}

/** Whether there still is the process that started then; where the system says no start times (undefined), one with its id. */
export function isProcessAlive(pid: number, startTime: string | undefined): boolean {
  const now = startTimeOf(pid);
  if (startTime !== undefined || now !== undefined) return now === startTime;
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** Another one after each start of the machine; empty where the system doesn't say. */
function bootId(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    return "";
  }
}
