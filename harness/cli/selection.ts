import { statSync } from "node:fs";

import { didYouMean } from "../../services/nearest.ts";
import type { LoadDriver } from "../load/driver.ts";
import { ScenarioError } from "../scenario/error.ts";
import {
  coordinatorNames,
  ownFileOf,
  type CoordinatorName,
  type LoadName,
  type Plan,
  type RegistryName,
  type WorldName,
} from "../scenario/plan.ts";
import { planScenario } from "../scenario/planner.ts";
import { registryNames } from "../scenario/registry.ts";
import { applySets } from "../scenario/set.ts";
import type { World } from "../worlds/world.ts";
import { selectScenarios, type Listed } from "./catalog.ts";
import { usageError } from "./errors.ts";
import { lastFailed } from "./last-run.ts";
import { openLoad, parseLoad } from "./loads.ts";
import { defaultWorlds, openWorld, parseWorlds } from "./worlds.ts";

/** The options of `run`, as the parser gives them. */
export interface RunCommandOptions {
  readonly world?: readonly string[];
  readonly load?: string;
  readonly seed?: number;
  readonly seeds?: number;
  readonly registry?: string;
  readonly coordinator?: string;
  readonly pack?: number;
  readonly set?: readonly string[];
  readonly out?: string;
  readonly json?: boolean;
  readonly reporter?: readonly string[];
  readonly all?: boolean;
  readonly tag?: string;
  readonly grep?: string;
  readonly shard?: Shard;
  readonly lastFailed?: boolean;
  readonly bail?: boolean;
  readonly overlap?: boolean;
  readonly list?: boolean;
  readonly dryRun?: boolean;
  readonly checkDeterminism?: boolean;
}

/** The `index`-th of `count` parts of the scenarios, from 1 on. */
export interface Shard {
  readonly index: number;
  readonly count: number;
}

/** What is going to run. */
export interface Selection {
  readonly scenarios: readonly Listed[];
  readonly worlds: ReadonlyMap<WorldName, World>;
  /** Makes the calls from outside; absent: the consumers make them. */
  readonly load: LoadDriver | undefined;
  readonly seeds: readonly number[];
  readonly registry: RegistryName | undefined;
  readonly coordinator: CoordinatorName | undefined;
  /** Plans of the first seed: a scenario in a world, or why it can't be there. */
  readonly plans: ReadonlyMap<Listed, ReadonlyMap<WorldName, Plan | ScenarioError>>;
}

export async function select(asked: readonly string[], options: RunCommandOptions): Promise<Selection> {
  const names = worldsOf(options);
  const load = await openLoad(loadOf(options));
  const seeds = seedsOf(options);
  const registry = registryOf(options);
  const coordinator = coordinatorOf(options);
  reportersOf(options);
  const listed = await chosen(asked, options);
  checkNames(listed);
  const scenarios = listed.map((one) => ({ ...one, scenario: applySets(one.scenario, options.set ?? []) }));
  const worlds = new Map<WorldName, World>();
  for (const name of names) worlds.set(name, await openWorld(name));
  // Of many scenarios that nobody named, each runs where it can.
  const isAsked = options.world !== undefined && asked.length > 0;
  const plans = new Map(
    scenarios.map((one) => [
      one,
      plansOf(one, {
        ...{ worlds, seed: seeds[0]!, load: load?.name, registry, coordinator },
        ...{ pack: options.pack, isAsked },
      }),
    ]),
  );
  return { scenarios, worlds, load, seeds, registry, coordinator, plans };
}

/** A run leaves its files under its scenario's name, and another one may run beside it. */
function checkNames(listed: readonly Listed[]): void {
  const twice = listed.find((one, index) => listed.findIndex((other) => isNamesake(one, other)) < index);
  if (twice === undefined) return;
  const [first] = listed.filter((other) => isNamesake(twice, other));
  const { reference, scenario } = twice;
  throw first!.reference === reference
    ? usageError(`${reference} is there twice`, "name each scenario once; --seeds 2 runs it twice")
    : usageError(`${first!.reference} and ${reference} are both called "${scenario.name}"`, "give one another name");
}

const isNamesake = (one: Listed, other: Listed): boolean => one.scenario.name === other.scenario.name;

/** The scenarios that the command line means. */
export async function chosen(asked: readonly string[], options: RunCommandOptions): Promise<readonly Listed[]> {
  return sharded(await unsharded(asked, options), options.shard);
}

async function unsharded(asked: readonly string[], options: RunCommandOptions): Promise<readonly Listed[]> {
  if (options.lastFailed !== true) return selectScenarios(asked, options);
  const { all, tag, grep } = options;
  if (asked.length > 0 || all === true || tag !== undefined || grep !== undefined)
    throw usageError("--last-failed chooses the scenarios itself", "leave out names, --all, --tag and --grep");
  return selectScenarios(await lastFailed());
}

/** Nobody says which. */
export const isUnchosen = (asked: readonly string[], { tag, grep, lastFailed: again }: RunCommandOptions): boolean =>
  asked.length === 0 && tag === undefined && grep === undefined && again !== true;

function sharded(listed: readonly Listed[], shard: Shard | undefined): readonly Listed[] {
  if (shard === undefined) return listed;
  const { index, count } = shard;
  const part = listed.filter((_, at) => at % count === index - 1);
  if (part.length > 0) return part;
  throw usageError(`--shard ${index}/${count} has nothing to run: there are ${listed.length} scenarios`);
}

