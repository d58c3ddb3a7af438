import type { History } from "../history/history.ts";
import { worse, type AgreementResult, type AgreementRow, type RunResult, type Verdict } from "../report/verdict.ts";
import { durationUs, formatDuration, formatShare } from "../scenario/durations.ts";
import type { Scenario } from "../scenario/schema.ts";
import { falseAlarmMax } from "./check.ts";
import { busyness, lateFaultIn, latePublishIn, ranLate, slowStartIn } from "./machine.ts";
import { exactShare, lagPeriodUs, lagsOf } from "./outcome.ts";
import { recoveryTimeUs } from "./recovery.ts";
import { callsOf } from "./select.ts";
import { differ, isTooMany, type Proportion } from "./statistics.ts";
import { p99Us, timesOf } from "./summary.ts";

/**
 * The default tolerances, which are also the widest that a scenario may state, and the absolute differences below which nothing is
 * compared. A share among instances that nobody has stated a tolerance for may also differ by chance: where each call is a draw, a few
 * hundred do so by more.
 */
const defaults = { share: 0.03, success: 0.03, p99: 0.25, recovery: 0.2 };
const floorUs = { p99: 20_000, recovery: 250_000 };
/** Of a p99 that differs by chance. */
const chanceMax = 1e-3;

/** A run, as a report has it. */
export interface ComparedRun {
  readonly result: RunResult;
  readonly history?: History | undefined;
}

/** Prediction beside measurement: what one world said of a scenario, and what the others did with it. */
export function agree(scenario: Scenario, reference: ComparedRun, others: readonly ComparedRun[]): AgreementResult {
  const comparisons = others.flatMap((other) =>
    reference.history === undefined || other.history === undefined
      ? []
      : [
          verdictRow(reference.result.verdict, other.result.verdict),
          ...comparisonsOf(scenario, reference.history, other.history),
        ].map((row) => ({ ...row, world: other.result.world })),
  );
  const rows = [...Map.groupBy(comparisons, ({ quantity }) => quantity)].map(([quantity, compared]): AgreementRow => {
    const { expected, tolerance } = compared[0]!;
    const measured = compared.map(({ world, value, agrees, doubt }) => ({
      world,
      value,
      agrees,
      ...(doubt !== undefined && { doubt }),
    }));
    return { quantity, expected, tolerance, measured };
  });
  const verdicts = others.map(({ result }) => verdictOf(rows, reference.result, result));
  return {
    scenario: scenario.name,
    seed: reference.result.seed,
    verdict: verdicts.reduce<Verdict>(worse, "pass"),
    reference: reference.result.world,
    worlds: others.map(({ result }) => result.world),
    rows,
  };
}

/** One quantity in two worlds. */
interface Comparison {
  readonly quantity: string;
  readonly expected: string;
  readonly value: string;
  readonly tolerance: string;
  readonly agrees: boolean;
  readonly doubt?: string;
}

/** What the checks say in both; a run that says nothing contradicts nothing. */
function verdictRow(expected: Verdict, value: Verdict): Comparison {
  const isSilent = [expected, value].some((verdict) => verdict !== "pass" && verdict !== "fail");
  return { quantity: "verdict", expected, value, tolerance: "the same", agrees: isSilent || expected === value };
}

function comparisonsOf(scenario: Scenario, predicted: History, measured: History): readonly Comparison[] {
  const stated = scenario.agreement ?? {};
  const tolerance = {
    share: stated.share,
    success: stated.success ?? defaults.success,
    p99: stated.p99 ?? defaults.p99,
    recovery: stated.recovery ?? defaults.recovery,
  };
  const rows: Comparison[] = [];
  for (const service of [...new Set([...servicesIn(predicted), ...servicesIn(measured)])].sort()) {
    rows.push(
      shareRow(`${service} success`, successOf(predicted, service), successOf(measured, service), tolerance.success),
    );
    rows.push(...errorRows(service, predicted, measured, tolerance.success));
    rows.push(...shareRows(service, predicted, measured, tolerance.share));
  }
  rows.push(
    timeRow("p99", p99Us(predicted), p99Us(measured), {
      tolerance: tolerance.p99,
      floor: floorUs.p99,
      isChance: (limitUs) => isChanceP99(predicted, measured, limitUs),
      doubt: (allowedUs) => stallsDecideP99(measured, allowedUs) ?? busyness(measured),
    }),
  );
  for (const spec of scenario.expect) {
    if (spec.check !== "recovery") continue;
    const quantity = `${spec.service} recovery after ${formatDuration(durationUs(spec.after))}`;
    const times = [recoveryTimeUs(predicted, spec), recoveryTimeUs(measured, spec)] as const;
    rows.push(
      timeRow(quantity, times[0], times[1], {
        tolerance: tolerance.recovery,
        floor: floorUs.recovery,
        doubt: (allowedUs) => stallsDecideRecovery(measured, allowedUs) ?? busyness(measured),
      }),
    );
  }
  const whole = [{ fromUs: 0, toUs: measured.run.durationUs }];
  const late = slowStartIn(measured, whole) ?? lateFaultIn(measured, whole) ?? latePublishIn(measured, whole);
  return late === undefined ? rows : rows.map((row) => (row.agrees ? row : { doubt: late, ...row }));
}

