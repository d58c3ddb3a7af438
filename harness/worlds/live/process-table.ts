import { readdirSync, readFileSync } from "node:fs";

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

/** The live children of a process, in the order of their ids. */
export function childrenOf(parent: number): readonly number[] {
  return allProcesses().filter((pid) => parentOf(pid) === parent);
}

/** Every live process, in the order of their ids; none where the system has no /proc. */
export function allProcesses(): readonly number[] {
  let names: readonly string[];
  try {
    names = readdirSync("/proc");
  } catch {
    return [];
  }
  const pids = names.flatMap((name) => (/^\d+$/.test(name) ? [Number(name)] : []));
  return pids.filter((pid) => startTimeOf(pid) !== undefined).sort((a, b) => a - b);
}

/** The process that a process ends with or outlives. */
export function parentOf(pid: number): number | undefined {
  const parent = statOf(pid)?.[1];
  return parent === undefined ? undefined : Number(parent);
}

/** A variable of the environment that a process was started with; undefined also where it may not be read. */
export function environmentOf(pid: number, name: string): string | undefined {
  try {
    const variables = readFileSync(`/proc/${pid}/environ`, "utf8").split("\0");
    return variables.find((each) => each.startsWith(`${name}=`))?.slice(name.length + 1);
  } catch {
    return undefined;
  }
}

/** The command line of a process, its arguments separated by spaces. */
export function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trimEnd();
  } catch {
    return "";
  }
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
