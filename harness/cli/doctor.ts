import { paintFor, table, type Paint } from "../report/text.ts";
import type { WorldName } from "../scenario/plan.ts";
import type { Finding } from "../worlds/finding.ts";
import { exitCodes, type ExitCode } from "./errors.ts";
import { openWorld, parseWorlds, worldNames } from "./worlds.ts";

/** The options of `doctor`, as the parser gives them. */
export interface DoctorOptions {
  readonly world?: readonly string[];
  readonly clean?: boolean;
  readonly json?: boolean;
}

interface WorldFindings {
  readonly world: WorldName;
  readonly isReady: boolean;
  readonly findings: readonly Finding[];
}

/** `flyball doctor`: what this machine has for each world, and what to do where something is missing. */
export async function doctorCommand({ world, clean = false, json = false }: DoctorOptions): Promise<ExitCode> {
  const names = world === undefined ? worldNames : parseWorlds(world);
  const all: WorldFindings[] = [];
  for (const name of names) {
    const findings = await examine(name, clean);
    all.push({ world: name, isReady: findings.every(({ state }) => state !== "missing"), findings });
  }
  process.stdout.write(
    json ? `${JSON.stringify({ version: 1, worlds: all }, null, 2)}\n` : text(all, paintFor(process.stdout)),
  );
  return all.every(({ isReady }) => isReady) ? exitCodes.passed : exitCodes.environment;
}

async function examine(name: WorldName, isCleaning: boolean): Promise<readonly Finding[]> {
  if (name === "docker") {
    const { examineDocker } = await import("../worlds/docker/doctor.ts");
    return examineDocker({ isCleaning });
  }
  const missing = await (await openWorld(name)).missing();
  if (missing !== undefined) return [{ name: "system", state: "missing", ...missing }];
  const node: Finding = { name: "Node.js", state: "ok", message: process.version };
  if (name === "sim") return [node];
  const { examineLocal } = await import("../worlds/local/doctor.ts");
  return [node, ...(await examineLocal({ isCleaning }))];
}

function text(all: readonly WorldFindings[], paint: Paint): string {
  const lines = all.flatMap(({ world, isReady, findings }) => {
    const rows = findings.flatMap(({ name, state, message, hint }) => [
      [mark(state, paint), name, message],
      ...(hint === undefined ? [] : [["", "", paint("dim", hint)]]),
    ]);
    const state = isReady ? paint("green", "ready") : paint("red", "something is missing");
    return [`${paint("bold", world)}  ${state}`, ...table([{}, {}, {}], rows).map((line) => `  ${line}`)];
  });
  return `${lines.join("\n")}\n`;
}

function mark(state: Finding["state"], paint: Paint): string {
  switch (state) {
    case "ok":
      return paint("green", "✓");
    case "advice":
      return paint("yellow", "!");
    case "missing":
      return paint("red", "✗");
  }
}
