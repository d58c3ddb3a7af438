import type { CallRecord, History } from "../history/history.ts";
import type { CheckResult, Verdict } from "../report/verdict.ts";
import { worse } from "../report/verdict.ts";
import { formatDuration, formatShare } from "../scenario/durations.ts";
import type { CheckPlan, Plan } from "../scenario/plan.ts";
import type { CheckSpec } from "../scenario/schema.ts";
import type { CheckContext, CheckKind } from "./check.ts";
import { judgeK6 } from "./k6.ts";
import { lateFaultIn, latePublishIn, slowStartIn } from "./machine.ts";
import { lagPeriodUs, lagsOf } from "./outcome.ts";
import { partsOf, type When } from "./select.ts";
import { loadCalls } from "./summary.ts";
import { checks } from "./table.ts";

/** Below this share of the planned calls, or above that share of late ones, a load was not what the plan says. */
const offeredMin = 0.98;
const lateMax = 0.01;
/** So far behind, a machine has no time for the fleet either: not even what failed then says anything about it. */
const farBehind = { offeredMin: 0.9, lateMax: 0.1 };
const lateUs = 50_000;

/** Name, trials and error probabilities of a check; throws a `ScenarioError` when the load can't feed it. */
export function planCheck(spec: CheckSpec, context: CheckContext): CheckPlan {
  return kindOf(spec).plan(spec, context);
}

/** Every check's verdict, and the run's: the worst of them. */
export function judgeRun(
  plan: Plan,
  history: History,
): { readonly checks: readonly CheckResult[]; readonly verdict: Verdict; readonly reason?: string } {
  const doubt = doubtIn(plan, history);
  const isWhole = history.end?.outcome === "complete";
  const seen = isWhole ? history : untilItsEnd(history);
  const stall = stallDoubt(history);
  const found = plan.checks.map((check) => {
    const result = despiteStall(kindOf(check.check).judge(check, seen), stall);
    return despiteMachine(result, check.check, history);
  });
  if (plan.load === "k6") found.push(...judgeK6(plan, seen));
  const results = found.map((result): CheckResult => {
    const stands = doubt === undefined || (result.verdict === "fail" && isBreach(result, isWhole && doubt.isSlight));
    return stands ? result : { ...result, verdict: "inconclusive" };
  });
  const verdict = results.reduce<Verdict>((worst, result) => worse(worst, result.verdict), doubt?.verdict ?? "pass");
  return { checks: results, verdict, ...(doubt && { reason: doubt.reason }) };
}

/**
 * Whether what a run shows to be broken is broken although the run was not as planned. A load that fell behind a little makes times
 * doubtful, and counts not; a part of a run can't be held to a bound that is meant for the whole, but what must never happen
 * must not happen in a part of it, or on an overloaded machine, either.
 */
function isBreach({ falseAlarm }: CheckResult, doCountsCount: boolean): boolean {
  return doCountsCount ? falseAlarm !== null : falseAlarm === 0;
}

/** What counts calls fails on a machine that stood still for so long that timeouts ran out; what must never happen has no such excuse. */
function despiteStall(result: CheckResult, stall: string | undefined): CheckResult {
  const isExcused = stall !== undefined && result.verdict === "fail" && (result.falseAlarm ?? 0) > 0;
  return isExcused ? { ...result, verdict: "inconclusive", message: `${result.message}; but ${stall}` } : result;
}

/**
 * The same where the machine took long for what the timeline wanted: a start, a fault, a publication; be it about counts or about times.
 */
function despiteMachine(result: CheckResult, spec: CheckSpec, history: History): CheckResult {
  if (result.verdict !== "fail" || result.falseAlarm === 0) return result;
  const parts = partsOf(spec as When, history.run.durationUs);
  const late = slowStartIn(history, parts) ?? lateFaultIn(history, parts) ?? latePublishIn(history, parts);
  return late === undefined
    ? result
    : { ...result, verdict: "inconclusive", message: `${result.message}; but ${late}` };
}

