import type { History } from "../history/history.ts";
import type { MetricsRecord } from "../history/record.ts";
import { ScenarioError } from "../scenario/error.ts";
import type { CheckPlan } from "../scenario/plan.ts";
import type { CheckSpec } from "../scenario/schema.ts";
import { extraAttemptsMax } from "./attempts-per-call.ts";
import type { CheckKind } from "./check.ts";
import { nothingToJudge, requireTrials, resultOf } from "./outcome.ts";
import { plannedCalls } from "./planned.ts";

/** Worlds that run a Prometheus. */
const worldsWithPrometheus: readonly string[] = ["docker"];

/**
 * Prometheus counted the service's calls as the history has them: by caller and status, by caller and instance, and by instance
 * as served. The counts are exactly equal for a node that was scraped after everything that it did, and at most the history's for
 * one that was killed. Every call counts here, the warm-up's too: the counters know nothing of warm-ups.
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

/** What may be counted: between `least` and `most`, or, where the history itself has holes, unknown above `most`. */
interface Expected {
  readonly what: string;
  readonly counted: number;
  readonly least: number;
  readonly most: number;
  /** Why more than `most` may be right. */
  readonly doubt: string | undefined;
}

function compare(plan: CheckPlan, history: History): readonly Comparison[] {
  const { service } = plan.check;
  const recordOf = new Map(history.metrics.map((record) => [record.node, record]));
  const instances = history.run.nodes.filter((node) => node.service === service).map(({ id }) => id);
  const callers = [...new Set(history.calls.filter((call) => call.service === service).map(({ node }) => node))];
  return [...callers, ...instances].flatMap((node): readonly Comparison[] => {
    const record = recordOf.get(node);
    if (record === undefined) return [{ is: "open", what: `Prometheus wasn't asked about ${node}` }];
    const expected = callers.includes(node) ? made(node, service, record, history) : [];
    const arrived = instances.includes(node) ? [served(node, plan, record, history)] : [];
    return [...expected, ...arrived].map(judged);
  });
}

function judged({ what, counted, least, most, doubt }: Expected): Comparison {
  if (counted >= least && counted <= most) return { is: "right", what };
  const has = least === most ? `${most}` : least === 0 ? `at most ${most}` : `${least} to ${most}`;
  const told = `${what}: Prometheus counted ${counted}, the history has ${has}`;
  return counted > most && doubt !== undefined
    ? { is: "open", what: `${told}, but ${doubt}` }
    : { is: "wrong", what: told };
}

/** Calls that the node made, by how they ended, and their attempts, by instance. */
function made(node: string, service: string, record: MetricsRecord, history: History): readonly Expected[] {
  const ended = history.calls.filter(
    (call) => call.node === node && call.service === service && call.code !== undefined,
  );
  const calls = counts(ended.map(({ code }) => code!));
  const attempts = counts(ended.flatMap((call) => call.attempts.map(({ instance }) => instance)));
  const scrapedCalls = new Map(
    record.calls.filter((one) => one.service === service).map((one) => [one.code, one.count]),
  );
  const scrapedAttempts = new Map(
    record.attempts.filter((one) => one.service === service).map((one) => [one.instance, one.count]),
  );
  const isExact = record.isWhole && !isBroken(node, history);
  const doubt = holeBefore(record, history);
  const expected = (what: string, counted = 0, most = 0): Expected => ({
    what,
    counted,
    least: isExact ? most : 0,
    most,
    doubt,
  });
  return [
    ...union(calls, scrapedCalls).map((code) =>
      expected(`calls of ${service} by ${node} that ended ${code}`, scrapedCalls.get(code), calls.get(code)),
    ),
    ...union(attempts, scrapedAttempts).map((instance) =>
      expected(`attempts of ${node} at ${instance}`, scrapedAttempts.get(instance), attempts.get(instance)),
    ),
  ];
}

/**
 * Calls that an instance served: at least the attempts that ended OK, at most all. An attempt may fail without having arrived, and
 * one whose caller has gone may have arrived without being known.
 */
function served(node: string, plan: CheckPlan, record: MetricsRecord, history: History): Expected {
  const calls = history.calls.filter((call) => call.service === plan.check.service);
  const attempts = calls.flatMap((call) => call.attempts.filter(({ instance }) => instance === node));
  // What nobody waited for any more says OK without having ended.
  const ok = attempts.filter(({ code, endUs }) => code === "OK" && endUs >= 0).length;
  const unknown = calls.filter(({ code }) => code === undefined).length;
  const isExact = record.isWhole && !isBroken(node, history);
  const hole = history.gaps.find((gap) => calls.some((call) => call.node === gap.node));
  return {
    what: `calls served by ${node}`,
    counted: record.served.reduce((sum, { count }) => sum + count, 0),
    least: isExact ? ok : 0,
    most: attempts.length + unknown * (1 + (plan.extraAttemptsMax ?? 0)),
    doubt: hole && `the last calls of ${hole.node} aren't known`,
  };
}

/** The node died, and with it what it hadn't told yet. */
function isBroken(node: string, { gaps, processes }: History): boolean {
  return [...gaps, ...processes].some((one) => one.node === node);
}

/** A node that was killed may have been scraped after it last told the harness what it did. */
function holeBefore({ node, scrapedUs }: MetricsRecord, { gaps }: History): string | undefined {
  const isOpen = gaps.some((gap) => gap.node === node && (scrapedUs ?? -Infinity) >= gap.fromUs);
  return isOpen ? `its history ends before its last scrape` : undefined;
}

function counts<Key>(keys: readonly Key[]): ReadonlyMap<Key, number> {
  const found = new Map<Key, number>();
  for (const key of keys) found.set(key, (found.get(key) ?? 0) + 1);
  return found;
}

function union<Key extends string>(a: ReadonlyMap<Key, number>, b: ReadonlyMap<Key, number>): readonly Key[] {
  return [...new Set([...a.keys(), ...b.keys()])].sort();
}
