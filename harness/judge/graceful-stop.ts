import { fractionOf } from "../scenario/durations.ts";
import { ScenarioError } from "../scenario/error.ts";
import type { CheckSpec } from "../scenario/schema.ts";
import type { StepPlan } from "../scenario/plan.ts";
import { missMax, type CheckKind } from "./check.ts";
import { nothingToJudge, percent, requireTrials, resultOf } from "./outcome.ts";
import { callsOf, outcomeOf, plannedCalls } from "./select.ts";

type GracefulSpec = Extract<CheckSpec, { check: "graceful-stop" }>;

/** How long after the node is gone calls are still watched. */
const afterwardsUs = 1_000_000;
/** The shortest that a graceful stop takes: the news has to spread. */
const shortestStopUs = 500_000;

/** No call fails from the moment a node is asked to stop until a second after it is gone. */
export const gracefulStop: CheckKind<GracefulSpec> = {
  plan: (spec, context) => {
    const name = `no call of ${spec.service} fails while ${spec.target} stops`;
    const stops = context.timeline.filter(({ what }) => isStopOf(what, spec.target));
    if (stops.length === 0) {
      throw new ScenarioError(`"${name}": nothing stops ${spec.target} gracefully`, {
        code: "INVALID_SCENARIO",
        hint: `add at("2s").stop("${spec.target}") to the timeline`,
      });
    }
    const due = plannedCalls(context, spec.service);
    const trials = stops.reduce(
      (sum, { atUs }) => sum + due.filter((us) => us >= atUs && us < atUs + shortestStopUs + afterwardsUs).length,
      0,
    );
    requireTrials(name, context, trials, Math.log(missMax) / Math.log(1 - fractionOf(spec.detects)));
    return {
      check: spec,
      name,
      phase: "safety",
      expectedTrials: trials,
      // A call that fails is a defect, by definition.
      falseAlarm: 0,
      detects: `${percent(fractionOf(spec.detects))} fail`,
    };
  },
  judge: (plan, history) => {
    const { service, target } = plan.check;
    const bound = "0 fail";
    const windows = history.steps
      .filter(({ phase, what }) => phase === "apply" && isStopOf(what, target))
      .map(({ index, atUs }) => {
        const gone = history.steps.find((step) => step.index === index && step.phase === "applied");
        return { fromUs: atUs, toUs: gone === undefined ? Infinity : gone.atUs + afterwardsUs };
      });
    const calls = callsOf(history, service).filter(({ dueUs }) =>
      windows.some(({ fromUs, toUs }) => dueUs >= fromUs && dueUs < toUs),
    );
    if (calls.length === 0) return resultOf(plan, nothingToJudge(bound, `call of ${service} around the stop`));
    const failed = calls.filter((call) => outcomeOf(call) === "failed");
    const unknown = calls.filter((call) => outcomeOf(call) === "unknown").length;
    const first = failed[0];
    return resultOf(plan, {
      verdict: first !== undefined ? "fail" : unknown > 0 ? "inconclusive" : "pass",
      observed: `${failed.length} of ${calls.length}`,
      bound,
      trials: calls.length,
      message:
        first === undefined
          ? `${calls.length} calls of ${service} went well while ${target} stopped`
          : `${failed.length} of ${calls.length} calls of ${service} failed while ${target} stopped; the first: ${first.code} ${first.message ?? ""}`.trimEnd(),
      brokenAtUs: first?.dueUs,
    });
  },
};

function isStopOf(what: StepPlan["what"], target: string): boolean {
  if (what.kind !== "stop" && what.kind !== "restart") return false;
  return what.nodes.some((node) => node === target || node.startsWith(`${target}/`));
}
