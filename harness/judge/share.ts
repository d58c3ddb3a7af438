import type { History } from "../history/history.ts";
import { formatShare } from "../scenario/durations.ts";
import { ScenarioError } from "../scenario/error.ts";
import { calleesOf } from "../scenario/calls.ts";
import type { CheckSpec } from "../scenario/schema.ts";
import { falseAlarmMax, type CheckContext, type CheckKind } from "./check.ts";
import { doubtOf, nothingToJudge, requirePower, resultOf } from "./outcome.ts";
import { plannedCalls } from "./planned.ts";
import { callsOf, whoseName } from "./select.ts";
import { isTooFew, isTooMany, kl } from "./statistics.ts";

type ShareSpec = Extract<CheckSpec, { check: "share" }>;

/**
 * How first attempts spread over instances or tags, each cell against its expected share. Retries don't count: where they go
 * depends on where the first attempt went. With `trial: "key"` each distinct sticky key counts once, by its first call.
 */
export const share: CheckKind<ShareSpec> = {
  plan: (spec, context) => {
    const name = `${spec.service} share by ${spec.by}${whoseName(spec)}${spec.during === undefined ? "" : ` ${spec.during}`}`;
    const expected = sharesOf(spec);
    const { expected: calls, atLeast } = plannedCalls(context, spec.service, spec);
    const keys = spec.trial === "key" ? keyCount(name, context, spec) : undefined;
    const countOf = (draws: number): number => (keys === undefined ? draws : Math.floor(distinctOf(keys, draws)));
    const more = keys !== undefined ? "keys" : spec.during === undefined ? "rate or length" : "rate";
    const demand = { name, context, trials: countOf(atLeast), more } as const;
    const alpha = cellAlpha(expected);
    for (const p of expected.values()) {
      // Nothing may go to a cell without a share: one trial is enough to fail it.
      if (p === 0) continue;
      // Found as "too many" where the factor leaves room for it, else as too few: the mirror image.
      if (p * spec.detects < 1) requirePower(demand, { p, p1: p * spec.detects, alpha });
      else requirePower(demand, { p: 1 - p, p1: 1 - p / spec.detects, alpha });
    }
    return {
      check: spec,
      name,
      phase: spec.phase ?? "safety",
      expectedTrials: countOf(calls),
      falseAlarm: falseAlarmMax,
      detects: `× ${spec.detects}`,
    };
  },
  judge: (plan, history) => {
    const { service, by, trial } = plan.check;
    const expected = sharesOf(plan.check);
    const shareOf = (cell: string): number => expected.get(cell) ?? 0;
    const bound = [...expected].map(([cell, p]) => `${cell} ${formatShare(p)}`).join(", ");
    const { cells, unknown } = firstCells(history, plan.check);
    if (cells.length === 0) return resultOf(plan, nothingToJudge(bound, `attempt at ${service}`));
    const counts = new Map<string, number>([...expected.keys()].map((cell) => [cell, 0]));
    for (const cell of cells) counts.set(cell, (counts.get(cell) ?? 0) + 1);
    const n = cells.length;
    const alpha = cellAlpha(expected);
    const broken = [...counts]
      .filter(([cell, count]) => {
        const p = shareOf(cell);
        return isTooMany(count, n, p, alpha) || isTooFew(count, n, p, alpha);
      })
      .sort(([a, countA], [b, countB]) => kl(countB / n, shareOf(b)) - kl(countA / n, shareOf(a)));
    // Calls of unknown end may all have gone to one cell, or to none of the others.
    const isInDoubt = [...counts].some(([cell, count]) => {
      const p = shareOf(cell);
      return isTooMany(count + unknown, n + unknown, p, alpha) || isTooFew(count, n + unknown, p, alpha);
    });
    const unit = trial === "key" ? "keys" : "first attempts";
    const [worst] = broken;
    return resultOf(plan, {
      verdict: worst !== undefined ? "fail" : unknown > 0 && isInDoubt ? "inconclusive" : "pass",
      observed: [...counts].map(([cell, count]) => `${cell} ${formatShare(count / n)}`).join(", "),
      bound,
      trials: n,
      message:
        worst === undefined
          ? `${n} ${unit} spread over ${counts.size} ${by}s as expected${doubtOf(unknown)}`
          : `${worst[1]} of ${n} ${unit} went to ${worst[0]}, expected ${formatShare(shareOf(worst[0]))}`,
    });
  },
};

/** Each cell can fail in two ways, and all of them together may fail a healthy service once in a billion runs. */
function cellAlpha(expected: ReadonlyMap<string, number>): number {
  return falseAlarmMax / (2 * expected.size);
}

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

/** The instance or tag that each trial began with, in order, and the calls of which nobody knows where they went. */
function firstCells(
  history: History,
  spec: ShareSpec,
): { readonly cells: readonly string[]; readonly unknown: number } {
  const tags = new Map(history.run.nodes.map(({ id, tag }) => [id, tag ?? "-"]));
  const seen = new Set<string>();
  const cells: string[] = [];
  let unknown = 0;
  for (const { code, key, attempts } of callsOf(history, spec.service, spec)) {
    if (spec.trial === "key" && (key === undefined || seen.has(key))) continue;
    const [first] = attempts;
    if (first === undefined) {
      // A key shows itself by its other calls; a call that ended without an attempt found no instance.
      if (code === undefined && spec.trial !== "key") unknown++;
      continue;
    }
    if (spec.trial === "key") seen.add(key!);
    cells.push(spec.by === "instance" ? first.instance : (tags.get(first.instance) ?? "-"));
  }
  return { cells, unknown };
}

/** The expected number of distinct keys among so many uniform draws. */
function distinctOf(keys: number, draws: number): number {
  return keys * (1 - (1 - 1 / keys) ** draws);
}

/** How many keys the service's consumers, or the one whose calls are meant, draw from. */
export function keyCount(
  name: string,
  { scenario }: CheckContext,
  { service, from }: { readonly service: string; readonly from?: string | undefined },
): number {
  for (const [caller, spec] of Object.entries(scenario.fleet)) {
    if (from !== undefined && caller !== from) continue;
    if (calleesOf(spec).includes(service) && "key" in spec && spec.key !== undefined) return spec.key.count;
  }
  throw new ScenarioError(`"${name}": no consumer of ${service} sends a key`, {
    code: "INVALID_SCENARIO",
    hint: 'give it one: consumer({ …, key: { name: "user-id", count: 1000 } })',
  });
}
