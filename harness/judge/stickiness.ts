import type { History } from "../history/history.ts";
import { formatShare, fractionOf, type Window } from "../scenario/durations.ts";
import { ScenarioError } from "../scenario/error.ts";
import type { CheckSpec } from "../scenario/schema.ts";
import { missMax, type CheckContext, type CheckKind } from "./check.ts";
import { nothingToJudge, requireTrials, resultOf } from "./outcome.ts";
import { plannedCalls } from "./planned.ts";
import { callsOf, partsOf, whoseName } from "./select.ts";
import { keyCount } from "./share.ts";
import { trialsToSee } from "./statistics.ts";

type StickySpec = Extract<CheckSpec, { check: "stickiness" }>;

/** How long after a rule is published calls may still go by the one before. */
const settleUs = 500_000;

/**
 * While the rules stay the same, calls with the same key reach instances of one tag, or one instance, only. With `except` an instance
 * comes or goes: its keys are elsewhere meanwhile, and nobody else's are.
 */
export const stickiness: CheckKind<StickySpec> = {
  plan: (spec, context) => {
    const name = `${spec.service} sticks to its key${besides(spec)}${whoseName(spec)}${spec.during === undefined ? "" : ` ${spec.during}`}`;
    requireKnown(name, spec, context);
    const keys = keyCount(name, context, spec);
    const changes = context.timeline.flatMap(({ atUs, what }) => {
      if (what.kind === "rollout") return what.percents.map((_percent, step) => atUs + step * what.everyUs);
      return what.kind === "publish" ? [atUs] : [];
    });
    const parts = partsOf(spec, context.durationUs);
    let expected = 0;
    let trials = 0;
    for (const era of eras(changes, context.durationUs)) {
      const planned = plannedCalls(context, spec.service, within(parts, era), spec);
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
    const { service, by = "tag", except } = plan.check;
    const places = new Map(history.run.nodes.map(({ id, tag }) => [id, by === "instance" ? id : (tag ?? "-")]));
    const unsettled = ruleChanges(history);
    const first = new Map<string, string>();
    const trials = new Set<string>();
    const flipped = new Map<string, { readonly key: string; readonly dueUs: number }>();
    for (const call of callsOf(history, service, plan.check)) {
      const instance = call.attempts[0]?.instance ?? "";
      const place = places.get(instance);
      if (call.key === undefined || place === undefined || instance === except) continue;
      const era = unsettled.findLastIndex(({ fromUs }) => call.beginUs >= fromUs);
      if (era >= 0 && call.beginUs < unsettled[era]!.toUs) continue;
      const id = `${era} ${call.key}`;
      const before = first.get(id);
      if (before === undefined) {
        first.set(id, place);
        continue;
      }
      trials.add(id);
      if (before !== place && !flipped.has(id)) flipped.set(id, { key: call.key, dueUs: call.dueUs });
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
          ? `each of ${trials.size} keys with several calls saw one ${by}${besides(plan.check)}`
          : `${flipped.size} of ${trials.size} keys saw two ${by}s${besides(plan.check)} while the rules stood, the first ${example.key}`,
      brokenAtUs: example?.dueUs,
    });
  },
};

const besides = ({ except }: StickySpec): string => (except === undefined ? "" : ` besides ${except}`);

/** Nothing is excepted that isn't there, or that no key sticks to. */
function requireKnown(name: string, { service, by, except }: StickySpec, { nodes }: CheckContext): void {
  if (except === undefined) return;
  const instances = nodes.filter((node) => node.service === service).map(({ id }) => id);
  if (by === "instance" && instances.includes(except)) return;
  throw new ScenarioError(
    by === "instance" ? `"${name}": there is no ${except}` : `"${name}": a tag has no instance to except`,
    {
      code: "INVALID_SCENARIO",
      hint: by === "instance" ? `one of ${instances.join(", ")}` : "say .byInstance() as well",
    },
  );
}

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