/** Whether attempts timed out that a punctual machine might have answered: it stood still for more than half of their time. */
function stallDoubt(history: History): string | undefined {
  if (history.run.world === "sim") return undefined;
  const lags = lagsOf(history);
  let timedOut = 0;
  let longestUs = 0;
  for (const { attempts } of [...history.calls, ...history.infrastructureCalls]) {
    for (const { beginUs, endUs, code } of attempts) {
      if (code !== "DEADLINE_EXCEEDED") continue;
      const during = lags.filter(({ atUs }) => atUs >= beginUs && atUs <= endUs + lagPeriodUs);
      const stalledUs = Math.max(0, ...during.map(({ maxUs }) => maxUs));
      if (stalledUs <= (endUs - beginUs) / 2) continue;
      timedOut++;
      longestUs = Math.max(longestUs, stalledUs);
    }
  }
  return timedOut === 0
    ? undefined
    : `the machine stood still for up to ${formatDuration(longestUs)} while ${timedOut} attempts ran out of time`;
}

/**
 * When a run is ended early, its fleet is stopped with calls under way: how they end afterwards says nothing. Nor does what a node would
 * have told after the last that was heard of it.
 */
function untilItsEnd(history: History): History {
  const endUs = history.end?.atUs ?? Infinity;
  const untilThen = (call: CallRecord): CallRecord =>
    call.code !== undefined && call.endUs >= endUs ? { ...call, endUs: -1, code: undefined, attempts: [] } : call;
  const calls = history.calls.map(untilThen);
  const infrastructureCalls = history.infrastructureCalls.map(untilThen);
  const unheard = history.run.nodes.map(
    ({ id }) => ({ type: "gap", node: id, fromUs: history.heard.get(id) ?? -Infinity, toUs: Infinity }) as const,
  );
  return { ...history, calls, infrastructureCalls, gaps: [...history.gaps, ...unheard] };
}

/** The schema has matched spec and kind. */
function kindOf(spec: CheckSpec): CheckKind {
  return checks[spec.check];
}

interface Doubt {
  readonly verdict: Verdict;
  readonly reason: string;
  /** Counts can be trusted all the same. */
  readonly isSlight: boolean;
}

/** Why a run as a whole can't be trusted, if so. */
function doubtIn(plan: Plan, history: History): Doubt | undefined {
  const { end } = history;
  const grave = { isSlight: false } as const;
  if (end === undefined) return { verdict: "inconclusive", reason: "the history was cut off", ...grave };
  if (end.outcome === "interrupted") return { verdict: "inconclusive", reason: "the run was interrupted", ...grave };
  if (end.outcome === "error")
    return { verdict: "error", reason: end.error ?? "the run ended with an error", ...grave };
  return loadDoubt(plan, history);
}

/** Whether the consumers made the calls that were planned, and when they were due. */
function loadDoubt(plan: Plan, history: History): Doubt | undefined {
  // A consumer that a fault held up need not be punctual; calls that nobody made are missing whoever is to blame.
  const hurt = new Set(plan.timeline.flatMap(({ what }) => (what.kind === "publish" ? [] : what.nodes)));
  let planned = 0;
  for (const calls of history.planned.values()) planned += calls;
  let made = 0;
  let late = 0;
  for (const call of loadCalls(history)) {
    if (call.dueUs >= plan.durationUs) continue;
    made++;
    if (call.beginUs - call.dueUs > lateUs && !hurt.has(call.node)) late++;
  }
  const isFar = made < farBehind.offeredMin * planned || late > farBehind.lateMax * made;
  const isSlight = history.run.world === "sim" || !isFar;
  if (made < offeredMin * planned) {
    const reason = `the load generator fell behind: ${formatShare(made / planned)} of the planned calls were made`;
    return { verdict: "inconclusive", reason, isSlight };
  }
  if (late > lateMax * made) {
    const reason = `the load generator fell behind: ${formatShare(late / made)} of the calls were sent over 50 ms late`;
    return { verdict: "inconclusive", reason, isSlight };
  }
  return undefined;
}
