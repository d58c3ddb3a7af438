import { createRandom } from "../../runtime/random.ts";
import { faults } from "../faults/table.ts";
import { planCheck } from "../judge/judge.ts";
import { constantArrivals, lengthUs, poissonArrivals, type Leg } from "../load/arrivals.ts";
import type { Primitive } from "../worlds/world.ts";
import { durationUs, formatDuration, fractionOf, ratePerSecond, windowUs, type Window } from "./durations.ts";
import { inPart, ScenarioError } from "./error.ts";
import { hashOf } from "./hash.ts";
import { checkForeign, registryOf } from "./foreign.ts";
import { instancesOf } from "./instances.ts";
import { isOfBank, known, planNodes, roleOf } from "./nodes.ts";
import { planProcesses } from "./processes.ts";
import type {
  CheckPlan,
  CoordinatorName,
  DrivePlan,
  LoadName,
  NodePlan,
  Plan,
  RegistryName,
  StepPlan,
  WorldName,
} from "./plan.ts";
import type { CheckSpec, LoadSpec, Scenario } from "./schema.ts";
import { checkSize } from "./size.ts";
import { checkService, planTimeline } from "./timeline.ts";

export interface PlanOptions {
  readonly world: WorldName;
  readonly seed: number;
  /**
   * What serves as registry and config centre. Default: what the scenario says (`registry.like`), else "zookeeper" in `docker`
   * where programs that aren't ours must find it, else "embedded".
   */
  readonly registry?: RegistryName | undefined;
  /** What coordinates the transactions of a bank. Default "embedded"; only `docker` has another. */
  readonly coordinator?: CoordinatorName | undefined;
  /** What the world can do; a scenario that needs more is refused. Absent: everything. */
  readonly primitives?: ReadonlySet<Primitive> | undefined;
  /** Who makes the calls. Default "builtin". */
  readonly load?: LoadName | undefined;
  /** World `local`: nodes that share a process, at most. `sim` has one process for all anyway. Default: each has its own. */
  readonly pack?: number | undefined;
  /** Where the scenario's file is: the modules of its own services are named from there. Default: from where the program runs. */
  readonly directory?: string | undefined;
}

/**
 * Resolves a scenario for one world and one seed: a pure function. Throws a `ScenarioError` for everything that can't work
 * (names that don't exist, steps that contradict each other, checks without enough trials), before anything starts.
 */