/** A measurement that says nothing can't contradict a prediction; neither can one that failed by itself. */
function verdictOf(rows: readonly AgreementRow[], reference: RunResult, other: RunResult): Verdict {
  const own = rows.flatMap(({ measured }) => measured.filter(({ world }) => world === other.world));
  if (own.length === 0 || reference.verdict === "error" || other.verdict === "error") return "inconclusive";
  const contradictions = own.filter(({ agrees }) => !agrees);
  if (contradictions.length === 0) return "pass";
  if (contradictions.every(({ doubt }) => doubt !== undefined)) return "inconclusive";
  return other.verdict === "inconclusive" ? "inconclusive" : "fail";
}

/** Of each second of the load, the latest that anything ran late in it, where that is more than a quarter of what is allowed. */
function stallsUs(history: History, allowedUs: number): number[] {
  const worst = new Map<number, number>();
  for (const { atUs, maxUs } of lagsOf(history)) {
    const second = Math.floor(atUs / 1e6);
    // A record speaks of the time before it: the load's last stall is reported after its end.
    if (atUs >= 0 && atUs < history.run.durationUs + lagPeriodUs)
      worst.set(second, Math.max(worst.get(second) ?? 0, maxUs));
  }
  return [...worst.values()].filter((us) => us > allowedUs / 4);
}

/** A p99 is about the slowest hundredth: a machine that stands still for half as long as that decides it. */
function stallsDecideP99(history: History, allowedUs: number): string | undefined {
  const stalledUs = stallsUs(history, allowedUs).reduce((sum, us) => sum + us, 0);
  if (stalledUs < 0.005 * history.run.durationUs) return undefined;
  return `the machine stood still for ${formatDuration(Math.round(stalledUs / 1000) * 1000)} in all`;
}

/**
 * The slowest hundredth of a few hundred calls are three or four, and one bad moment. So a p99 beyond a limit is chance unless more calls
 * are slower than that limit (or fewer, below) than one common share makes in two runs: the predicted p99 is a draw as well. And while it
 * may still be one in a hundred that is slower, it is no higher p99.
 */
function isChanceP99(predicted: History, measured: History, limitUs: number): boolean {
  const [expected, seen] = [predicted, measured].map((history): Proportion => {
    const times = timesOf(history);
    return { count: times.filter((us) => us > limitUs).length, n: times.length };
  }) as [Proportion, Proportion];
  const isHigher = seen.count * expected.n > expected.count * seen.n;
  if (isHigher && !isTooMany(seen.count, seen.n, 0.01, chanceMax)) return true;
  return !differ(expected, seen, chanceMax);
}

/** A recovery is one moment: a single stall can put it off. */
function stallsDecideRecovery(history: History, allowedUs: number): string | undefined {
  const longestUs = Math.max(0, ...stallsUs(history, allowedUs));
  return longestUs === 0 ? undefined : ranLate(longestUs);
}

function servicesIn(history: History): string[] {
  return [...new Set(history.calls.filter(({ dueUs }) => dueUs >= 0).map(({ service }) => service))];
}

function successOf(history: History, service: string): Proportion {
  const known = callsOf(history, service).filter(({ code }) => code !== undefined);
  return { count: known.filter(({ code }) => code === "OK").length, n: known.length };
}

/** Calls that ended with an error, by its status, where either world had one: as many failures of another kind aren't the same outcome. */
function errorRows(
  service: string,
  predicted: History,
  measured: History,
  tolerance: ShareTolerance,
): readonly Comparison[] {
  const [expected, errors] = [codesOf(predicted, service), codesOf(measured, service)];
  const codes = [...new Set([...expected.counts.keys(), ...errors.counts.keys()])]
    .filter((code) => code !== "OK")
    .sort();
  const show = ({ count, n }: Proportion): string => `${count} of ${n}`;
  return codes.map((code) => {
    const [before, now] = [expected, errors].map(({ counts, n }) => ({ count: counts.get(code) ?? 0, n })) as [
      Proportion,
      Proportion,
    ];
    return {
      ...shareRow(`${service} ${code}`, before, now, tolerance),
      expected: show(before),
      value: show(now),
    };
  });
}

