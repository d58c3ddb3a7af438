import type { CallRecord, History } from "../history/history.ts";
import type { CheckResult, Verdict } from "../report/verdict.ts";
import type { CheckPlan, WorldName } from "../scenario/plan.ts";
import { ScenarioError } from "../scenario/error.ts";
import { formatDuration, formatRate } from "../scenario/durations.ts";
import { falseAlarmMax, missMax, type CheckContext } from "./check.ts";
import { isTooMany, power, trialsFor } from "./statistics.ts";

/** What a check found. */
export interface Finding {
  readonly verdict: Verdict;
  readonly observed: string;
  readonly bound: string;
  readonly trials: number;
  readonly message: string;
  readonly brokenAtUs?: number | undefined;
}

export function resultOf(plan: CheckPlan, finding: Finding): CheckResult {
  const { verdict, observed, bound, trials, message, brokenAtUs } = finding;
  return {
    name: plan.name,
    phase: plan.phase,
    verdict,
    observed,
    bound,
    detects: plan.detects,
    trials,
    falseAlarm: plan.falseAlarm,
    message,
    ...(brokenAtUs !== undefined && { brokenAtMs: Math.round(brokenAtUs / 1000) }),
  };
}

/** For a check that a run gave nothing to count. */
export const nothingToJudge = (bound: string, what: string): Finding => ({
  verdict: "inconclusive",
  observed: "nothing",
  bound,
  trials: 0,
  message: `there was no ${what} to judge`,
});

/** A timing check has no bound on false alarms in real time: other programs can make any process late. */
export function timingFalseAlarm(world: WorldName): number | null {
  return world === "sim" ? falseAlarmMax : null;
}

/**
 * Judges "no more than `p` of these calls are bad". A call whose end is unknown is given the benefit of the doubt, and the
 * verdict is inconclusive where the doubt decides.
 */
export function judgeBad(
  calls: readonly CallRecord[],
  isBad: (call: CallRecord) => boolean,
  p: number,
  alpha = falseAlarmMax,
): { readonly verdict: Verdict; readonly bad: number; readonly known: number; readonly unknown: number } {
  let bad = 0;
  let unknown = 0;
  for (const call of calls) {
    if (call.code === undefined) unknown++;
    else if (isBad(call)) bad++;
  }
  const n = calls.length;
  const known = n - unknown;
  if (n === 0) return { verdict: "inconclusive", bad, known, unknown };
  if (isTooMany(bad, n, p, alpha)) return { verdict: "fail", bad, known, unknown };
  const worst = isTooMany(bad + unknown, n, p, alpha);
  return { verdict: worst ? "inconclusive" : "pass", bad, known, unknown };
}

/** Refuses a check that would miss a share of `p1` bad trials (with `p` allowed) more often than once in a thousand. */
export function requirePower(
  name: string,
  context: CheckContext,
  trials: number,
  { p, p1, alpha = falseAlarmMax }: { readonly p: number; readonly p1: number; readonly alpha?: number },
): void {
  if (trials > 0 && power(trials, p, p1, alpha) >= 1 - missMax) return;
  throw tooFew(name, context, trials, trialsFor(p, p1, alpha, missMax));
}

/** Refuses a check whose expected number of trials is below `needed`. */
export function requireTrials(name: string, context: CheckContext, trials: number, needed: number): void {
  if (trials < needed) throw tooFew(name, context, trials, Math.ceil(needed));
}

function tooFew(name: string, context: CheckContext, trials: number, needed: number): ScenarioError {
  const found = Math.floor(trials);
  const calls = context.drives.reduce((sum, { dueUs }) => sum + dueUs.length, 0);
  const factor = needed / Math.max(found, 1);
  const lengthUs = Math.ceil((context.durationUs * factor) / 1e6) * 1e6;
  const rate = Math.ceil(((calls / context.durationUs) * 1e6 * factor) / 5) * 5;
  return new ScenarioError(
    `"${name}" would have about ${found} trials, and needs ${needed} to find what it says it detects`,
    {
      code: "TOO_FEW_TRIALS",
      hint:
        found === 0
          ? "no calls are planned in its window: change the window, or put load on this service"
          : `let it detect a larger deviation, or raise the load to ${formatRate(rate)} or its length to ${formatDuration(lengthUs)}`,
    },
  );
}

/** "99.6%", never rounded towards what would look better than it is. */
export function percent(share: number, round: "down" | "up" = "down"): string {
  const tenths = share * 1000;
  const rounded = round === "down" ? Math.floor(tenths + 1e-9) : Math.ceil(tenths - 1e-9);
  return `${rounded / 10}%`;
}

/** The longest that anything ran late between two moments: in real time a failed timing check is measured against it. */
export function lagIn(history: History, fromUs: number, toUs: number): number {
  let maxUs = 0;
  for (const lag of history.lags)
    if (lag.atUs >= fromUs && lag.atUs <= toUs + 1_000_000) maxUs = Math.max(maxUs, lag.maxUs);
  return maxUs;
}

/**
 * A timing check that failed while the machine itself was late by more than a quarter of its bound says nothing about the
 * fleet. One that passed stands: lag makes calls slower, never faster.
 */
export function despiteLag(finding: Finding, history: History, boundUs: number, fromUs: number, toUs: number): Finding {
  if (history.run.world === "sim" || finding.verdict !== "fail") return finding;
  const lagUs = lagIn(history, fromUs, toUs);
  if (lagUs <= boundUs / 4) return finding;
  return {
    ...finding,
    verdict: "inconclusive",
    message: `${finding.message}; but the machine ran up to ${formatDuration(lagUs)} late, more than a quarter of the bound`,
  };
}
