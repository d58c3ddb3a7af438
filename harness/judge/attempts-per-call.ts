import { attemptsAtMost } from "../../runtime/cluster/settings.ts";
import type { CallRecord } from "../history/history.ts";
import { instancesOf } from "../scenario/instances.ts";
import { callSpecsOf } from "../scenario/calls.ts";
import { clusterSettingsOf } from "../scenario/retries.ts";
import type { CallsSpec, CheckSpec, Scenario } from "../scenario/schema.ts";
import { falseAlarmMax, missMax, type CheckKind } from "./check.ts";
import { doubtOf, nothingToJudge, requireTrials, requireWorse, resultOf } from "./outcome.ts";
import { plannedCalls } from "./planned.ts";
import { callsOf, whoseName } from "./select.ts";
import { boundedTrialsFor, isTooMany } from "./statistics.ts";

/**
 * The mean number of attempts that a logical call needs. Attempts beyond the first lie between 0 and the number of retries, so
 * that Hoeffding's bound holds for their mean whatever their distribution; a call with more attempts than its caller's settings
 * allow is a defect by itself. A bound below 1 is about calls that a policy of the caller's keeps back: then first attempts count too.
 */
export const attemptsPerCall: CheckKind<Extract<CheckSpec, { check: "attempts-per-call" }>> = {
  plan: (spec, context) => {
    const name = `${spec.service} attempts per call ≤ ${spec.atMost}${whoseName(spec)}`;
    const { expected, atLeast: trials } = plannedCalls(context, spec.service, spec);
    const granted = grantedBy(spec);
    const most =
      granted === 0 ? attemptsMax(context.scenario, spec.service) : extraAttemptsMax(context.scenario, spec.service);
    const allowed = (spec.atMost - granted) / most;
    const detected = Math.min(1, (spec.detects - granted) / most);
    requireWorse(name, detected > allowed);
    requireTrials(
      { name, context, trials, more: spec.during === undefined ? "rate or length" : "rate" },
      boundedTrialsFor(allowed, detected, falseAlarmMax, missMax),
    );
    return {
      check: spec,
      name,
      phase: spec.phase ?? "safety",
      expectedTrials: expected,
      falseAlarm: falseAlarmMax,
      detects: String(spec.detects),
      extraAttemptsMax: most,
    };
  },
  judge: (plan, history) => {
    const { service, atMost } = plan.check;
    const most = plan.extraAttemptsMax ?? 1;
    const granted = grantedBy(plan.check);
    const bound = `≤ ${atMost}`;
    const calls = callsOf(history, service, plan.check);
    const ended = calls.filter(({ code }) => code !== undefined);
    if (ended.length === 0) return resultOf(plan, nothingToJudge(bound, `finished call of ${service}`));

    const extras = ended.map(({ attempts }) => Math.max(0, counted(attempts) - granted));
    const extra = extras.reduce((sum, one) => sum + one, 0);
    const tooLong = ended.filter(({ attempts }) => counted(attempts) - granted > most);
    const unknown = calls.length - ended.length;
    const isBrokenBy = (sum: number, n: number): boolean =>
      isTooMany(sum / most, n, Math.min(1, (atMost - granted) / most), falseAlarmMax);
    const isBroken = tooLong.length > 0 || isBrokenBy(Math.min(extra, most * ended.length), ended.length);
    // A call of unknown end may have made every attempt that it was allowed.
    const isInDoubt = unknown > 0 && isBrokenBy(extra + most * unknown, calls.length);

    const mean = granted + extra / ended.length;
    const excess =
      tooLong.length === 0
        ? ""
        : `; ${tooLong.length} took more than the ${most + granted} that its callers' settings allow`;
    return resultOf(plan, {
      verdict: isBroken ? "fail" : isInDoubt ? "inconclusive" : "pass",
      observed: (Math.ceil(mean * 1000 - 1e-9) / 1000).toString(),
      bound,
      trials: ended.length,
      message: `${ended.length} calls of ${service} took ${granted * ended.length + extra} attempts${doubtOf(unknown)}${excess}`,
      brokenAtUs: isBroken ? (tooLong[0] ?? ended.find(({ attempts }) => attempts.length > granted))?.dueUs : undefined,
    });
  },
};

/** Attempts of a call that the bound takes for granted. */
const grantedBy = ({ atMost }: { readonly atMost: number }): 0 | 1 => (atMost < 1 ? 0 : 1);

/** Transparent retries, which no handler saw, don't count. */
const counted = (attempts: CallRecord["attempts"]): number =>
  attempts.reduce((count, { isTransparent }) => (isTransparent === true ? count : count + 1), 0);

/** The most attempts beyond the first that any caller of the service makes; 1 where none makes any, to have a range at all. */
export const extraAttemptsMax = (scenario: Scenario, service: string): number =>
  Math.max(1, attemptsMax(scenario, service) - 1);

/** The most attempts that any caller of the service makes for a call. */
function attemptsMax(scenario: Scenario, service: string): number {
  const callers = Object.values(scenario.fleet).flatMap((spec): readonly CallsSpec[] =>
    callSpecsOf(spec).filter((calls) => calls.service === service),
  );
  const callee = scenario.fleet[service];
  const instances = callee === undefined ? 1 : instancesOf(callee);
  return Math.max(1, ...callers.map((calls) => attemptsAtMost(clusterSettingsOf(calls), instances)));
}
