import { Sprt } from "../rollout/sprt.ts";
import { durationUs, formatDuration, formatShare, fractionOf } from "../scenario/durations.ts";
import { ScenarioError } from "../scenario/error.ts";
import type { CheckSpec } from "../scenario/schema.ts";
import { falseAlarmMax, missMax, type CheckContext, type CheckKind } from "./check.ts";
import { despiteLag, nothingToJudge, requireTrials, resultOf } from "./outcome.ts";
import { plannedCalls } from "./planned.ts";
import { callsOf } from "./select.ts";
import { trialsToSee, upperTail } from "./statistics.ts";

type Spec = Extract<CheckSpec, { check: "rollback" }>;

/** From the decision until every caller can be expected to go by it. */
const settleUs = 500_000;

/**
 * A bad canary is rolled back by `by`, and from then on no call begins at one of its instances. The planner demands that the sequential
 * test has seen enough of the canary half a second before `by`, whatever the load's chances: it misses `by` with a probability of at
 * most 1e-9.
 */
export const rollback: CheckKind<Spec> = {
  plan: (spec, context) => {
    const { service, tag } = spec;
    const byUs = durationUs(spec.by);
    const name = `${tag} of ${service} is rolled back by ${formatDuration(byUs)}`;
    requireEnough(name, spec, context, byUs);
    const after = plannedCalls(context, service, [{ fromUs: byUs, toUs: context.durationUs }]);
    requireTrials(
      { name, context, trials: after.atLeast, more: "rate or length" },
      trialsToSee(fractionOf(spec.detects), missMax),
    );
    return {
      check: spec,
      name,
      phase: "safety",
      expectedTrials: after.expected,
      falseAlarm: context.world === "sim" ? falseAlarmMax : null,
      detects: `${formatShare(fractionOf(spec.detects))} of the calls afterwards`,
    };
  },
  judge: (plan, history) => {
    const { service, tag, by } = plan.check;
    const byUs = durationUs(by);
    const bound = `0 after ${formatDuration(byUs)}`;
    const own = history.steps.find(
      ({ what }) => what.kind === "rollout" && what.service === service && what.tag === tag,
    );
    const calls = callsOf(history, service).filter(({ beginUs }) => beginUs >= byUs);
    if (own === undefined || calls.length === 0) {
      return resultOf(plan, nothingToJudge(bound, `call of ${service} after ${formatDuration(byUs)}`));
    }
    const backUs = history.rollouts.find(({ index, state }) => index === own.index && state === "rolled-back")?.atUs;
    const canaries = new Set(
      history.run.nodes.filter((node) => node.service === service && node.tag === tag).map(({ id }) => id),
    );
    const astray = calls.filter(({ attempts }) => canaries.has(attempts[0]?.instance ?? ""));
    const isInTime = backUs !== undefined && backUs + settleUs <= byUs;
    const when = backUs === undefined ? "never" : formatDuration(Math.round(backUs / 1000) * 1000);
    const finding = {
      verdict: isInTime && astray.length === 0 ? ("pass" as const) : ("fail" as const),
      observed: `${when}, ${astray.length} of ${calls.length}`,
      bound,
      trials: calls.length,
      message:
        backUs === undefined
          ? `${tag} of ${service} was never rolled back`
          : `${tag} of ${service} was rolled back at ${when}; ${astray.length} of ${calls.length} calls after ${formatDuration(byUs)} went there all the same`,
      brokenAtUs: isInTime ? astray[0]?.beginUs : byUs,
    };
    return resultOf(plan, despiteLag(finding, history, settleUs, { fromUs: 0, toUs: byUs }));
  },
};

/** Refuses a rollout of which too few calls reach the canary before it must be found out. */
function requireEnough(name: string, { service, tag }: Spec, context: CheckContext, byUs: number): void {
  const step = context.timeline.find(
    ({ what }) => what.kind === "rollout" && what.service === service && what.tag === tag,
  );
  if (step?.what.kind !== "rollout") {
    throw new ScenarioError(`"${name}": nothing rolls ${tag} of ${service} out`, {
      code: "INVALID_SCENARIO",
      hint: `at("500ms").rollout("${service}", { tag: "${tag}", … })`,
    });
  }
  const { what, atUs } = step;
  const errorRate = errorRateOf(service, tag, context);
  if (errorRate <= what.unacceptable) {
    throw new ScenarioError(`"${name}": the instances of ${tag} aren't worse than what is unacceptable`, {
      code: "INVALID_SCENARIO",
      hint: `give them an errorRate above ${formatShare(what.unacceptable)}`,
    });
  }
  const untilUs = byUs - 2 * settleUs;
  let mean = 0;
  for (const [number, percent] of what.percents.entries()) {
    // A step takes effect when callers have heard of it.
    const fromUs = atUs + number * what.everyUs + settleUs / 2;
    const toUs = Math.min(number + 1 < what.percents.length ? fromUs + what.everyUs : untilUs, untilUs);
    if (toUs > fromUs) mean += (plannedCalls(context, service, [{ fromUs, toUs }]).expected * percent) / 100;
  }
  // Half of the false alarms for too few calls, half for too few failures among them.
  const fewest = Math.floor(mean - Math.sqrt(2 * mean * Math.log(2 / falseAlarmMax)));
  const needed = new Sprt(what).failuresNeeded(Math.max(0, fewest));
  if (fewest > 0 && needed <= fewest && upperTail(fewest - needed + 1, fewest, 1 - errorRate) <= falseAlarmMax / 2)
    return;
  throw new ScenarioError(
    `"${name}" can count on ${Math.max(0, fewest)} calls of ${tag} before ${formatDuration(untilUs)}, too few to find it out for certain`,
    { code: "TOO_FEW_TRIALS", hint: "raise the load, the steps, the errorRate, or leave it more time" },
  );
}

/** The least that the canary's instances fail. */
function errorRateOf(service: string, tag: string, { scenario }: CheckContext): number {
  const spec = scenario.fleet[service];
  if (spec?.program !== "provider") return 0;
  const groups = spec.groups ?? [{ tag: spec.tag, errorRate: spec.errorRate }];
  const rates = groups
    .filter((group) => (group.tag ?? spec.tag) === tag)
    .map((group) => fractionOf(group.errorRate ?? spec.errorRate ?? 0));
  return rates.length === 0 ? 0 : Math.min(...rates);
}
