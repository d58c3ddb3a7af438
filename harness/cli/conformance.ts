import { randomBytes } from "node:crypto";
import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { pathToFileURL } from "node:url";

import { didYouMean } from "../../services/nearest.ts";
import { conformancePage, differences, scoresOn } from "../conformance/page.ts";
import type { Property } from "../conformance/property.ts";
import { score, type Score } from "../conformance/scorecard.ts";
import { paintFor, type Paint } from "../report/text.ts";
import { planScenario } from "../scenario/planner.ts";
import type { World } from "../worlds/world.ts";
import { CliError, exitCodes, explain, usageError, type ExitCode } from "./errors.ts";
import { interruptible } from "./signals.ts";
import { openWorld } from "./worlds.ts";

/** The options of `conformance`, as the parser gives them. */
export interface ConformanceCommandOptions {
  readonly list?: boolean;
  readonly json?: boolean;
  readonly docs?: string;
  readonly check?: string;
  /** Minutes. */
  readonly within?: number;
  /** How many are measured side by side. */
  readonly jobs?: number;
  readonly out?: string;
}

const directory = join(import.meta.dirname, "../../scenarios/foreign/conformance");
const binaries = join(import.meta.dirname, "../../.flyball/foreign");

/** `flyball conformance`: what the real dubbo-go keeps of what governance promises. Answers the exit code. */
export async function conformanceCommand(
  asked: readonly string[],
  options: ConformanceCommandOptions,
): Promise<ExitCode> {
  try {
    const properties = await selectProperties(asked);
    if (options.list === true) return list(properties);
    return await measure(properties, options);
  } catch (error) {
    throw explain(error);
  }
}

/** The properties of these names, in that order; without any, all by name. */
export async function selectProperties(asked: readonly string[]): Promise<readonly Property[]> {
  const names = (await readdir(directory))
    .filter((file) => /^[a-z0-9-]+\.ts$/.test(file))
    .map((file) => basename(file, ".ts"))
    .sort();
  for (const name of asked) {
    if (!names.includes(name)) {
      throw usageError(`there is no property "${name}"; there is ${names.join(", ")}`, didYouMean(name, names));
    }
  }
  const properties = await Promise.all((asked.length > 0 ? asked : names).map(load));
  // A mistake in the last must not cost the measurement of those before.
  for (const { scenario } of properties) planScenario(scenario, { world: "docker", seed: 1 });
  return properties;
}

async function load(name: string): Promise<Property> {
  const module = (await import(pathToFileURL(join(directory, `${name}.ts`)).href)) as { readonly default: Property };
  return module.default;
}

function list(properties: readonly Property[]): ExitCode {
  for (const { name, promise, expected } of properties) {
    process.stdout.write(`${name}  (${expected})\n  ${promise.en}\n  ${promise.zh}\n`);
  }
  return exitCodes.passed;
}

async function measure(properties: readonly Property[], options: ConformanceCommandOptions): Promise<ExitCode> {
  await requireBinaries();
  const worlds = await Promise.all(Array.from({ length: options.jobs ?? 1 }, () => openWorld("docker")));
  const missing = await worlds[0]!.missing();
  if (missing !== undefined) {
    throw new CliError(missing.message, { exitCode: exitCodes.environment, hint: missing.hint });
  }
  const people = options.json === true ? process.stderr : process.stdout;
  const paint = paintFor(people);
  const say = (text: string): void => void people.write(`${text}\n`);
  const interruption = interruptible(
    () => say("stopping (once more to end at once)"),
    () => undefined,
  );
  const broken = new AbortController();
  const signal = AbortSignal.any([interruption.signal, broken.signal]);
  const out = options.out ?? join(".flyball", `conformance-${randomBytes(3).toString("hex")}`);
  const found = new Map<Property, Score>();
  const waiting = new Queue(properties);
  const untilMs = performance.now() + (options.within ?? Infinity) * 60_000;
  /** One after the other, in a world of its own. */
  const lane = async (world: World, isFirst: boolean): Promise<void> => {
    while (!signal.aborted && performance.now() <= untilMs) {
      const property = waiting.take(isFirst);
      if (property === undefined) return;
      const one = await score(property, {
        world,
        out: join(out, property.name),
        signal,
        onProgress: (message) => {
          if (people.isTTY) people.write(`\r\u001b[K  ${property.name}: ${message}\r`);
        },
      });
      if (signal.aborted) return;
      found.set(property, one);
      say(paint("dim", `${found.size}/${properties.length} ${property.name}`));
      for (const line of scoreLines(one, paint)) say(line);
    }
  };
  let trouble: ExitCode | undefined;
  try {
    await allOf(
      worlds.map((world, index) => lane(world, index === 0)),
      () => broken.abort(),
    );
  } finally {
    for (const closed of await Promise.allSettled(worlds.map(async (world) => world.close?.()))) {
      if (closed.status === "fulfilled") continue;
      const { message, exitCode } = explain(closed.reason);
      trouble ??= exitCode;
      say(`world docker: ${message}`);
    }
    interruption.stop();
  }
  const scores = properties.flatMap((property) => found.get(property) ?? []);
  say(summaryOf(scores));
  if (options.json === true) process.stdout.write(`${JSON.stringify(documentOf(scores), null, 2)}\n`);
  if (options.docs !== undefined && interruption.exitCode === undefined) await writePages(options.docs, scores, say);
  if (interruption.exitCode !== undefined) return interruption.exitCode;
  const left = properties.filter((property) => !found.has(property)).map(({ name }) => name);
  if (left.length > 0) say(`not measured within ${options.within} minutes: ${left.join(", ")}`);
  if (options.check !== undefined && !(await isAsWritten(options.check, scores, say))) return exitCodes.failed;
  const code = trouble ?? exitCodeFor(scores);
  return code === exitCodes.passed && left.length > 0 ? exitCodes.inconclusive : code;
}