export function planScenario(
  scenario: Scenario,
  {
    world,
    seed,
    registry: asked,
    coordinator = "embedded",
    primitives,
    load = "builtin",
    pack,
    directory,
  }: PlanOptions,
): Plan {
  if (load !== "builtin" && world === "sim") {
    throw new ScenarioError(`world sim can't do "--load ${load}": nobody outside of it can reach its nodes`, {
      code: "UNSUPPORTED",
      hint: "--world local",
    });
  }
  if (coordinator !== "embedded" && world !== "docker") {
    throw new ScenarioError(
      `world ${world} can't do "--coordinator ${coordinator}": it has no servers that aren't ours`,
      {
        code: "UNSUPPORTED",
        hint: "--world docker",
      },
    );
  }
  if (pack !== undefined && world === "docker") {
    throw new ScenarioError(`world docker can't do "--pack ${pack}": a container holds one node`, {
      code: "UNSUPPORTED",
      hint: "--world local",
    });
  }
  const isSaga = Object.values(scenario.fleet).some((spec) => spec.program === "order" && spec.mode === "saga");
  if (coordinator === "seata" && isSaga) {
    // Seata's server leaves sagas to an engine of its own in their callers, and drives no step of one.
    throw new ScenarioError('a saga can\'t have "--coordinator seata": our sagas are decided by our coordinator', {
      code: "UNSUPPORTED",
      hint: "leave the option out, or choose mode tcc or at",
    });
  }
  const asksAgain = scenario.expect.some((spec) => spec.check === "tcc-fence" && spec.shows === "duplicate-cancel");
  if (coordinator === "seata" && asksAgain) {
    // Its server waits 15 s for a branch's answer, whatever branchTimeout says.
    throw new ScenarioError(
      'second cancels can\'t have "--coordinator seata": it waits too long before it asks again',
      {
        code: "UNSUPPORTED",
        hint: "leave the option out",
      },
    );
  }
  checkSize(scenario);
  const registry = registryOf(scenario, world, asked);
  const nodes = planNodes(scenario, { registry, coordinator, load, directory });
  const { drives, durationUs: loadUs } = planLoad(scenario, seed);
  const isForeign = world === "docker" && registry !== "embedded";
  const planned = planTimeline(scenario, { nodes, durationUs: loadUs });
  const timeline = isForeign ? planned.map(withForeignRegistry) : planned;
  if (primitives !== undefined) checkPrimitives(timeline, { world, primitives });
  if (isForeign) checkRealRegistry(timeline, registry);
  checkMachines(timeline, {
    isReal: ({ id }) =>
      (id === "coordinator/0" && coordinator !== "embedded") ||
      id === "database/0" ||
      (isForeign && isRegistryOrConfigCenter(id)),
    hasDatabase: ({ program }) => coordinator !== "embedded" && (program === "account" || program === "stock"),
    nodes,
  });
  checkForeign(nodes, { world, registry, load, timeline });
  checkWindows(scenario, loadUs);
  const context = { scenario, world, nodes, drives, timeline, durationUs: loadUs };
  return {
    scenario,
    world,
    seed,
    registry,
    ...(nodes.some(isOfBank) && { coordinator, settleUs: settleUsOf(nodes) }),
    ...(load !== "builtin" && { load }),
    scenarioHash: hashOf(scenario),
    nodes,
    ...(pack !== undefined && world === "local" && { processes: planProcesses(nodes, timeline, pack) }),
    tracing: scenario.tracing && { sample: fractionOf(scenario.tracing.sample) },
    hasMutualTls: scenario.security?.mtls === true,
    isScraped: scenario.expect.some(({ check }) => check === "metrics"),
    ...watchedBy(timeline),
    rules: Object.entries(scenario.rules ?? {}).map(([key, content]) => ({ key, content })),
    drives,
    timeline,
    checks: distinctlyNamed(
      scenario.expect.map((spec, index) => inPart(["expect", index], () => planCheck(spec, context))),
    ),
    durationUs: loadUs,
    drainUs: longestCallUs(nodes) + drainMarginUs,
  };
}

/** A call's own time when the scenario states none: Dubbo's. */
const defaultTimeoutMs = 1_000;
/** What a busy machine may add to a deadline. */
const drainMarginUs = 1_000_000;

/** A transaction's own time where the scenario states none: Seata's. */
const defaultTransactionMs = 60_000;
/** Pauses between two looks of the coordinator: it finds that one timed out, asks those who were away, and asks again. */
const settleLooks = 5;
const defaultLookMs = 1_000;

/**
 * A participant that lost the coordinator without hearing of it notices that it is silent (`embedded.ts`; a Seata client does likewise).
 */
const silenceMs = 15_000;

/** Whose manager died is rolled back by its timeout; what then fails, or finds nobody, is tried again. */
function settleUsOf(nodes: readonly NodePlan[]): number {
  const timeouts = nodes.map(({ program, config }) =>
    program === "order" ? ((config["timeoutMs"] as number | undefined) ?? defaultTransactionMs) : 0,
  );
  const { config = {} } = nodes.find(({ program }) => program === "coordinator") ?? {};
  const lookMs = Math.max(defaultLookMs, (config["retryMs"] as number | undefined) ?? 0);
  return (Math.max(...timeouts) + silenceMs + settleLooks * lookMs) * 1000 + drainMarginUs;
}

interface Timed {
  readonly timeoutMs?: number;
}

function longestCallUs(nodes: readonly NodePlan[]): number {
  const timeouts = nodes.flatMap(({ config }) => {
    const { calls, alsoCalls = [] } = config as { readonly calls?: Timed; readonly alsoCalls?: readonly Timed[] };
    return [...(calls === undefined ? [] : [calls]), ...alsoCalls].map(({ timeoutMs = defaultTimeoutMs }) => timeoutMs);
  });
  return Math.max(0, ...timeouts) * 1000;
}

