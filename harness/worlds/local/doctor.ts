import { statfs } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";

import type { Finding } from "../finding.ts";
import { findLeftovers, removeLeftovers, type Leftovers } from "./leftovers.ts";
import { freePorts } from "../../../runtime/node/free-ports.ts";

/** What world `local` lives on. */
export interface Machine {
  readonly processors: number;
  readonly memoryBytes: number;
  /** Files that one process may have open at most. */
  readonly filesMax: number;
  /** Where nodes have their disks, and where runs are written to. */
  readonly disks: readonly { readonly path: string; readonly freeBytes: number }[];
  /** Whether nodes' programs can be read as one file. */
  readonly hasBundler: boolean;
  /** Why no ports can be had; undefined: they can. */
  readonly portProblem: string | undefined;
}

const mib = 2 ** 20;
const gib = 2 ** 30;

/** A process of Node.js with the runtime takes about 60 MiB: fleets of the scenarios have up to a dozen. */
const memoryBytesGood = gib;
/** A node has a connection to each instance that it calls; the harness has one to each node, and two for each link with a fault. */
const filesGood = 4_096;
/** A history takes about 400 bytes a call. */
const diskBytes = { good: gib, least: 50 * mib };

/** What this machine has and lacks for world `local`; with `isCleaning`, what dead runs left is removed. */
export async function examineLocal({ isCleaning }: { readonly isCleaning: boolean }): Promise<readonly Finding[]> {
  const leftovers = findLeftovers();
  if (isCleaning) await removeLeftovers(leftovers);
  return [...findingsOf(await thisMachine()), leftoversFinding(leftovers, isCleaning)];
}

export function findingsOf(machine: Machine): readonly Finding[] {
  const { processors, memoryBytes, filesMax, disks, hasBundler, portProblem } = machine;
  return [
    finding(
      "processors",
      String(processors),
      processors > 1,
      "timing checks are often inconclusive on one: use --world sim",
    ),
    finding(
      "memory",
      `${size(memoryBytes)} available`,
      memoryBytes >= memoryBytesGood,
      "end other programs, or run small fleets",
    ),
    finding(
      "open files",
      `up to ${filesMax} a process`,
      filesMax >= filesGood,
      `raise the limit: ulimit -n ${filesGood * 4}`,
    ),
    finding(
      "bundler",
      hasBundler
        ? "rolldown"
        : "rolldown isn't here or doesn't run: nodes take more than three times the processor time to start",
      hasBundler,
      "npm ci, without leaving out optional packages",
    ),
    ...disks.map(({ path, freeBytes }): Finding => {
      const message = `${size(freeBytes)} free in ${path}`;
      const hint =
        path === tmpdir()
          ? "make room, or name another directory in TMPDIR"
          : "make room, or write elsewhere with --out DIR";
      if (freeBytes < diskBytes.least) return { name: "disk", state: "missing", message, hint };
      return finding("disk", message, freeBytes >= diskBytes.good, hint);
    }),
    portProblem === undefined
      ? { name: "ports", state: "ok", message: "free on loopback" }
      : {
          name: "ports",
          state: "missing",
          message: portProblem,
          hint: "see who listens: ss -ltn; let the loopback interface be up: ip link set lo up",
        },
  ];
}

function finding(name: string, message: string, isGood: boolean, hint: string): Finding {
  return isGood ? { name, state: "ok", message } : { name, state: "advice", message, hint };
}

async function thisMachine(): Promise<Machine> {
  const paths = [...new Set([tmpdir(), process.cwd()])];
  return {
    processors: availableParallelism(),
    memoryBytes: process.availableMemory(),
    filesMax: openFilesMax(),
    disks: await Promise.all(
      paths.map(async (path) => {
        const { bavail, bsize } = await statfs(path);
        return { path, freeBytes: bavail * bsize };
      }),
    ),
    hasBundler: await import("rolldown").then(
      () => true,
      () => false,
    ),
    portProblem: await portProblem(),
  };
}

/** Node.js raises the soft limit to the hard one when it starts. */
function openFilesMax(): number {
  // Names of peers would be looked up for nothing.
  (process.report as { excludeNetwork?: boolean }).excludeNetwork = true;
  const { userLimits } = process.report.getReport() as {
    readonly userLimits?: { readonly open_files?: { readonly soft: number | "unlimited" } };
  };
  const soft = userLimits?.open_files?.soft ?? "unlimited";
  return soft === "unlimited" ? Infinity : soft;
}

/** As many as a small fleet takes. */
async function portProblem(): Promise<string | undefined> {
  try {
    await freePorts(32);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

export function leftoversFinding({ processes, directories }: Leftovers, isCleaning: boolean): Finding {
  const name = "leftovers";
  if (processes.length + directories.length === 0) return { name, state: "ok", message: "none" };
  const what = `${count(processes.length, "process", "es")} and ${count(directories.length, "director", "ies", "y")} of dead runs`;
  if (isCleaning) return { name, state: "ok", message: `removed ${what}` };
  return { name, state: "advice", message: what, hint: "flyball doctor --clean removes them" };
}

const count = (number: number, what: string, many: string, one = ""): string =>
  `${number} ${what}${number === 1 ? one : many}`;

const size = (bytes: number): string =>
  bytes >= gib ? `${(bytes / gib).toFixed(1)} GiB` : `${Math.floor(bytes / mib)} MiB`;
