import type { History } from "../history/history.ts";
import type { MetricsRecord } from "../history/record.ts";
import { ScenarioError } from "../scenario/error.ts";
import type { CheckPlan, WorldName } from "../scenario/plan.ts";
import type { CheckSpec } from "../scenario/schema.ts";
import { extraAttemptsMax } from "./attempts-per-call.ts";
import type { CheckKind } from "./check.ts";
import { nothingToJudge, requireTrials, resultOf } from "./outcome.ts";
import { plannedCalls } from "./planned.ts";

/** Worlds that run a Prometheus. */
const worldsWithPrometheus: readonly WorldName[] = ["docker"];

/**
 * Prometheus counted the service's calls as the history has them: by caller and status, by caller and instance, and by instance
 * as served. The counts are exactly equal for a node that was scraped after everything that it did, and at most the history's for
 * one that was killed. A node that lived and wasn't scraped in the end leaves the answer open, or a Prometheus that sees nobody
 * would agree with everything. Every call counts here, the warm-up's too: the counters know nothing of warm-ups.
 */
export const metrics: CheckKind<Extract<CheckSpec, { check: "metrics" }>> = {
  plan: (spec, context) => {
    const name = `metrics of ${spec.service} as in the history`;
    if (!worldsWithPrometheus.includes(context.world)) {
      throw new ScenarioError(`"${name}": world ${context.world} has no Prometheus`, {
        code: "UNSUPPORTED",
        hint: `choose --world ${worldsWithPrometheus.join(" or ")}`,
      });
    }
    const { expected, atLeast: trials } = plannedCalls(context, spec.service);
    requireTrials({ name, context, trials }, 1);
    return {
      check: spec,
      name,
      phase: "safety",
      expectedTrials: expected,
      // A call that isn't counted once is a defect, by definition.
      falseAlarm: 0,
      detects: "1 call",
      extraAttemptsMax: extraAttemptsMax(context.scenario, spec.service),
    };
  },
  judge: (plan, history) => {
    const { service } = plan.check;
    const bound = "0 differ";
    const ended = history.calls.filter((call) => call.service === service && call.code !== undefined);
    if (ended.length === 0) return resultOf(plan, nothingToJudge(bound, `finished call of ${service}`));
    const comparisons = compare(plan, history);
    if (comparisons.length === 0) return resultOf(plan, nothingToJudge(bound, "answer of Prometheus's"));
    const wrong = comparisons.filter(({ is }) => is === "wrong");
    const open = comparisons.filter(({ is }) => is === "open");
    const worst = wrong[0] ?? open[0];
    return resultOf(plan, {
      verdict: wrong.length > 0 ? "fail" : open.length > 0 ? "inconclusive" : "pass",
      observed: `${wrong.length} of ${comparisons.length} differ`,
      bound,
      trials: ended.length,
      message:
        worst === undefined
          ? `all ${comparisons.length} counts of Prometheus's agree with the history of ${ended.length} calls of ${service}`
          : `${worst.what}${wrong.length > 1 ? ` (and ${wrong.length - 1} more)` : ""}`,
    });
  },
};

interface Comparison {
  readonly is: "right" | "wrong" | "open";
  readonly what: string;
}

/** What may be counted: between `least` and `most`. */
interface Expected {
  readonly what: string;
  readonly counted: number;
  readonly least: number;
  readonly most: number;
}

function compare(plan: CheckPlan, history: History): readonly Comparison[] {
  const { service } = plan.check;
  const recordOf = new Map(history.metrics.map((record) => [record.node, record]));
  const instances = history.run.nodes.filter((node) => node.service === service).map(({ id }) => id);
  const callers = [...new Set(history.calls.filter((call) => call.service === service).map(({ node }) => node))];
  return [...callers, ...instances].flatMap((node): readonly Comparison[] => {
    const record = recordOf.get(node);
    if (record === undefined) return [{ is: "open", what: `Prometheus wasn't asked about ${node}` }];
    const own = callers.includes(node) ? made(plan, record, history) : [];
    const arrived = instances.includes(node) ? [served(plan, record, history)] : [];
    const isMissed = !record.isWhole && !hasDied(node, history);
    return [
      ...(isMissed ? [{ is: "open", what: `Prometheus didn't scrape ${node} after its last call` } as const] : []),
      ...[...own, ...arrived].map(judged),
    ];
  });
}