/** Every consumer's calls. Each instance and each load draws from a stream of its own. */
function planLoad(
  scenario: Scenario,
  seed: number,
): { readonly drives: readonly DrivePlan[]; readonly durationUs: number } {
  const consumers = Object.entries(scenario.fleet).flatMap(([name, spec]) =>
    roleOf(spec) === "consumer" ? [name] : [],
  );
  const random = createRandom(seed).fork("load");
  const due = new Map<string, readonly number[]>();
  let longestUs = 0;
  for (const [index, load] of scenario.load.entries()) {
    known(`load.${index}.on`, load.on, consumers, "consumer of the fleet");
    const spec = scenario.fleet[load.on]!;
    const count = instancesOf(spec);
    const legs = legsOf(load);
    longestUs = Math.max(longestUs, lengthUs(legs));
    const dealt = load.arrivals === "constant" ? constantArrivals(legs, count) : undefined;
    for (let instance = 0; instance < count; instance++) {
      const node = `${load.on}/${instance}`;
      const own = dealt?.[instance] ?? poissonArrivals(legs, 1 / count, random.fork(`${index} ${node}`));
      due.set(node, merged(due.get(node), own));
    }
  }
  // A gateway may have all its calls from outside.
  const mustCall = consumers.filter((name) => scenario.fleet[name]!.program === "consumer");
  const idle = mustCall.find((name) => !scenario.load.some(({ on }) => on === name));
  if (idle !== undefined) {
    throw new ScenarioError(`fleet.${idle} is a consumer without a load`, {
      code: "INVALID_SCENARIO",
      hint: `for example constant("20/s").on("${idle}").for("8s")`,
    });
  }
  const drives = [...due].map(([node, dueUs]) => ({ node, dueUs }));
  if (drives.every(({ dueUs }) => dueUs.length === 0)) {
    throw new ScenarioError("the load makes no call at all", {
      code: "INVALID_SCENARIO",
      hint: "raise load.0.legs.0.rate",
      path: ["load"],
    });
  }
  return { drives, durationUs: longestUs };
}

function legsOf(load: LoadSpec): readonly Leg[] {
  return load.legs.map(({ rate, to, for: length }) => ({
    fromPerSecond: ratePerSecond(rate),
    toPerSecond: ratePerSecond(to ?? rate),
    lengthUs: durationUs(length),
  }));
}

/** Two loads of one consumer at the same time. */
function merged(some: readonly number[] | undefined, more: readonly number[]): readonly number[] {
  return some === undefined ? more : [...some, ...more].sort((a, b) => a - b);
}

function checkPrimitives(
  timeline: readonly StepPlan[],
  { world, primitives }: { readonly world: WorldName; readonly primitives: ReadonlySet<Primitive> },
): void {
  for (const { what } of timeline) {
    const lacking = primitivesOf(what).filter((primitive) => !primitives.has(primitive));
    if (lacking.length === 0) continue;
    const kind = what.kind === "fault" ? what.fault.kind : what.kind;
    throw new ScenarioError(`world ${world} can't do "${kind}": it has no ${lacking.join(", ")}`, {
      code: "UNSUPPORTED",
      hint: "choose another world with --world",
    });
  }
}

function withForeignRegistry(step: StepPlan): StepPlan {
  if (step.what.kind !== "fault" || step.what.fault.kind !== "session-expiry") return step;
  return { ...step, what: { ...step.what, isRegistryForeign: true } };
}

/** A real registry tells its clients what it thinks right, and nobody can make it do otherwise. */
function checkRealRegistry(timeline: readonly StepPlan[], registry: RegistryName): void {
  for (const { what } of timeline) {
    if (what.kind !== "fault") continue;
    const { kind } = what.fault;
    // Whoever has a session's id and password can end it: ZooKeeper asks for no more.
    if (kind === "session-expiry" && registry === "zookeeper") continue;
    if (
      !primitivesOf(what).some((primitive) => primitive.startsWith("registry.") || primitive === "config.retell") &&
      kind !== "half-pushed-rule"
    )
      continue;
    throw new ScenarioError(`"${kind}" can't be done to a real ${registry}: only to the embedded registry`, {
      code: "UNSUPPORTED",
      hint: `--world sim,local shows it in ${registry}'s manner; cut the links to the real one instead`,
    });
  }
}

