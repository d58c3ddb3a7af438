import type { History } from "../history/history.ts";
import { formatShare, fractionOf, type Window } from "../scenario/durations.ts";
import type { CheckSpec } from "../scenario/schema.ts";
import { missMax, type CheckKind } from "./check.ts";
import { nothingToJudge, requireTrials, resultOf } from "./outcome.ts";
import { plannedCalls } from "./planned.ts";
import { callsOf, partsOf } from "./select.ts";
import { keyCount } from "./share.ts";
import { trialsToSee } from "./statistics.ts";

/** How long after a rule is published calls may still go by the one before. */
const settleUs = 500_000;

/** While the rules stay the same, calls with the same key reach instances of one tag only. */
export const stickiness: CheckKind<Extract<CheckSpec, { check: "stickiness" }>> = {
  plan: (spec, context) => {
    const name = `${spec.service} sticks to its key`;
    const keys = keyCount(name, context, spec.service);
    const changes = context.timeline.flatMap(({ atUs, what }) => {
      if (what.kind === "rollout") return what.percents.map((_percent, step) => atUs + step * what.everyUs);
      return what.kind === "publish" ? [atUs] : [];
    });
    const parts = partsOf(spec, context.durationUs);
    let expected = 0;
    let trials = 0;
    for (const era of eras(changes, context.durationUs)) {
      const planned = plannedCalls(context, spec.service, within(parts, era));
      expected += keysWithSeveral(keys, planned.expected);
      trials += keysWithSeveral(keys, planned.atLeast);
    }
    requireTrials(
      { name, context, trials: Math.floor(trials), more: "keys" },
      trialsToSee(fractionOf(spec.detects), missMax),
    );
    return {
      check: spec,
      name,
      phase: spec.phase ?? "safety",
      expectedTrials: Math.floor(expected),
      // A key that flips is a defect, by definition.
      falseAlarm: 0,
      detects: `${formatShare(fractionOf(spec.detects))} of keys`,
    };
  },
  judge: (plan, history) => {
    const { service } = plan.check;
    const tags = new Map(history.run.nodes.map(({ id, tag }) => [id, tag ?? "-"]));
    const unsettled = ruleChanges(history);
    const first = new Map<string, string>();
    const trials = new Set<string>();
    const flipped = new Map<string, { readonly key: string; readonly dueUs: number }>();
    for (const call of callsOf(history, service, plan.check)) {
      const tag = tags.get(call.attempts[0]?.instance ?? "");
      if (call.key === undefined || tag === undefined) continue;
      const era = unsettled.findLastIndex(({ fromUs }) => call.beginUs >= fromUs);
      if (era >= 0 && call.beginUs < unsettled[era]!.toUs) continue;
      const id = `${era} ${call.key}`;
      const before = first.get(id);
      if (before === undefined) {
        first.set(id, tag);
        continue;
      }
      trials.add(id);
      if (before !== tag && !flipped.has(id)) flipped.set(id, { key: call.key, dueUs: call.dueUs });
    }
    const bound = "0 keys flip";
    if (trials.size === 0) return resultOf(plan, nothingToJudge(bound, "key with two calls"));
    const [example] = flipped.values();
    return resultOf(plan, {
      verdict: flipped.size === 0 ? "pass" : "fail",
      observed: `${flipped.size} of ${trials.size}`,
      bound,
      trials: trials.size,
      message:
        example === undefined
          ? `each of ${trials.size} keys with several calls saw one tag`
          : `${flipped.size} of ${trials.size} keys saw two tags while the rules stood, the first ${example.key}`,
      brokenAtUs: example?.dueUs,
    });
  },
};

/** The stretches in which the rules stand, without the time in which a change spreads. */
function eras(changes: readonly number[], durationUs: number): readonly Window[] {
  const edges = [-settleUs, ...changes, durationUs];
  return edges.slice(1).map((toUs, index) => ({ fromUs: edges[index]! + settleUs, toUs }));
}

function within(parts: readonly Window[], era: Window): readonly Window[] {
  return parts.map(({ fromUs, toUs }) => ({
    fromUs: Math.max(fromUs, era.fromUs),
    toUs: Math.min(toUs, era.toUs),
  }));
}

/** A key shows whether it sticks when it is drawn at least twice; the draws of one key are nearly Poisson. */
function keysWithSeveral(keys: number, calls: number): number {
  const mean = calls / keys;
  return keys * (1 - Math.exp(-mean) * (1 + mean));
}

/** When a rule was published, until every node can be expected to go by it. */
function ruleChanges(history: History): { readonly fromUs: number; readonly toUs: number }[] {
  const applied = history.steps.filter(({ what, phase }) => what.kind === "publish" && phase === "apply");
  return [...applied, ...history.rollouts]
    .toSorted((a, b) => a.atUs - b.atUs)
    .map(({ atUs }) => {
      const heard = history.rules.filter((rule) => rule.atUs >= atUs && rule.atUs < atUs + 2_000_000);
      return { fromUs: atUs, toUs: Math.max(atUs + settleUs, ...heard.map((rule) => rule.atUs + 50_000)) };
    });
}
