import type { CallRecord, History } from "../history/history.ts";
import type { RunResult, Verdict } from "../report/verdict.ts";
import { formatShare } from "../scenario/durations.ts";
import { falseAlarmMax } from "./check.ts";
import { differ, isTooFew, isTooMany, quantile, type Proportion } from "./statistics.ts";
import { loadCalls } from "./summary.ts";

/** What comparing needs of a run: all of it is in its directory. */
export interface StoredRun {
  readonly result: RunResult;
  readonly history: History;
}

/** Two runs side by side. */
export interface Comparison {
  /**
   * `differs`: some quantity by more than chance explains, or an expectation passed here and failed there. `inconclusive`: nothing did,
   * but one of them says too little.
   */
  readonly outcome: "same" | "differs" | "inconclusive";
  /** What a reader must know before comparing: other scenarios, other worlds, a run that was cut off. */
  readonly notes: readonly string[];
  readonly verdicts: readonly [Verdict, Verdict];
  readonly checks: readonly ComparedCheck[];
  readonly rows: readonly ComparedRow[];
  /** The probability that two runs of one system differ in any row. Calls count as independent draws. */
  readonly falseAlarm: number;
}

export interface ComparedCheck {
  readonly name: string;
  /** undefined: that run has no such check. */
  readonly verdicts: readonly [Verdict | undefined, Verdict | undefined];
  readonly observed: readonly [string, string];
  readonly isDifferent: boolean;
}

export interface ComparedRow {
  /** "orders success", "share of orders/1", "orders UNAVAILABLE", "orders p99" */
  readonly quantity: string;
  readonly values: readonly [string, string];
  /** More than chance explains, with a false alarm of at most 1e-9. */
  readonly isDifferent: boolean;
}

type Pair<T> = readonly [T, T];

export function compareRuns(a: StoredRun, b: StoredRun): Comparison {
  const runs: Pair<StoredRun> = [a, b];
  const notes = notesOf(runs);
  const checks = checksOf(runs);
  const rows = servicesOf(runs).flatMap((service) => rowsOf(service, runs));
  const isDifferent = [...checks, ...rows].some((one) => one.isDifferent);
  const isDoubtful = runs.some(
    ({ result, history }) =>
      history.end?.outcome !== "complete" || result.verdict === "inconclusive" || result.verdict === "error",
  );
  return {
    outcome: isDifferent ? "differs" : isDoubtful ? "inconclusive" : "same",
    notes,
    verdicts: [a.result.verdict, b.result.verdict],
    checks,
    rows,
    falseAlarm: rows.length * falseAlarmMax,
  };
}

function notesOf(runs: Pair<StoredRun>): readonly string[] {
  const [a, b] = runs.map(({ history }) => history.run) as unknown as Pair<History["run"]>;
  const notes: string[] = [];
  if (a.scenario !== b.scenario) notes.push(`they are runs of two scenarios: ${a.scenario} and ${b.scenario}`);
  else if (a.scenarioHash !== b.scenarioHash) notes.push(`${a.scenario} itself was changed between them`);
  if (a.world !== b.world) notes.push(`they ran in two worlds: ${a.world} and ${b.world}`);
  if (a.seed !== b.seed) notes.push(`they ran with two seeds: ${a.seed} and ${b.seed}`);
  if (a.flyball !== b.flyball) notes.push(`two versions of Flyball ran them: ${a.flyball} and ${b.flyball}`);
  for (const [index, { history }] of runs.entries()) {
    const { end } = history;
    const name = "AB"[index]!;
    if (end === undefined) notes.push(`${name}'s history was cut off: what came last is missing`);
    else if (end.outcome !== "complete") notes.push(`${name} didn't run to its end: ${end.error ?? end.outcome}`);
  }
  return notes;
}

function checksOf([a, b]: Pair<StoredRun>): readonly ComparedCheck[] {
  const names = [...new Set([a, b].flatMap(({ result }) => result.checks.map(({ name }) => name)))];
  return names.map((name) => {
    const [one, other] = [a, b].map(({ result }) => result.checks.find((check) => check.name === name));
    const verdicts = [one?.verdict, other?.verdict] as const;
    return {
      name,
      verdicts,
      observed: [one?.observed ?? "", other?.observed ?? ""],
      // What is inconclusive contradicts nothing.
      isDifferent: verdicts.includes("pass") && verdicts.includes("fail"),
    };
  });
}

