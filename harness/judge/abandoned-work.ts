import type { History, TaskRecord } from "../history/history.ts";
import { durationUs, formatDuration, formatShare, fractionOf } from "../scenario/durations.ts";
import type { CheckSpec } from "../scenario/schema.ts";
import { missMax, type CheckKind } from "./check.ts";
import { despiteLag, nothingToJudge, requireTrials, resultOf } from "./outcome.ts";
import { plannedCalls } from "./planned.ts";
import { trialsToSee } from "./statistics.ts";
import { requireTasks } from "./task-fates.ts";

/**
 * Servers let go of what nobody waits for any more: a task whose caller gave up, or whose deadline passed, is over `within` after
 * that; and no task, nor the work of one that waited for its turn, begins after its deadline.
 */
export const abandonedWork: CheckKind<Extract<CheckSpec, { check: "abandoned-work" }>> = {
  plan: (spec, context) => {
    const withinUs = durationUs(spec.within);
    const name = `${spec.service} lets go of abandoned work within ${formatDuration(withinUs)}`;
    requireTasks(name, context);
    const { expected, atLeast: trials } = plannedCalls(context, spec.service);
    requireTrials({ name, context, trials }, neededFor(spec));
    return {
      check: spec,
      name,
      phase: "safety",
      expectedTrials: expected,
      falseAlarm: context.world === "sim" ? 0 : null,
      detects: `${formatShare(fractionOf(spec.detects))} go on`,
    };
  },
  judge: (plan, history) => {
    const { service, within } = plan.check;
    const withinUs = durationUs(within);
    const bound = `0 after ${formatDuration(withinUs)}`;
    let trials = 0;
    let late = 0;
    let longestUs = 0;
    let firstUs: number | undefined;
    for (const task of history.tasks) {
      const goneUs = task.node.startsWith(`${service}/`) ? abandonedUs(task, history) : undefined;
      if (goneUs === undefined) continue;
      trials++;
      const overUs = (task.endUs ?? history.end?.atUs ?? Infinity) - goneUs;
      const isLateStart = Math.max(task.beginUs ?? -Infinity, task.workUs ?? -Infinity) > (task.deadlineUs ?? Infinity);
      if (overUs <= withinUs && !isLateStart) continue;
      late++;
      longestUs = Math.max(longestUs, overUs);
      firstUs = Math.min(firstUs ?? Infinity, goneUs);
    }
    if (trials === 0) return resultOf(plan, nothingToJudge(bound, `task of ${service} that nobody waited for`));
    const isEnough = trials >= neededFor(plan.check);
    const longest = formatDuration(Math.round(longestUs / 1000) * 1000);
    const finding = {
      verdict: late > 0 ? ("fail" as const) : isEnough ? ("pass" as const) : ("inconclusive" as const),
      observed: late === 0 ? `0 of ${trials}` : `${late} of ${trials}, up to ${longest}`,
      bound,
      trials,
      message:
        late > 0
          ? `${late} of ${trials} tasks that nobody waited for went on, the longest for ${longest}`
          : `none of ${trials} tasks that nobody waited for went on${isEnough ? "" : ": too few to tell"}`,
      brokenAtUs: firstUs,
    };
    return resultOf(plan, despiteLag(finding, history, withinUs, { fromUs: 0, toUs: history.run.durationUs }));
  },
};

/** When a task was abandoned; undefined when somebody waited for it to the end, or its node died with it. */
function abandonedUs(
  { node, state, deadlineUs, goneUs }: TaskRecord,
  { end, processes, steps }: History,
): number | undefined {
  const momentUs = Math.min(goneUs ?? Infinity, deadlineUs ?? Infinity);
  if (state === "given-up" || state === "out-of-time") return momentUs;
  if (state !== "lost" || momentUs >= (end?.atUs ?? 0)) return undefined;
  // It has no end: its node died with it, or it goes on to this day.
  const hasDied =
    processes.some((process) => process.node === node) ||
    steps.some(
      ({ what }) =>
        "nodes" in what && what.nodes.includes(node) && (what.kind !== "fault" || what.fault.kind === "kill"),
    );
  return hasDied ? undefined : momentUs;
}

const neededFor = ({ detects }: { readonly detects: string | number }): number =>
  trialsToSee(fractionOf(detects), missMax);
