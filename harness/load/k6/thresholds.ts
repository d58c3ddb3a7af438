import { falseAlarmMax } from "../../judge/check.ts";
import { isIn, partsOf } from "../../judge/select.ts";
import { criticalCount } from "../../judge/statistics.ts";
import { durationUs, fractionOf, type Window } from "../../scenario/durations.ts";
import type { CheckPlan, Plan } from "../../scenario/plan.ts";

/** A check of the scenario as k6 can hold it, by its own measurements from outside of the fleet. */
export interface K6Threshold {
  readonly check: CheckPlan;
  /** "http_req_failed", of all requests; or "http_req_failed{c0:in}", of those that the check is about. */
  readonly metric: string;
  /** As k6 takes it: "rate<0.0312", "p(93.1)<=300". */
  readonly expression: string;
  /** The aggregate that is compared: "rate", "p(93.1)". */
  readonly aggregate: string;
  /** The tag that requests carry which the check is about; undefined: it is about all of them. */
  readonly tag: string | undefined;
  /** The nodes whose calls it is about, and when. */
  readonly nodes: ReadonlySet<string>;
  readonly parts: readonly Window[];
  /** Requests that it is about. */
  readonly trials: number;
}

/**
 * The plan's checks that k6 can hold: success rates and latencies of services that gateways call themselves. A threshold is where
 * the judge's own test of that check is (same trials, same bound on false alarms), so that the two differ only in what they measure:
 * k6 counts HTTP requests from outside, and their time from when they were sent; a failed one counts with the time that it took.
 */
export function k6Thresholds(plan: Plan): readonly K6Threshold[] {
  return plan.checks.flatMap((planned, index) => {
    const { check } = planned;
    if (check.check !== "success-rate" && check.check !== "latency") return [];
    const drives = plan.drives.filter(({ node }) => calleeOf(plan, node) === check.service);
    const parts = partsOf(check, plan.durationUs);
    const trials = drives.reduce((sum, { dueUs }) => sum + dueUs.filter((due) => isIn(parts, due)).length, 0);
    if (trials === 0) return [];
    const isAll = drives.length === plan.drives.length && check.during === undefined && check.outside === undefined;
    const tag = isAll ? undefined : `c${index}`;
    const own = { check: planned, tag, nodes: new Set(drives.map(({ node }) => node)), parts, trials };
    const of = (metric: string): string => (tag === undefined ? metric : `${metric}{${tag}:in}`);
    if (check.check === "success-rate") {
      const critical = criticalCount(trials, 1 - fractionOf(check.atLeast), falseAlarmMax);
      if (critical > trials) return [];
      return [{ ...own, metric: of("http_req_failed"), expression: `rate<${critical / trials}`, aggregate: "rate" }];
    }
    const critical = criticalCount(trials, 1 - check.percentile / 100, falseAlarmMax);
    if (critical > trials || trials < 2) return [];
    // k6 interpolates between ranks: this percentile is the rank of the slowest call that may not be slow.
    const aggregate = `p(${(100 * (trials - critical)) / (trials - 1)})`;
    const expression = `${aggregate}<=${durationUs(check.atMost) / 1000}`;
    return [{ ...own, metric: of("http_req_duration"), expression, aggregate }];
  });
}

/** The service that a node's calls are for. */
export function calleeOf({ nodes }: Plan, id: string): string | undefined {
  const calls = nodes.find((node) => node.id === id)?.config["calls"] as { readonly service?: string } | undefined;
  return calls?.service;
}