function codesOf(
  history: History,
  service: string,
): { readonly counts: ReadonlyMap<string, number>; readonly n: number } {
  const counts = new Map<string, number>();
  let n = 0;
  for (const { code } of callsOf(history, service)) {
    if (code === undefined) continue;
    counts.set(code, (counts.get(code) ?? 0) + 1);
    n++;
  }
  return { counts, n };
}

/** First attempts by tag where the service's instances have tags, else by instance. */
function shareRows(
  service: string,
  predicted: History,
  measured: History,
  tolerance: ShareTolerance,
): readonly Comparison[] {
  const tags = new Map(
    predicted.run.nodes.flatMap((node) => (node.service === service ? [[node.id, node.tag] as const] : [])),
  );
  const hasTags = [...tags.values()].some((tag) => tag !== undefined);
  const cellOf = hasTags ? (id: string): string => `${service} ${tags.get(id) ?? "-"}` : (id: string): string => id;
  const [expected, shares] = [sharesOf(predicted, service, cellOf), sharesOf(measured, service, cellOf)];
  const cells = [...new Set([...expected.counts.keys(), ...shares.counts.keys()])].sort();
  const inCell = ({ counts, n }: typeof shares, cell: string): Proportion => ({ count: counts.get(cell) ?? 0, n });
  return cells.map((cell) => shareRow(`${cell} share`, inCell(expected, cell), inCell(shares, cell), tolerance));
}

function sharesOf(
  history: History,
  service: string,
  cellOf: (id: string) => string,
): { readonly counts: ReadonlyMap<string, number>; readonly n: number } {
  const counts = new Map<string, number>();
  let n = 0;
  for (const { attempts } of callsOf(history, service)) {
    const first = attempts[0];
    if (first === undefined) continue;
    const cell = cellOf(first.instance);
    counts.set(cell, (counts.get(cell) ?? 0) + 1);
    n++;
  }
  return { counts, n };
}

/** The largest difference; or `chance`: as much as two runs differ by where each call is a draw. Default: the larger of the two. */
type ShareTolerance = number | "chance" | undefined;

function shareRow(
  quantity: string,
  predicted: Proportion,
  measured: Proportion,
  tolerance: ShareTolerance,
): Comparison {
  const [expected, value] = [predicted, measured].map(({ count, n }) => (n === 0 ? 0 : count / n)) as [number, number];
  const row = { quantity, expected: formatShare(expected), value: formatShare(value) };
  // A service that only one of the two called differs by no chance.
  const called = (predicted.n === 0) === (measured.n === 0);
  const isChance = (): boolean => called && !differ(predicted, measured, falseAlarmMax);
  if (tolerance === "chance") return { ...row, tolerance: "± chance", agrees: isChance() };
  const most = tolerance ?? defaults.share;
  // Differences such as 1 - 0.97 come out a little too large.
  const isWithin = Math.abs(expected - value) <= most + 1e-9;
  return tolerance === undefined
    ? { ...row, tolerance: `± ${exactShare(most)} or chance`, agrees: isWithin || isChance() }
    : { ...row, tolerance: `± ${exactShare(most)}`, agrees: isWithin };
}

interface TimeTolerance {
  /** Relative to the prediction, and the difference (µs) that is always allowed. */
  readonly tolerance: number;
  readonly floor: number;
  /** Whether a measurement beyond this limit (µs) may be chance. Default: it is none. */
  readonly isChance?: (limitUs: number) => boolean;
  /** Why a measurement that is too slow by more than is allowed may be the machine's fault. */
  readonly doubt: (allowedUs: number) => string | undefined;
}

function timeRow(
  quantity: string,
  expected: number,
  value: number,
  { tolerance, floor, isChance, doubt }: TimeTolerance,
): Comparison {
  const show = (us: number): string => {
    if (us === Infinity) return "never";
    return us === 0 ? "at once" : formatDuration(Math.round(us / 1000) * 1000);
  };
  const allowed = Math.max(floor, tolerance * expected);
  // "never" agrees with nothing but "never".
  const isWithin = expected === value || (expected < Infinity && Math.abs(expected - value) <= allowed);
  const agrees = isWithin || isChance?.(value > expected ? expected + allowed : expected - allowed) === true;
  // A busy machine makes everything slower, and nothing faster.
  const reason = agrees || value < expected ? undefined : doubt(allowed);
  return {
    quantity,
    expected: show(expected),
    value: show(value),
    tolerance: `± ${exactShare(tolerance)} or ${formatDuration(floor)}`,
    agrees,
    ...(reason !== undefined && { doubt: reason }),
  };
}
