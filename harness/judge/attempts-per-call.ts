import type { CheckSpec, Scenario } from "../scenario/schema.ts";
import { falseAlarmMax, missMax, type CheckKind } from "./check.ts";
import { nothingToJudge, requireTrials, resultOf } from "./outcome.ts";
import { callsOf, plannedCalls } from "./select.ts";
import { isTooMany, kl } from "./statistics.ts";

/**
 * The mean number of attempts that a logical call needs. Attempts beyond the first lie between 0 and the number of retries, so
 * that Hoeffding's bound holds for their mean whatever their distribution.
 */
export const attemptsPerCall: CheckKind<Extract<CheckSpec, { check: "attempts-per-call" }>> = {
  plan: (spec, context) => {
    const name = `${spec.service} attempts per call ≤ ${spec.atMost}`;
    const trials = plannedCalls(context, spec.service, spec).length;
    const most = extraAttemptsMax(context.scenario, spec.service);
    requireTrials(name, context, trials, trialsFor((spec.atMost - 1) / most, (spec.detects - 1) / most));
    return {
      check: spec,
      name,
      phase: spec.phase ?? "safety",
      expectedTrials: trials,
      falseAlarm: falseAlarmMax,
      detects: String(spec.detects),
      extraAttemptsMax: most,
    };
  },
  judge: (plan, history) => {
    const { service, atMost } = plan.check;
    const bound = `≤ ${atMost}`;
    const calls = callsOf(history, service, plan.check).filter(({ code }) => code !== undefined);
    if (calls.length === 0) return resultOf(plan, nothingToJudge(bound, `call of ${service}`));
    const extra = calls.reduce((sum, { attempts }) => sum + Math.max(0, attempts.length - 1), 0);
    // More attempts than retries allow would leave the range for which the bound holds: they stretch it.
    const most = Math.max(plan.extraAttemptsMax ?? 1, ...new Set(calls.map(({ attempts }) => attempts.length - 1)));
    const isBroken = isTooMany(extra / most, calls.length, Math.min(1, (atMost - 1) / most), falseAlarmMax);
    const mean = 1 + extra / calls.length;
    return resultOf(plan, {
      verdict: isBroken ? "fail" : "pass",
      observed: (Math.ceil(mean * 1000 - 1e-9) / 1000).toString(),
      bound,
      trials: calls.length,
      message: `${calls.length} calls of ${service} took ${calls.length + extra} attempts`,
      brokenAtUs: isBroken ? calls.find(({ attempts }) => attempts.length > 1)?.dueUs : undefined,
    });
  },
};

/** The most retries that any caller of the service has. */
function extraAttemptsMax(scenario: Scenario, service: string): number {
  const callers = Object.values(scenario.fleet).flatMap(({ calls }) => (calls?.service === service ? [calls] : []));
  return Math.max(1, ...callers.map(({ retries, cluster }) => (cluster === "failfast" ? 0 : (retries ?? 2))));
}

/** Trials with which a mean of `p1` is found too many for `p` with probability ≥ 0.999, for any distribution in [0, 1]. */
function trialsFor(p: number, p1: number): number {
  const misses = (n: number): boolean => {
    // The mean above which n trials are too many for p …
    let low = p;
    let high = 1;
    for (let step = 0; step < 50; step++) {
      const middle = (low + high) / 2;
      if (n * kl(middle, p) > Math.log(1 / falseAlarmMax)) high = middle;
      else low = middle;
    }
    // … and the probability that a true mean of p1 stays below it.
    return high >= p1 || Math.exp(-n * kl(high, p1)) > missMax;
  };
  let n = 8;
  while (misses(n) && n < 1e8) n = Math.ceil(n * 1.05);
  return n;
}
