import { formatShare, fractionOf, type Window } from "../scenario/durations.ts";
import { ScenarioError } from "../scenario/error.ts";
import type { CallRecord, History } from "../history/history.ts";
import type { CheckSpec } from "../scenario/schema.ts";
import type { StepPlan } from "../scenario/plan.ts";
import { missMax, type CheckKind } from "./check.ts";
import { doubtOf, nothingToJudge, requireTrials, resultOf } from "./outcome.ts";
import { plannedCalls } from "./planned.ts";
import { callsOf, joined, outcomeOf } from "./select.ts";
import { trialsToSee } from "./statistics.ts";

type GracefulSpec = Extract<CheckSpec, { check: "graceful-stop" }>;

/** How long after the node is gone calls are still watched. */
const afterwardsUs = 1_000_000;
/** The shortest that a graceful stop takes: the news has to spread. */
export const shortestStopUs = 500_000;

/** No call fails that is under way from the moment a node is asked to stop until a second after it is gone. */
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
    const windows = stops.map(({ atUs }) => ({ fromUs: atUs, toUs: atUs + shortestStopUs + afterwardsUs }));
    const { expected, atLeast: trials } = plannedCalls(context, spec.service, joined(windows));
    requireTrials({ name, context, trials, more: "rate" }, trialsToSee(fractionOf(spec.detects), missMax));
    return {
      check: spec,
      name,
      phase: "safety",
      expectedTrials: expected,
      // A call that fails is a defect, by definition.
      falseAlarm: 0,
      detects: `${formatShare(fractionOf(spec.detects))} fail`,
    };
  },
  judge: (plan, history) => {
    const { service, target } = plan.check;
    const bound = "0 fail";
    const windows = stopsIn(history, target);
    const calls = callsOf(history, service).filter((call) => windows.some((window) => isUnderWay(call, window)));
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
          ? `none of ${calls.length} calls of ${service} failed while ${target} stopped${doubtOf(unknown)}`
          : `${failed.length} of ${calls.length} calls of ${service} failed while ${target} stopped${doubtOf(unknown)}; the first: ${first.code} ${first.message ?? ""}`.trimEnd(),
      brokenAtUs: first?.dueUs,
    });
  },
};

/** From each order to stop until a second after it was carried out. */
function stopsIn(history: History, target: string): readonly Window[] {
  return history.steps
    .filter(({ phase, what }) => phase === "apply" && isStopOf(what, target))
    .map(({ index, atUs }) => {
      const gone = history.steps.find((step) => step.index === index && step.phase === "applied");
      return { fromUs: atUs, toUs: gone === undefined ? Infinity : gone.atUs + afterwardsUs };
    });
}

/** Due in the window, or not over when it began: a node that leaves badly cuts off what it is working on. */
function isUnderWay({ dueUs, endUs, code }: CallRecord, { fromUs, toUs }: Window): boolean {
  return dueUs < toUs && (dueUs >= fromUs || (code !== undefined && endUs >= fromUs));
}

function isStopOf(what: StepPlan["what"], target: string): boolean {
  if (what.kind !== "stop" && what.kind !== "restart") return false;
  return what.nodes.some((node) => node === target || node.startsWith(`${target}/`));
}
