import type { History } from "../history/history.ts";
import { ScenarioError } from "../scenario/error.ts";
import type { CheckSpec } from "../scenario/schema.ts";
import { falseAlarmMax, type CheckContext, type CheckKind } from "./check.ts";
import { nothingToJudge, percent, requirePower, resultOf } from "./outcome.ts";
import { callsOf, plannedCalls } from "./select.ts";
import { isTooFew, isTooMany } from "./statistics.ts";

type ShareSpec = Extract<CheckSpec, { check: "share" }>;

/**
 * How first attempts spread over instances or tags, each cell against its expected share. Retries don't count: where they go
 * depends on where the first attempt went. With `trial: "key"` each distinct sticky key counts once, by its first call.
 */
export const share: CheckKind<ShareSpec> = {
  plan: (spec, context) => {
    const name = `${spec.service} share by ${spec.by}${spec.during === undefined ? "" : ` ${spec.during}`}`;
    const expected = sharesOf(spec);
    const trials = trialsOf(spec, context);
    const alpha = falseAlarmMax / (2 * expected.size);
    for (const [, p] of expected) {
      if (p === 0) continue;
      // Found as "too many" where the factor leaves room for it, else as too few: the mirror image.
      if (p * spec.detects < 1) requirePower(name, context, trials, { p, p1: p * spec.detects, alpha });
      else requirePower(name, context, trials, { p: 1 - p, p1: 1 - p / spec.detects, alpha });
    }
    return {
      check: spec,
      name,
      phase: spec.phase ?? "safety",
      expectedTrials: trials,
      falseAlarm: falseAlarmMax,
      detects: `× ${spec.detects}`,
    };
  },
  judge: (plan, history) => {
    const { service, by, trial } = plan.check;
    const expected = sharesOf(plan.check);
    const bound = [...expected].map(([cell, p]) => `${cell} ${percent(p)}`).join(", ");
    const cells = firstCells(history, plan.check);
    if (cells.length === 0) return resultOf(plan, nothingToJudge(bound, `call of ${service}`));
    const counts = new Map<string, number>([...expected.keys()].map((cell) => [cell, 0]));
    for (const cell of cells) counts.set(cell, (counts.get(cell) ?? 0) + 1);
    const n = cells.length;
    const alpha = falseAlarmMax / (2 * expected.size);
    const broken = [...counts].filter(([cell, count]) => {
      const p = expected.get(cell) ?? 0;
      return isTooMany(count, n, p, alpha) || isTooFew(count, n, p, alpha);
    });
    const unit = trial === "key" ? "keys" : "first attempts";
    const worst = broken[0];
    return resultOf(plan, {
      verdict: broken.length === 0 ? "pass" : "fail",
      observed: [...counts].map(([cell, count]) => `${cell} ${percent(count / n)}`).join(", "),
      bound,
      trials: n,
      message:
        worst === undefined
          ? `${n} ${unit} spread over ${counts.size} ${by}s as expected`
          : `${worst[1]} of ${n} ${unit} went to ${worst[0]}, expected ${percent(expected.get(worst[0]) ?? 0)}`,
    });
  },
};

function sharesOf(spec: ShareSpec): Map<string, number> {
  const entries = Object.entries(spec.expected);
  const sum = entries.reduce((total, [, weight]) => total + weight, 0);
  if (sum === 0) {
    throw new ScenarioError(`the expected shares of ${spec.service} are all 0`, {
      code: "INVALID_SCENARIO",
      hint: "give at least one instance or tag a share above 0",
    });
  }
  return new Map(entries.map(([cell, weight]) => [cell, weight / sum]));
}

/** The instance or tag that each trial began with, in order. */
function firstCells(history: History, spec: ShareSpec): string[] {
  const tags = new Map(history.run.nodes.map(({ id, tag }) => [id, tag ?? "-"]));
  const seen = new Set<string>();
  const cells: string[] = [];
  for (const call of callsOf(history, spec.service, spec)) {
    const first = call.attempts[0];
    if (first === undefined) continue;
    if (spec.trial === "key") {
      if (call.key === undefined || seen.has(call.key)) continue;
      seen.add(call.key);
    }
    cells.push(spec.by === "instance" ? first.instance : (tags.get(first.instance) ?? "-"));
  }
  return cells;
}

function trialsOf(spec: ShareSpec, context: CheckContext): number {
  const calls = plannedCalls(context, spec.service, spec).length;
  return spec.trial === "key" ? Math.floor(distinctKeys(context, spec.service, calls)) : calls;
}

/** The expected number of distinct keys among so many uniform draws from the callers' keys. */
function distinctKeys(context: CheckContext, service: string, calls: number): number {
  const keys = keyCount(context, service);
  return keys === 0 ? 0 : keys * (1 - (1 - 1 / keys) ** calls);
}

/** How many keys the service's consumers draw from; 0 when they send none. */
export function keyCount(context: CheckContext, service: string): number {
  for (const spec of Object.values(context.scenario.fleet)) {
    if (spec.program === "consumer" && spec.calls.service === service && spec.key !== undefined) return spec.key.count;
  }
  return 0;
}