/** A machine is broken from inside of the program that runs on it, and only what that keeps on its own disk is lost with it. */
function checkMachines(
  timeline: readonly StepPlan[],
  {
    nodes,
    isReal,
    hasDatabase,
  }: {
    readonly nodes: readonly NodePlan[];
    readonly isReal: (node: NodePlan) => boolean;
    readonly hasDatabase: (node: NodePlan) => boolean;
  },
): void {
  for (const { what } of timeline) {
    if (what.kind !== "fault") continue;
    const { kind } = what.fault;
    const { shows, primitives } = faults[kind];
    if (shows === undefined && !primitives.some((primitive) => fromInside.has(primitive))) continue;
    const own = nodes.filter(({ id }) => what.nodes.includes(id));
    const server = own.find((node) => isReal(node));
    const elsewhere = shows === "disk" ? own.find((node) => hasDatabase(node)) : undefined;
    const node = server ?? elsewhere;
    if (node === undefined) continue;
    throw new ScenarioError(
      server === undefined
        ? `"${kind}" can't be done to ${node.id}: its rows are in PostgreSQL, and not on its own disk`
        : `"${kind}" can't be done to ${node.id}: it is a server of somebody else's, and can't be broken from inside`,
      { code: "UNSUPPORTED", hint: "--world local, or --registry embedded and no --coordinator" },
    );
  }
}

/** What only our own programs let be done to them. */
const fromInside: ReadonlySet<Primitive> = new Set(["node.slow", "node.hang", "node.block"]);

const isRegistryOrConfigCenter = (id: string): boolean => id === "registry/0" || id === "config-center/0";

/** Evidence that nodes gather only for faults that need it. */
function watchedBy(timeline: readonly StepPlan[]): Pick<Plan, "watched"> {
  const shows = timeline.flatMap(({ what }) => (what.kind === "fault" ? (faults[what.fault.kind].shows ?? []) : []));
  return shows.length === 0 ? {} : { watched: [...new Set(shows)] };
}

function primitivesOf(what: StepPlan["what"]): readonly Primitive[] {
  switch (what.kind) {
    case "fault":
      return faults[what.fault.kind].primitives;
    case "stop":
      return ["node.stop"];
    case "restart":
      return ["node.stop", "node.restart"];
    case "publish":
    case "rollout":
      return [];
  }
}

/** Checks must look at something that happens. */
function checkWindows(scenario: Scenario, loadUs: number): void {
  for (const [index, check] of scenario.expect.entries()) {
    checkService(`expect.${index}.service`, check.service, scenario);
    for (const { key, fromUs, toUs } of stretches(check, index)) {
      if (fromUs < loadUs && toUs <= loadUs) continue;
      const when = fromUs < loadUs ? `ends at ${formatDuration(toUs)}` : `begins at ${formatDuration(fromUs)}`;
      throw new ScenarioError(`expect.${index}.${key} ${when}, but the load ends after ${formatDuration(loadUs)}`, {
        code: "INVALID_SCENARIO",
        hint: "move it, or make the load longer",
      });
    }
  }
}

/** The stretches of the load that a check names, by the keys that name them. */
function stretches(check: CheckSpec, index: number): readonly (Window & { readonly key: string })[] {
  if (check.check === "recovery") {
    const fromUs = durationUs(check.after) + durationUs(check.within);
    return [{ key: "after", fromUs, toUs: fromUs }];
  }
  return (["during", "outside"] as const).flatMap((key) => {
    const text = (check as Partial<Record<typeof key, string>>)[key];
    return text === undefined ? [] : [{ key, ...inPart(["expect", index, key], () => windowUs(text)) }];
  });
}

/** Two checks that differ only in what their names leave out get numbers. */
function distinctlyNamed(checks: readonly CheckPlan[]): readonly CheckPlan[] {
  const seen = new Map<string, number>();
  return checks.map((check) => {
    const count = (seen.get(check.name) ?? 0) + 1;
    seen.set(check.name, count);
    return count === 1 ? check : { ...check, name: `${check.name} (${count})` };
  });
}
