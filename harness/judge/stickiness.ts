import type { History } from "../history/history.ts";
import { fractionOf } from "../scenario/durations.ts";
import type { CheckSpec } from "../scenario/schema.ts";
import { missMax, type CheckKind } from "./check.ts";
import { nothingToJudge, percent, requireTrials, resultOf } from "./outcome.ts";
import { callsOf, plannedCalls } from "./select.ts";
import { keyCount } from "./share.ts";

/** How long after a rule is published calls may still go by the one before. */
const settleUs = 500_000;

/** While the rules stay the same, calls with the same key reach instances of one tag only. */
export const stickiness: CheckKind<Extract<CheckSpec, { check: "stickiness" }>> = {
  plan: (spec, context) => {
    const name = `${spec.service} sticks to its key`;
    const changes = context.timeline.flatMap(({ atUs, what }) => (what.kind === "publish" ? [atUs] : []));
    const keys = keyCount(context, spec.service);
    let trials = 0;
    const edges = [0, ...changes, context.durationUs];
    const due = plannedCalls(context, spec.service, spec);
    for (let index = 1; index < edges.length; index++) {
      const fromUs = edges[index - 1]! + (index > 1 ? settleUs : 0);
      const calls = due.filter((atUs) => atUs >= fromUs && atUs < edges[index]!).length;
      // A key shows whether it sticks when it is drawn at least twice; draws of one key are nearly Poisson.
      const mean = keys === 0 ? 0 : calls / keys;
      trials += keys * (1 - Math.exp(-mean) * (1 + mean));
    }
    requireTrials(name, context, trials, Math.log(missMax) / Math.log(1 - fractionOf(spec.detects)));
    return {
      check: spec,
      name,
      phase: spec.phase ?? "safety",
      expectedTrials: Math.floor(trials),
      // A key that flips is a defect, by definition.
      falseAlarm: 0,
      detects: `${percent(fractionOf(spec.detects))} of keys`,
    };
  },
  judge: (plan, history) => {
    const { service } = plan.check;
    const tags = new Map(history.run.nodes.map(({ id, tag }) => [id, tag ?? "-"]));
    const unsettled = ruleChanges(history);
    const first = new Map<string, string>();
    const trials = new Set<string>();
    const flipped = new Map<string, number>();
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
      if (before !== tag && !flipped.has(id)) flipped.set(id, call.dueUs);
    }
    const bound = "0 keys flip";
    if (trials.size === 0) return resultOf(plan, nothingToJudge(bound, "key with two calls"));
    const [example] = flipped;
    return resultOf(plan, {
      verdict: flipped.size === 0 ? "pass" : "fail",
      observed: `${flipped.size} of ${trials.size}`,
      bound,
      trials: trials.size,
      message:
        example === undefined
          ? `each of ${trials.size} keys with several calls saw one tag`
          : `${flipped.size} of ${trials.size} keys saw two tags while the rules stood, the first ${example[0].split(" ")[1]}`,
      brokenAtUs: example?.[1],
    });
  },
};

/** When a rule was published, until every node can be expected to go by it. */
function ruleChanges(history: History): { readonly fromUs: number; readonly toUs: number }[] {
  const applied = history.steps.filter(({ what, phase }) => what.kind === "publish" && phase === "apply");
  return applied.map(({ atUs }) => {
    const heard = history.rules.filter((rule) => rule.atUs >= atUs && rule.atUs < atUs + 2_000_000);
    return { fromUs: atUs, toUs: Math.max(atUs + settleUs, ...heard.map((rule) => rule.atUs + 50_000)) };
  });
}
