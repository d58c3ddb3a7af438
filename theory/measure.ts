import { nodeHost } from "../harness/cli/host.ts";
import { loadCalls } from "../harness/judge/summary.ts";
import { runScenario } from "../harness/run.ts";
import { consumer, poisson, provider, scenario, successRate } from "../harness/scenario/builders.ts";
import type { CallsSpec } from "../harness/scenario/schema.ts";
import type { CallRecord, History } from "../harness/history/history.ts";
import { simWorld } from "../harness/worlds/sim/world.ts";

/** Mean service time of every queue here, in seconds. */
const meanServiceS = 0.01;

export interface QueueExperiment {
  /** Provider instances, and calls that each works on at a time. */
  readonly instances: number;
  readonly capacity?: number;
  /** Offered load per worker, 0 to 1. */
  readonly utilisation: number;
  /** Calls to measure. */
  readonly calls: number;
  readonly balancer?: string;
  readonly errorRate?: number;
  readonly retries?: number;
  readonly retryBudget?: CallsSpec["retryBudget"];
  readonly serviceTime?: "exponential" | "none";
  readonly weights?: readonly number[];
  readonly seed?: number;
  /** The share of calls that must succeed: the run needs a check, and theory says what to expect. */
  readonly successAtLeast?: number;
}

/** A load on a fleet through the whole product (plan, consumer, runtime, provider's queue, history), on links that cost nothing. */
export async function measure(experiment: QueueExperiment): Promise<History> {
  const { instances, capacity = 1, utilisation, calls, balancer = "weighted-random" } = experiment;
  const perSecond = (utilisation * instances * capacity) / meanServiceS;
  const seconds = Math.ceil(calls / perSecond);
  const work = {
    capacity,
    serviceTime: experiment.serviceTime === "none" ? "0ms" : { exponential: { mean: `${meanServiceS * 1000}ms` } },
    ...(experiment.errorRate !== undefined && { errorRate: experiment.errorRate }),
  };
  const value = scenario({
    name: "theory",
    title: { en: "A queue from a textbook", zh: "教科书里的队列" },
    explanation: { en: "Measured against its closed form.", zh: "与闭式解对照。" },
    tags: [],
    fleet: {
      clients: consumer({
        instances: 1,
        calls: "servers",
        timeout: "60m",
        retries: experiment.retries ?? 0,
        balancer,
        ...(experiment.retryBudget !== undefined && { retryBudget: experiment.retryBudget }),
      }),
      servers: provider(
        experiment.weights === undefined
          ? { instances, ...work }
          : { groups: experiment.weights.map((weight) => ({ instances: 1, weight })), ...work },
      ),
    },
    load: poisson(`${perSecond}/s`).on("clients").for(`${seconds}s`),
    timeline: [],
    expect: [
      successRate("servers")
        .atLeast(experiment.successAtLeast ?? 0.99)
        .detects(Math.max(0, (experiment.successAtLeast ?? 0.99) - 0.5)),
    ],
  });
  const free = { kind: "constant" as const, us: 0 };
  const world = simWorld({ host: await nodeHost(), parameters: { link: free } });
  const { history, result } = await runScenario(value, { world, seed: experiment.seed ?? 1 });
  if (result.verdict !== "pass")
    throw new Error(`${result.verdict}: ${result.checks[0]?.message ?? ""} ${result.reason ?? ""}`);
  return history;
}

/** Times in system, in units of the mean service time, in the order of arrival; the first tenth is left to settle. */
export function timesInSystem(history: History): number[] {
  return settled(history).map(({ beginUs, endUs }) => (endUs - beginUs) / 1e6 / meanServiceS);
}

/** The calls after the first tenth of the load, when the queues are in their steady state. */
export function settled(history: History): CallRecord[] {
  const calls = loadCalls(history);
  return calls.slice(Math.floor(calls.length / 10));
}