/** Properties that wait to be measured. Those of Nacos are for the first lane, whose world starts the server once for all of them. */
export class Queue {
  readonly #waiting: Property[];

  constructor(properties: readonly Property[]) {
    this.#waiting = [...properties];
  }

  /** The next one for a lane; undefined when nothing is left that it may take. */
  take(isFirst: boolean): Property | undefined {
    const own = this.#waiting.findIndex(({ scenario }) => (scenario.registry?.like === "nacos") === isFirst);
    const index = own < 0 && isFirst ? 0 : own;
    return index < 0 ? undefined : this.#waiting.splice(index, 1)[0];
  }
}

/** Waits for all of them, also when one fails: `onFirst` makes the others end soon. Rejects with the first reason. */
async function allOf(running: readonly Promise<void>[], onFirst: () => void): Promise<void> {
  let first: { readonly reason: unknown } | undefined;
  const ended = running.map((one) =>
    one.catch((reason: unknown) => {
      first ??= { reason };
      onFirst();
    }),
  );
  await Promise.all(ended);
  if (first !== undefined) throw first.reason;
}

/** Whether the pages still say what was measured; tells where they don't. */
async function isAsWritten(docs: string, scores: readonly Score[], say: (text: string) => void): Promise<boolean> {
  let isSo = true;
  for (const [language, file] of pages) {
    const path = join(docs, file);
    const found = differences(await readFile(path, "utf8"), scores, language);
    for (const line of found) say(`${path}: ${line}`);
    isSo &&= found.length === 0;
  }
  if (!isSo) say(`npm run flyball -- conformance --docs ${docs} writes them anew`);
  return isSo;
}

const pages = [
  ["en", "conformance.md"],
  ["zh", "conformance.zh-CN.md"],
] as const;

async function requireBinaries(): Promise<void> {
  try {
    await Promise.all(["provider", "consumer"].map((name) => stat(join(binaries, name))));
  } catch (cause) {
    throw new CliError("the dubbo-go programs that are measured aren't built", {
      exitCode: exitCodes.environment,
      hint: "npm run foreign builds them; it needs Go 1.25 or newer, and takes minutes the first time",
      cause,
    });
  }
}

const marks = { holds: "✓", fails: "✗", unmeasured: "?" } as const;

function scoreLines({ property, outcome, evidence, verdict }: Score, paint: Paint): readonly string[] {
  const surprise =
    verdict !== "surprise"
      ? ""
      : outcome === "holds"
        ? "  expected to fail, but holds now"
        : "  expected to hold, but fails now";
  const colour = outcome === "holds" ? "green" : outcome === "fails" ? "red" : "yellow";
  return [
    `${paint(colour, `${marks[outcome]} ${outcome}`)}  ${property.promise.en}${paint("bold", surprise)}`,
    paint("dim", `    ${evidence.en}`),
    ...reportsOf(property).map((report) => paint("dim", `    ${report}`)),
  ];
}

/** Who mends what fails looks there first. */
function reportsOf({ issues }: Property): readonly string[] {
  return issues?.length === 0 ? ["no report of it is known"] : (issues ?? []);
}

function summaryOf(scores: readonly Score[]): string {
  const count = (outcome: Score["outcome"]): number => scores.filter((score) => score.outcome === outcome).length;
  const surprises = scores.filter(({ verdict }) => verdict === "surprise").length;
  return `${count("holds")} hold, ${count("fails")} fail, ${count("unmeasured")} couldn't be told; ${surprises} aren't as expected`;
}

function documentOf(scores: readonly Score[]): unknown {
  return {
    version: 1,
    subject: "dubbo-go 3.3.2",
    properties: scores.map(({ property, outcome, verdict, evidence, replay }) => ({
      name: property.name,
      area: property.area,
      promise: property.promise,
      expected: property.expected,
      outcome,
      verdict,
      evidence,
      issues: property.issues ?? [],
      replay,
    })),
  };
}

function exitCodeFor(scores: readonly Score[]): ExitCode {
  if (scores.some(({ verdict }) => verdict === "surprise")) return exitCodes.failed;
  return scores.some(({ verdict }) => verdict === "unmeasured") ? exitCodes.inconclusive : exitCodes.passed;
}

/** What wasn't measured now, or couldn't be, stays as it is written. */
async function writePages(docs: string, scores: readonly Score[], say: (text: string) => void): Promise<void> {
  const [en = "", zh = ""] = await Promise.all(
    pages.map(([, file]) => readFile(join(docs, file), "utf8").catch(() => "")),
  );
  const all = await selectProperties([]);
  const written = scoresOn({ en, zh }, all);
  const merged = all.flatMap((property) => {
    const isItself = (score: Score): boolean => score.property.name === property.name;
    const [now, before] = [scores.find(isItself), written.find(isItself)];
    return (now?.outcome === "unmeasured" ? (before ?? now) : (now ?? before)) ?? [];
  });
  for (const [language, file] of pages) {
    await writeFile(join(docs, file), conformancePage(merged, language));
    say(`wrote ${join(docs, file)}`);
  }
}