/** Those that the load calls, or that are called for its sake. */
function servicesOf(runs: Pair<StoredRun>): readonly string[] {
  return [...new Set(runs.flatMap(({ history }) => history.calls.map(({ service }) => service)))].sort();
}

function rowsOf(service: string, runs: Pair<StoredRun>): readonly ComparedRow[] {
  const ended = runs.map(({ history }) =>
    history.calls.filter(
      (call) => call.service === service && call.dueUs >= 0 && call.redelivers === undefined && call.code !== undefined,
    ),
  ) as unknown as Pair<CallRecord[]>;
  const codes = [...new Set(ended.flatMap((calls) => calls.map(({ code }) => code!)))].filter((code) => code !== "OK");
  const countRow = (quantity: string, isCounted: (call: CallRecord) => boolean, text = percentOf): ComparedRow =>
    proportionRow(
      quantity,
      both(ended, (calls) => ({ count: calls.filter(isCounted).length, n: calls.length })),
      text,
    );
  return [
    countRow(`${service} success`, ({ code }) => code === "OK"),
    ...codes.sort().map((code) => countRow(`${service} ${code}`, (call) => call.code === code, countOf)),
    ...sharesOf(service, ended),
    ...latencyRows(service, runs),
  ];
}

const both = <From, To>([a, b]: Pair<From>, map: (one: From) => To): Pair<To> => [map(a), map(b)];

function proportionRow(quantity: string, counts: Pair<Proportion>, text: (one: Proportion) => string): ComparedRow {
  return { quantity, values: both(counts, text), isDifferent: differ(...counts, falseAlarmMax) };
}

const percentOf = ({ count, n }: Proportion): string => (n === 0 ? "none" : formatShare(count / n));
const countOf = ({ count, n }: Proportion): string => `${count} of ${n}`;

/** First attempts: where a retry goes depends on where the first one went. */
function sharesOf(service: string, ended: Pair<readonly CallRecord[]>): readonly ComparedRow[] {
  const firsts = both(ended, (calls) => calls.flatMap(({ attempts }) => attempts.slice(0, 1)));
  const instances = [...new Set(firsts.flatMap((all) => all.map(({ instance }) => instance)))];
  if (instances.length < 2) return [];
  return instances
    .sort((a, b) => a.localeCompare(b, "en", { numeric: true }))
    .map((instance) => {
      const counts = both(firsts, (all) => ({
        count: all.filter((one) => one.instance === instance).length,
        n: all.length,
      }));
      return proportionRow(`${service} share of ${instance}`, counts, percentOf);
    });
}

const shares = { p50: 0.5, p90: 0.9, p99: 0.99 };

/** Of the calls that the load made: those below have no due time of their own. */
function latencyRows(service: string, runs: Pair<StoredRun>): readonly ComparedRow[] {
  const times = both(runs, ({ history }) =>
    loadCalls(history)
      .filter((call) => call.service === service && call.code !== undefined)
      .map(({ dueUs, endUs }) => endUs - dueUs)
      .sort((a, b) => a - b),
  );
  if (times.some((each) => each.length === 0)) return [];
  return Object.entries(shares).map(([name, share]) => ({
    quantity: `${service} ${name}`,
    values: both(times, (sorted) => `${(quantile(sorted, share) / 1000).toPrecision(3)} ms`),
    isDifferent: quantilesDiffer(times, share),
  }));
}

/**
 * Whether more or fewer of one sample lie above the quantile of both together than chance explains (Mood's median test, for any
 * quantile). Given all values, the smaller sample is drawn from them without replacement; the bound of `isTooMany` holds for that as well
 * (Hoeffding 1963, section 6).
 */
export function quantilesDiffer(times: Pair<readonly number[]>, share: number, alpha = falseAlarmMax): boolean {
  const all = [...times[0], ...times[1]].sort((a, b) => a - b);
  const border = quantile(all, share);
  const above = (values: readonly number[]): number => values.filter((value) => value > border).length;
  const smaller = times[0].length <= times[1].length ? times[0] : times[1];
  const p = above(all) / all.length;
  const count = above(smaller);
  const n = smaller.length;
  return isTooMany(count, n, p, alpha / 2) || isTooFew(count, n, p, alpha / 2);
}
