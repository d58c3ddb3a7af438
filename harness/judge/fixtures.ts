import type { RpcCode } from "../../runtime/call/status.ts";
import type { Random } from "../../runtime/ports/random.ts";
import type { Attempt } from "../../runtime/telemetry/events.ts";
import { createRandom } from "../../runtime/random.ts";
import type { CallRecord, History } from "../history/history.ts";
import { isInfrastructure } from "../history/collector.ts";
import type { StepRecord } from "../history/record.ts";
import { historyVersion } from "../history/record.ts";
import type { CheckResult } from "../report/verdict.ts";
import { consumer, poisson, provider, scenario, type ScenarioInput } from "../scenario/builders.ts";
import type { Plan, WorldName } from "../scenario/plan.ts";
import { planScenario } from "../scenario/planner.ts";
import type { CallsSpec, Scenario } from "../scenario/schema.ts";
import { checks } from "./table.ts";

/**
 * Hand-made histories for tests of the judge: a plan as the planner makes it, and calls as a few words say. Fleets are a
 * storefront that calls four instances of orders.
 */
export interface PlanSketch {
  readonly rate?: string;
  readonly length?: string;
  readonly world?: WorldName;
  readonly seed?: number;
  readonly timeline?: Scenario["timeline"];
  readonly retries?: number;
  /** How orders are called, beside the rest. */
  readonly calls?: Partial<CallsSpec>;
  readonly tasks?: boolean;
  readonly cluster?: string;
  /** Keys to draw from. Default: calls have none. */
  readonly keys?: number;
  /** Tags of the instances. Default: none. */
  readonly tags?: readonly (string | undefined)[];
  readonly weights?: readonly number[];
  readonly load?: Scenario["load"];
  /** The share of traces that is recorded. Default: calls aren't traced. */
  readonly sample?: number;
}

/** The plan of a scenario with these checks. Throws what the planner throws. */
export function planOf(expect: ScenarioInput["expect"], sketch: PlanSketch = {}): Plan {
  const { rate = "120/s", length = "8s", world = "sim", seed = 1, timeline = [], retries, cluster, keys } = sketch;
  const { tags = [undefined, undefined, undefined, undefined], weights = [], load, sample } = sketch;
  const value = scenario({
    name: "sketch",
    title: { en: "Sketch", zh: "草图" },
    explanation: { en: "For a test.", zh: "用于测试。" },
    fleet: {
      storefront: consumer({
        instances: 1,
        calls: "orders",
        ...(retries !== undefined && { retries }),
        ...(cluster !== undefined && { cluster }),
        ...sketch.calls,
        ...(keys !== undefined && { key: { name: "user-id", count: keys } }),
      }),
      orders: provider({
        groups: tags.map((tag, index) => ({
          instances: 1,
          ...(tag !== undefined && { tag }),
          ...(weights[index] !== undefined && { weight: weights[index] }),
        })),
      }),
    },
    load: load ?? poisson(rate).on("storefront").for(length),
    timeline,
    expect,
    ...(sample !== undefined && { tracing: { sample } }),
    ...(sketch.tasks === true && { tasks: true }),
  });
  return planScenario(value, { world, seed });
}

/** What is worth saying of a call; the rest is usual: due now, sent at once, 5 ms, one attempt at orders/0, OK. */
export interface CallSketch {
  readonly dueUs: number;
  readonly lateUs?: number;
  readonly tookUs?: number;
  readonly code?: RpcCode | "unknown";
  readonly to?: string;
  /** Instances that were tried before `to`, each for a millisecond, and failed. */
  readonly before?: readonly string[];
  readonly key?: string;
  readonly service?: string;
  readonly node?: string;
}

export function call(sketch: CallSketch): CallRecord {
  const { dueUs, lateUs = 0, tookUs = 5_000, code = "OK", to = "orders/0", before = [], key } = sketch;
  const { service = "orders", node = "storefront/0" } = sketch;
  const beginUs = dueUs + lateUs;
  const isKnown = code !== "unknown";
  const attempts: Attempt[] = before.map((instance, index) => ({
    instance,
    beginUs: beginUs + 1_000 * index,
    endUs: beginUs + 1_000 * (index + 1),
    code: "UNAVAILABLE",
  }));
  const lastUs = beginUs + 1_000 * before.length;
  if (isKnown) attempts.push({ instance: to, beginUs: lastUs, endUs: dueUs + tookUs, code });
  return {
    node,
    call: dueUs,
    service,
    method: "/flyball.worker.v1.Worker/Do",
    dueUs,
    beginUs,
    endUs: isKnown ? dueUs + tookUs : -1,
    code: isKnown ? code : undefined,
    message: isKnown && code !== "OK" ? "it is a test" : undefined,
    attempts: isKnown ? attempts : [],
    key,
    tag: undefined,
  };
}

/** Calls at even distances. */
export function calls(
  count: number,
  make: (index: number) => Partial<CallSketch> = () => ({}),
  lengthUs = 8_000_000,
): CallRecord[] {
  return Array.from({ length: count }, (_, index) =>
    call({ dueUs: Math.floor((index * lengthUs) / count), ...make(index) }),
  );
}

