import type { History, TaskRecord } from "../history/history.ts";
import { isDeath } from "../scenario/deaths.ts";
import { formatShare, fractionOf } from "../scenario/durations.ts";
import { ScenarioError } from "../scenario/error.ts";
import type { StepPlan } from "../scenario/plan.ts";
import type { CheckSpec } from "../scenario/schema.ts";
import type { TaskFate } from "../scenario/tasks.ts";
import { missMax, type CheckContext, type CheckKind } from "./check.ts";
import { nothingToJudge, requireTrials, resultOf } from "./outcome.ts";
import { plannedCalls } from "./planned.ts";
import { isIn, partsOf } from "./select.ts";
import { trialsToSee } from "./statistics.ts";

/** The service's tasks end in the stated ways only. By when they began, or were refused. */
export const taskFatesCheck: CheckKind<Extract<CheckSpec, { check: "task-fates" }>> = {
  plan: (spec, context) => {
    const name = `tasks of ${spec.service} end ${spec.only.join(" or ")}`;
    requireTasks(name, context);
    const { expected, atLeast: trials } = plannedCalls(context, spec.service, spec);
    requireTrials({ name, context, trials }, trialsToSee(fractionOf(spec.detects), missMax));
    return {
      check: spec,
      name,
      phase: spec.phase ?? "safety",
      expectedTrials: expected,
      // Another end is a defect, by definition.
      falseAlarm: 0,
      detects: `${formatShare(fractionOf(spec.detects))} end otherwise`,
    };
  },
  judge: (plan, history) => {
    const { service, only } = plan.check;
    const bound = `only ${only.join(", ")}`;
    const parts = partsOf(plan.check, history.run.durationUs);
    const tasks = history.tasks.filter(
      (task) =>
        task.node.startsWith(`${service}/`) &&
        isIn(parts, task.beginUs ?? task.endUs ?? -1) &&
        !isUnderWay(task, history),
    );
    if (tasks.length === 0) return resultOf(plan, nothingToJudge(bound, `task of ${service}`));
    const others = tasks.filter(({ state }) => !only.includes(state));
    const counts = countsOf(tasks);
    return resultOf(plan, {
      verdict: others.length === 0 ? "pass" : "fail",
      observed:
        others.length === 0 ? `0 of ${tasks.length} otherwise` : `${others.length} of ${tasks.length} otherwise`,
      bound,
      trials: tasks.length,
      message: `of ${tasks.length} tasks of ${service} ${counts}`,
      brokenAtUs: others[0]?.beginUs ?? others[0]?.endUs,
    });
  },
};

/** What a server was doing when the run ended has no fate yet. */
function isUnderWay({ node, state, beginUs = 0 }: TaskRecord, history: History): boolean {
  return state === "lost" && !hasDied(node, history) && beginUs > (history.end?.atUs ?? Infinity) - endingUs;
}

/** What a run's end may cut off. */
const endingUs = 1_000_000;

/** Whether a node's process ended in the course of the run. */
export function hasDied(node: string, { processes, steps }: History): boolean {
  const ends = (what: StepPlan["what"]): boolean =>
    what.kind !== "publish" && what.nodes.includes(node) && (what.kind !== "fault" || isDeath(what.fault.kind));
  return processes.some((process) => process.node === node) || steps.some(({ what }) => ends(what));
}

function countsOf(tasks: readonly TaskRecord[]): string {
  const counts = new Map<TaskFate, number>();
  for (const { state } of tasks) counts.set(state, (counts.get(state) ?? 0) + 1);
  return [...counts].map(([state, count]) => `${count} were ${state}`).join(", ");
}

/** Refuses a check of tasks where nobody records them. */
export function requireTasks(name: string, { scenario }: CheckContext): void {
  if (scenario.tasks === true) return;
  throw new ScenarioError(`"${name}": this scenario doesn't record tasks`, {
    code: "INVALID_SCENARIO",
    hint: "tasks: true",
  });
}
