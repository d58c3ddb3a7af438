import type { CallRecord, History } from "../history/history.ts";
import type { CheckResult, Verdict } from "../report/verdict.ts";
import type { CheckPlan, WorldName } from "../scenario/plan.ts";
import { ScenarioError } from "../scenario/error.ts";
import { formatDuration, formatRate, formatShare, type Window } from "../scenario/durations.ts";
import { falseAlarmMax, missMax, type CheckContext } from "./check.ts";
import { meanRate } from "./planned.ts";
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
  if (known === 0) return { verdict: "inconclusive", bad, known, unknown };
  if (isTooMany(bad, n, p, alpha)) return { verdict: "fail", bad, known, unknown };
  const worst = isTooMany(bad + unknown, n, p, alpha);
  return { verdict: worst ? "inconclusive" : "pass", bad, known, unknown };
}

/** ", 3 have no known end", where there are such. */
export function doubtOf(unknown: number): string {
  return unknown === 0 ? "" : `, ${unknown} of unknown end`;
}

/** What a check asks of a load. */
export interface Demand {
  readonly name: string;
  readonly context: CheckContext;
  /** The trials that it can count on. */
  readonly trials: number;
  /** What brings more trials. Default: a higher rate or a longer load. */
  readonly more?: "rate" | "rate or length" | "keys";
}

/** Refuses a check that would miss a share of `p1` bad trials (with `p` allowed) more often than once in a thousand. */
export function requirePower(
  demand: Demand,
  { p, p1, alpha = falseAlarmMax }: { readonly p: number; readonly p1: number; readonly alpha?: number },
): void {
  requireWorse(demand.name, p1 > p);
  if (demand.trials > 0 && power(demand.trials, p, p1, alpha) >= 1 - missMax) return;
  throw tooFew(demand, trialsFor(p, p1, alpha, missMax));
}

/** Refuses a check that can count on fewer trials than it needs. */
export function requireTrials(demand: Demand, needed: number): void {
  if (demand.trials < needed) throw tooFew(demand, needed);
}

/** Refuses a check that says it detects what it allows. */
export function requireWorse(name: string, isWorse: boolean): void {
  if (isWorse) return;
  throw new ScenarioError(`"${name}" allows what it says it detects`, {
    code: "INVALID_SCENARIO",
    hint: "detects(…) states a deviation that is worse than the bound",
  });
}

function tooFew({ name, context, trials, more = "rate or length" }: Demand, needed: number): ScenarioError {
  const most = Number.isFinite(needed) ? String(needed) : "more than any load has";
  return new ScenarioError(
    `"${name}" can count on ${trials} trials, and needs ${most} to find what it says it detects`,
    {
      code: "TOO_FEW_TRIALS",
      hint: trials === 0 ? nothingPlanned : `let it detect a larger deviation${remedy(context, needed / trials, more)}`,
    },
  );
}

const nothingPlanned = "hardly a call is planned in its time: choose another part of the load, or a higher rate";

function remedy(context: CheckContext, factor: number, more: Demand["more"]): string {
  if (!Number.isFinite(factor)) return "";
  if (more === "keys") return ", raise the load, or give its callers more keys";
  const rate = formatRate(Math.ceil((meanRate(context) * factor) / 5) * 5);
  const lengthUs = Math.ceil((context.durationUs * factor) / 1e6) * 1e6;
  return `, or raise the load to ${rate}${more === "rate" ? "" : ` or its length to ${formatDuration(lengthUs)}`}`;
}

/** A bound as it was stated: "99.95%". */
export const exactShare = (share: number): string => formatShare(share, 4);

/** The longest that anything ran late between two moments: in real time a failed timing check is measured against it. */
export function lagIn(history: History, { fromUs, toUs }: Window): number {
  const during = lagsOf(history).filter(({ atUs }) => atUs >= fromUs && atUs <= toUs + lagPeriodUs);
  return during.reduce((longest, { maxUs }) => Math.max(longest, maxUs), 0);
}

/** The lag that speaks of the machine: a node that a fault froze was late because of the fault, which is no excuse. */
export function lagsOf(history: History): History["lags"] {
  const frozen = freezes(history);
  return history.lags.filter(
    ({ node, atUs }) =>
      !frozen.some(({ nodes, fromUs, toUs }) => nodes.includes(node) && atUs >= fromUs && atUs <= toUs),
  );
}

/** A record of lag speaks of up to so long before it, with a little time to spare. */
export const lagPeriodUs = 1_100_000;

/** Faults that keep a node from being punctual. */
const freezing: ReadonlySet<string> = new Set(["pause", "event-loop-block", "slow-cpu"]);

function freezes(history: History): readonly (Window & { readonly nodes: readonly string[] })[] {
  return history.steps.flatMap(({ index, what, phase, atUs }) => {
    if (phase !== "apply" || what.kind !== "fault" || !freezing.has(what.fault.kind)) return [];
    const over = history.steps.find((step) => step.index === index && step.phase === "lifted");
    return [{ nodes: what.nodes, fromUs: atUs, toUs: (over?.atUs ?? Infinity) + lagPeriodUs }];
  });
}

/**
 * A timing check that failed while the machine itself was late by more than a quarter of its bound says nothing about the
 * fleet. One that passed stands: lag makes calls slower, never faster.
 */
export function despiteLag(finding: Finding, history: History, boundUs: number, during: Window): Finding {
  if (history.run.world === "sim" || finding.verdict !== "fail") return finding;
  const lagUs = lagIn(history, during);
  if (lagUs <= boundUs / 4) return finding;
  return {
    ...finding,
    verdict: "inconclusive",
    message: `${finding.message}; but the machine ran up to ${formatDuration(lagUs)} late, more than a quarter of the bound`,
  };
}