/** One call for each that the plan's load wants; what becomes of it is drawn. */
export function drawnCalls(
  plan: Plan,
  seed: number,
  make: (dueUs: number, random: Random) => Partial<CallSketch>,
): CallRecord[] {
  const random = createRandom(seed).fork("fixture");
  return plan.drives.flatMap(({ node, dueUs }) => dueUs.map((us) => call({ dueUs: us, node, ...make(us, random) })));
}

/** The calls as they are when each is traced, and the spans that tell of them: what nodes report that do it right. */
export function tracedCalls(made: readonly CallRecord[]): {
  readonly calls: CallRecord[];
  readonly spans: History["spans"][number][];
} {
  let last = 0;
  const id = (digits: number): string => (++last).toString(16).padStart(digits, "0");
  const spans: History["spans"][number][] = [];
  const traced = made.map((one) => {
    const { node, service, attempts, beginUs, endUs, code } = one;
    const traceId = id(32);
    const spanId = id(16);
    const common = { type: "span", traceId, name: "Do" } as const;
    for (const [index, attempt] of attempts.entries()) {
      const [attemptId, isOk] = [id(16), attempt.code === "OK"];
      const times = { beginUs: attempt.beginUs, atUs: attempt.endUs };
      spans.push({
        ...{ ...common, ...times, node, kind: "client", spanId: attemptId, parentId: spanId },
        status: isOk ? "unset" : "error",
        attributes: {
          "flyball.instance": attempt.instance,
          "flyball.attempt": index + 1,
          "rpc.status_code": attempt.code,
        },
      });
      if (!isOk) continue;
      spans.push({
        ...{ ...common, ...times, node: attempt.instance, kind: "server", spanId: id(16), parentId: attemptId },
        status: "unset",
        attributes: { "rpc.status_code": "OK" },
      });
    }
    if (code !== undefined) {
      spans.push({
        ...{ ...common, node, kind: "internal", spanId, beginUs, atUs: endUs },
        status: code === "OK" ? "unset" : "error",
        attributes: { "server.address": service, "flyball.call": one.call, "rpc.status_code": code },
      });
    }
    return { ...one, traceId, spanId };
  });
  return { calls: traced, spans };
}

/** A complete run of the plan with these calls; every step of the timeline went as it should. */
export function historyOf(plan: Plan, made: readonly CallRecord[], more: Partial<History> = {}): History {
  return {
    run: {
      type: "run",
      version: historyVersion,
      scenario: plan.scenario.name,
      scenarioHash: plan.scenarioHash,
      world: plan.world,
      seed: plan.seed,
      flyball: "0",
      node: "v0",
      nodes: plan.nodes,
      durationUs: plan.durationUs,
    },
    calls: made.filter(({ service }) => !isInfrastructure(service)),
    infrastructureCalls: made.filter(({ service }) => isInfrastructure(service)),
    steps: stepsOf(plan),
    processes: [],
    documents: [],
    clocks: [],
    disks: [],
    phases: [],
    memberships: [],
    rules: [],
    registryStates: [],
    pushes: [],
    policies: [],
    tasks: [],
    accesses: [],
    transactions: [],
    spans: [],
    gaps: [],
    heard: lastTold(made, more.transactions ?? []),
    planned: new Map(plan.drives.map(({ node, dueUs }) => [node, dueUs.length])),
    lags: [],
    rollouts: [],
    metrics: [],
    end: { type: "end", atUs: plan.durationUs + 1_000_000, outcome: "complete" },
    ...more,
  };
}

/** By node: the latest of these. */
function lastTold(made: readonly CallRecord[], transactions: History["transactions"]): ReadonlyMap<string, number> {
  const told = [...transactions, ...made.map(({ node, beginUs, endUs }) => ({ node, atUs: Math.max(beginUs, endUs) }))];
  return new Map(told.toSorted((a, b) => a.atUs - b.atUs).map(({ node, atUs }) => [node, atUs]));
}

/** Each step's records, as if it took no time; a graceful stop takes `stopUs`. */
export function stepsOf(plan: Plan, stopUs = 600_000): StepRecord[] {
  return plan.timeline
    .flatMap(({ atUs, index, what }): StepRecord[] => {
      const record = (phase: StepRecord["phase"], us: number): StepRecord => ({
        type: "step",
        atUs: us,
        index,
        what,
        phase,
      });
      const tookUs = what.kind === "stop" || what.kind === "restart" ? stopUs : 0;
      const begun = [record("apply", atUs), record("applied", atUs + tookUs)];
      if (what.kind !== "fault" || what.forUs === undefined) return begun;
      return [...begun, record("lift", atUs + what.forUs), record("lifted", atUs + what.forUs)];
    })
    .sort((a, b) => a.atUs - b.atUs);
}

/** What one check of the plan says, without regard to the run as a whole. */
export function judgeCheck(plan: Plan, history: History, index = 0): CheckResult {
  const check = plan.checks[index]!;
  return checks[check.check.check].judge(check as never, history);
}