function judged({ what, counted, least, most }: Expected): Comparison {
  if (counted >= least && counted <= most) return { is: "right", what };
  const has = least === most ? `${most}` : least === 0 ? `at most ${most}` : `${least} to ${most}`;
  return { is: "wrong", what: `${what}: Prometheus counted ${counted}, the history has ${has}` };
}

/** Calls that the node made, by how they ended, and their attempts, by instance. */
function made(plan: CheckPlan, record: MetricsRecord, history: History): readonly Expected[] {
  const { node } = record;
  const { service } = plan.check;
  const own = history.calls.filter((call) => call.node === node && call.service === service);
  const ended = own.filter(({ code }) => code !== undefined);
  const calls = counts(ended.map(({ code }) => code!));
  const attempts = counts(ended.flatMap((call) => call.attempts.map(({ instance }) => instance)));
  const scraped = {
    calls: new Map(record.calls.filter((one) => one.service === service).map((one) => [one.code, one.count])),
    attempts: new Map(record.attempts.filter((one) => one.service === service).map((one) => [one.instance, one.count])),
  };
  const isExact = record.isWhole && !hasDied(node, history);
  // One that was killed may have been scraped after it last told the harness what it did.
  const isScrapedLater = history.gaps.some((gap) => gap.node === node && (record.scrapedUs ?? -Infinity) >= gap.fromUs);
  const untold = isScrapedLater ? own.length - ended.length + lostCalls(node, history) : 0;
  const expected = (what: string, counted: number | undefined, told: number | undefined, more: number): Expected => ({
    what,
    counted: counted ?? 0,
    least: isExact ? (told ?? 0) : 0,
    most: (told ?? 0) + more,
  });
  return [
    ...union(calls, scraped.calls).map((code) =>
      expected(`calls of ${service} by ${node} that ended ${code}`, scraped.calls.get(code), calls.get(code), untold),
    ),
    ...union(attempts, scraped.attempts).map((instance) =>
      expected(
        `attempts of ${node} at ${instance}`,
        scraped.attempts.get(instance),
        attempts.get(instance),
        untold * attemptsMax(plan),
      ),
    ),
  ];
}

/**
 * Calls that an instance served: at least the attempts that ended OK, at most all. An attempt may fail without having arrived, and
 * one whose caller has gone may have arrived without being known.
 */
function served(plan: CheckPlan, record: MetricsRecord, history: History): Expected {
  const { node } = record;
  const calls = history.calls.filter((call) => call.service === plan.check.service);
  const attempts = calls.flatMap((call) => call.attempts.filter(({ instance }) => instance === node));
  // What nobody waited for any more says OK without having ended.
  const ok = attempts.filter(({ code, endUs }) => code === "OK" && endUs >= 0).length;
  const callers = new Set(calls.map((call) => call.node));
  const untold = [...callers].reduce(
    (sum, caller) => sum + lostCalls(caller, history),
    calls.filter(({ code }) => code === undefined).length,
  );
  return {
    what: `calls served by ${node}`,
    counted: record.served.reduce((sum, { count }) => sum + count, 0),
    least: record.isWhole && !hasDied(node, history) ? ok : 0,
    most: attempts.length + untold * attemptsMax(plan),
  };
}

/** The node died, and with it what it hadn't told yet. */
function hasDied(node: string, { gaps, processes }: History): boolean {
  return [...gaps, ...processes].some((one) => one.node === node);
}

/** Calls that a node that died may have begun without telling: no more than were planned for it and aren't known. */
function lostCalls(node: string, history: History): number {
  if (!history.gaps.some((gap) => gap.node === node)) return 0;
  const planned = history.planned.get(node);
  // Who calls because he was called has no plan.
  if (planned === undefined) return Infinity;
  const begun = history.calls.filter((call) => call.node === node && call.dueUs >= 0);
  return Math.max(0, planned - begun.length);
}

const attemptsMax = ({ extraAttemptsMax: extra = 0 }: CheckPlan): number => 1 + extra;

function counts<Key>(keys: readonly Key[]): ReadonlyMap<Key, number> {
  const found = new Map<Key, number>();
  for (const key of keys) found.set(key, (found.get(key) ?? 0) + 1);
  return found;
}

function union<Key extends string>(a: ReadonlyMap<Key, number>, b: ReadonlyMap<Key, number>): readonly Key[] {
  return [...new Set([...a.keys(), ...b.keys()])].sort();
}
