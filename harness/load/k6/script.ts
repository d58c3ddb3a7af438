import type { Plan } from "../../scenario/plan.ts";
import { dueHeader } from "../../../services/gateway/front.ts";
import { k6Thresholds } from "./thresholds.ts";

/** The environment variable that tells the script when the load begins: milliseconds since the epoch. */
export const startVariable = "FLYBALL_START_MS";
/** Printed by each of its users once it waits for that moment. */
export const readyMark = "flyball: ready";

/** A gateway answers every call within its timeout: one that doesn't is broken. */
const timeoutMarginMs = 5_000;
const defaultTimeoutMs = 1_000;

/**
 * A k6 script that makes exactly the plan's calls: one user a gateway, each of whose requests is sent when it is due, whatever
 * became of those before. k6's arrival-rate executors space requests evenly and drop those for which no user is free; neither is
 * the load that the plan states.
 */
export function k6Script(plan: Plan, addresses: ReadonlyMap<string, string>): string {
  const thresholds = k6Thresholds(plan);
  const drives = plan.drives.map(({ node, dueUs }) => ({
    url: `http://${addresses.get(node)!}/do`,
    timeoutMs: timeoutMs(plan, node) + timeoutMarginMs,
    tags: thresholds.flatMap(({ tag, nodes, parts }) =>
      tag === undefined || !nodes.has(node) ? [] : [{ tag, parts: parts.map(({ fromUs, toUs }) => [fromUs, toUs]) }],
    ),
    dueUs,
  }));
  const longestMs = Math.max(...drives.map((drive) => drive.timeoutMs));
  const options = {
    scenarios: {
      load: {
        executor: "per-vu-iterations",
        vus: drives.length,
        iterations: 1,
        maxDuration: `${Math.ceil((plan.durationUs / 1000 + longestMs + startWithinMs) / 1000)}s`,
        gracefulStop: "0s",
      },
    },
    thresholds: byMetric(thresholds),
    // Names of connections that are kept for the next request; without them every burst makes new ones.
    batch: 1000,
    batchPerHost: 1000,
    discardResponseBodies: true,
    systemTags: ["status", "error_code"],
    summaryTrendStats: [
      ...new Set(["min", "med", "p(90)", "p(95)", "p(99)", "max", ...thresholds.map(({ aggregate }) => aggregate)]),
    ].filter((aggregate) => aggregate !== "rate"),
  };
  return `// Made by Flyball from the scenario ${plan.scenario.name}, seed ${plan.seed}: exactly the calls of its plan.
import { SharedArray } from "k6/data";
import exec from "k6/execution";
import http from "k6/http";
import { setTimeout } from "k6/timers";

const startMs = Number(__ENV.${startVariable});
const drives = new SharedArray("drives", () => ${JSON.stringify(drives)});

export const options = ${JSON.stringify(options, undefined, 2)};

export default function () {
  const { url, timeoutMs, tags, dueUs } = drives[exec.vu.idInTest - 1];
  console.log("${readyMark}");
  return new Promise((resolve) => {
    let next = 0;
    let inFlight = 0;
    const settle = () => {
      inFlight--;
      if (inFlight === 0 && next === dueUs.length) resolve();
    };
    const turn = () => {
      while (next < dueUs.length) {
        const due = dueUs[next];
        const waitMs = startMs + due / 1000 - Date.now();
        if (waitMs > 0) {
          setTimeout(turn, waitMs);
          return;
        }
        next++;
        inFlight++;
        const own = {};
        for (const { tag, parts } of tags) {
          if (parts.some(([from, to]) => due >= from && due < to)) own[tag] = "in";
        }
        const params = { headers: { "${dueHeader}": String(due) }, redirects: 0, tags: own, timeout: timeoutMs };
        http.asyncRequest("POST", url, null, params).then(settle, settle);
      }
      if (inFlight === 0) resolve();
    };
    turn();
  });
}

export function handleSummary(data) {
  return { stdout: JSON.stringify(data) };
}
`;
}

/** k6 may wait for its start so long. */
const startWithinMs = 60_000;

function timeoutMs({ nodes }: Plan, id: string): number {
  const calls = nodes.find((node) => node.id === id)?.config["calls"] as { readonly timeoutMs?: number } | undefined;
  return calls?.timeoutMs ?? defaultTimeoutMs;
}

function byMetric(thresholds: ReturnType<typeof k6Thresholds>): Readonly<Record<string, readonly string[]>> {
  const metrics: Record<string, string[]> = {};
  for (const { metric, expression } of thresholds) {
    const expressions = (metrics[metric] ??= []);
    if (!expressions.includes(expression)) expressions.push(expression);
  }
  return metrics;
}