/** A world that was asked for must be able to do it; one that comes by default may be left out, loudly. */
function plansOf(
  { scenario, directory, locate }: Listed,
  {
    worlds,
    seed,
    load,
    registry,
    coordinator,
    pack,
    isAsked,
  }: {
    readonly worlds: ReadonlyMap<WorldName, World>;
    readonly seed: number;
    readonly load: LoadName | undefined;
    readonly registry: RegistryName | undefined;
    readonly coordinator: CoordinatorName | undefined;
    readonly pack: number | undefined;
    readonly isAsked: boolean;
  },
): ReadonlyMap<WorldName, Plan | ScenarioError> {
  const plans = new Map<WorldName, Plan | ScenarioError>();
  for (const [world, opened] of worlds) {
    const { primitives } = opened;
    try {
      const plan = planScenario(scenario, { world, seed, registry, coordinator, primitives, load, pack, directory });
      checkOwnFiles(plan);
      const refusal = opened.refuses?.(plan);
      if (refusal !== undefined) throw new ScenarioError(refusal.message, { code: "UNSUPPORTED", hint: refusal.hint });
      plans.set(world, plan);
    } catch (error) {
      if (!(error instanceof ScenarioError)) throw error;
      if (error.code !== "UNSUPPORTED" || isAsked) {
        const place = locate === undefined || error.path === undefined ? "" : `${locate(error.path)}: `;
        throw new ScenarioError(`${scenario.name} in ${world}: ${place}${error.message}`, {
          code: error.code,
          hint: error.hint,
          cause: error,
        });
      }
      plans.set(world, error);
    }
  }
  return plans;
}

/** Throws INVALID_SCENARIO for a module of the user's own that isn't there. */
function checkOwnFiles({ nodes }: Plan): void {
  for (const { service, config } of nodes) {
    const file = ownFileOf({ config });
    if (file === undefined) continue;
    const isFile = statSync(file, { throwIfNoEntry: false })?.isFile() === true;
    if (isFile && /\.m?[jt]s$/.test(file)) continue;
    throw new ScenarioError(
      `fleet.${service}.own.file: ${isFile ? `${file} is no module` : `there is no file ${file}`}`,
      {
        code: "INVALID_SCENARIO",
        hint: isFile ? "a service is a .ts, .mts, .js or .mjs file" : "it is named from where the scenario's file is",
      },
    );
  }
}

const loadOf = ({ load }: RunCommandOptions): LoadName => parseLoad(load ?? "builtin");

export function worldsOf(options: RunCommandOptions): readonly WorldName[] {
  const { world, checkDeterminism } = options;
  if (
    coordinatorOf(options) === "seata" &&
    (world === undefined || parseWorlds(world).some((name) => name !== "docker"))
  ) {
    throw usageError(
      '"--coordinator seata" is a server that isn\'t ours: only world docker has such',
      "--world docker",
    );
  }
  if (checkDeterminism !== true) {
    if (world !== undefined) return parseWorlds(world);
    // Nobody from outside reaches sim: who names a load and no world means the others.
    return loadOf(options) === "builtin" ? defaultWorlds : defaultWorlds.filter((name) => name !== "sim");
  }
  const names = world === undefined ? (["sim"] as const) : parseWorlds(world);
  if (names.some((name) => name !== "sim")) {
    throw usageError("--check-determinism is about sim: no other world repeats itself", "--world sim");
  }
  return names;
}

function seedsOf({ seed, seeds }: RunCommandOptions): readonly number[] {
  if (seed !== undefined && seeds !== undefined)
    throw usageError("--seed names one seed and --seeds many: take one of them");
  return seeds === undefined ? [seed ?? 1] : Array.from({ length: seeds }, (_, index) => index + 1);
}

/** Undefined: what each scenario says. */
function registryOf({ registry }: RunCommandOptions): RegistryName | undefined {
  if (registry === undefined) return undefined;
  const known = registryNames.find((name) => name === registry);
  if (known !== undefined) return known;
  throw usageError(
    `there is no registry "${registry}"; there is ${registryNames.join(", ")}`,
    didYouMean(registry, registryNames),
  );
}

/** Undefined: the embedded one. */
function coordinatorOf({ coordinator }: RunCommandOptions): CoordinatorName | undefined {
  if (coordinator === undefined) return undefined;
  const known = coordinatorNames.find((name) => name === coordinator);
  if (known !== undefined) return known;
  throw usageError(
    `there is no coordinator "${coordinator}"; there is ${coordinatorNames.join(", ")}`,
    didYouMean(coordinator, coordinatorNames),
  );
}

const reporterNames = ["terminal", "json", "junit", "markdown", "html", "github"] as const;
export type ReporterName = (typeof reporterNames)[number];

export function reportersOf({ reporter, json }: RunCommandOptions): ReadonlySet<ReporterName> {
  for (const name of reporter ?? []) {
    if (!reporterNames.includes(name as ReporterName)) {
      throw usageError(
        `there is no reporter "${name}"; there is ${reporterNames.join(", ")}`,
        didYouMean(name, reporterNames),
      );
    }
  }
  return new Set([
    ...((reporter as ReporterName[] | undefined) ?? ["terminal"]),
    ...(json === true ? ["json" as const] : []),
  ]);
}
