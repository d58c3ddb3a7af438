import { readFileSync } from "node:fs";

/**
 * When a process started, in a unit of the kernel's own: together with the id it names one process for ever. Undefined where
 * there is no such process any more (one that has ended and only waits to be noticed counts as gone), or no /proc.
 */
export function startTimeOf(pid: number): string | undefined {
  const fields = statOf(pid);
  return fields === undefined || fields[0] === "Z" || fields[0] === "X" ? undefined : fields[19];
}

/** A process that was told to stop (SIGSTOP) and did. */
export function isStopped(pid: number): boolean {
  return statOf(pid)?.[0] === "T";
}

/** The fields of /proc/PID/stat from the third on (proc_pid_stat(5)); the second, a name, may hold anything. */
function statOf(pid: number): readonly string[] | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  } catch {
    return undefined;
  }
}
