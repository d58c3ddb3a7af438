import type { Attempt } from "../../runtime/telemetry/events.ts";
import type { CallRecord, History } from "../history/history.ts";
import { clopperPearson } from "../judge/statistics.ts";
import type { LinkPlan } from "../scenario/plan.ts";
import type { Effect, Observation } from "./fault.ts";

/**
 * Whether a fault took effect, from call records against a control: the same attempts before the fault, attempts of the same
 * kind that the fault doesn't touch, and in `sim` the same seed without the fault. Two shares differ when their
 * Clopper-Pearson intervals (confidence 1 - 1e-4 each) don't meet.
 */
const alpha = 1e-4;

/** Which attempts a fault touches; of the others, those to services that it touches are the control. */
export interface Touched {
  readonly attempt: (from: string, to: string) => boolean;
  readonly service: (service: string) => boolean;
}

/** Attempts at these nodes. */
export function towards(nodes: readonly string[]): Touched {
  const touched = new Set(nodes);
  const services = new Set(nodes.map(serviceOf));
  return { attempt: (_from, to) => touched.has(to), service: (service) => services.has(service) };
}

/** Attempts over these links. */
export function over(links: readonly LinkPlan[]): Touched {
  const touched = new Set(links.map(({ from, to }) => `${from} ${to}`));
  const services = new Set(links.map(({ to }) => serviceOf(to)));
  return { attempt: (from, to) => touched.has(`${from} ${to}`), service: (service) => services.has(service) };
}

/** For faults that end service: the attempts they touch succeed no more, while others do, or did before. */
export function lostSuccesses(seen: Observation, touched: Touched): Effect {
  const { history, fromUs, toUs, control } = seen;
  const beforeUs = Math.max(0, fromUs - Math.max(toUs - fromUs, 1_000_000));
  const before = successes(history, touched, beforeUs, fromUs);
  const during = successes(history, touched, fromUs, toUs);

  const verdicts: Effect[] = [];
  if (before.others + during.others > 0) {
    verdicts.push(
      compareShares(
        { count: before.touched, of: before.touched + before.others },
        { count: during.touched, of: during.touched + during.others },
        `${during.touched} of ${during.touched + during.others} successes while it lasted, ${before.touched} of ${before.touched + before.others} before`,
      ),
    );
  } else {
    // Nothing of its kind is untouched: then time is the control.
    const share = (toUs - fromUs) / (toUs - beforeUs);
    verdicts.push(
      compareToShare(
        { count: during.touched, of: before.touched + during.touched },
        share,
        `${during.touched} successes in ${seconds(toUs - fromUs)} while it lasted, ${before.touched} in the ${seconds(fromUs - beforeUs)} before`,
      ),
    );
  }
  if (control !== undefined) {
    const without = successes(control, touched, fromUs, toUs).touched;
    verdicts.push(
      compareToShare(
        { count: during.touched, of: during.touched + without },
        0.5,
        `${during.touched} successes while it lasted, ${without} in the same run without the fault`,
      ),
    );
  }
  return strongest(verdicts);
}

/**
 * For faults that slow down: of the attempts they touch more take longer than a threshold, which is made from their usual
 * (median) time. `shareMin` is the least share of attempts that the fault must have slowed down.
 */
export function slowedAttempts(
  seen: Observation,
  touched: Touched,
  threshold: (usualUs: number) => number,
  shareMin = 0.5,
): Effect {
  const { history, fromUs, toUs, control } = seen;
  const verdicts: Effect[] = [];
  const during = durations(history, touched, fromUs, toUs);
  const controls: readonly (readonly [string, readonly number[]])[] = [
    ["before", durations(history, touched, 0, fromUs)],
    ["untouched", durations(history, { ...touched, attempt: (f, t) => !touched.attempt(f, t) }, fromUs, toUs)],
    ["without the fault", control === undefined ? [] : durations(control, touched, fromUs, toUs)],
  ];
  for (const [name, usual] of controls) {
    if (usual.length === 0) continue;
    const median = usual.toSorted((a, b) => a - b)[Math.floor(usual.length / 2)]!;
    const limitUs = threshold(median);
    const slow = during.filter((us) => us > limitUs).length;
    const usuallySlow = usual.filter((us) => us > limitUs).length;
    verdicts.push(
      compareSlow(
        { count: usuallySlow, of: usual.length },
        { count: slow, of: during.length },
        shareMin,
        `${slow} of ${during.length} attempts took over ${millis(limitUs)} while it lasted, ${usuallySlow} of ${usual.length} ${name}`,
      ),
    );
  }
  return strongest(verdicts);
}

/** For faults of a moment: attempts that were under way over the link broke then, and others did not. */
export function brokenInFlight(seen: Observation, touched: Touched): Effect {
  const { fromUs } = seen;
  const untilUs = fromUs + 100_000;
  let underWay = 0;
  let broken = 0;
  for (const { call, attempt } of attemptsOf(seen.history, touched)) {
    if (!touched.attempt(call.node, nodeOf(attempt)) || attempt.beginUs > fromUs || attempt.endUs < fromUs) continue;
    underWay++;
    if (attempt.code === "UNAVAILABLE" && attempt.endUs <= untilUs) broken++;
  }
  const evidence = `${broken} of ${underWay} attempts under way broke within 100 ms`;
  if (broken > 0) return { effect: "confirmed", evidence };
  // With nothing under way there was nothing to break.
  return { effect: underWay >= 5 ? "none" : "inconclusive", evidence };
}

interface Count {
  readonly count: number;
  readonly of: number;
}

function compareShares(before: Count, during: Count, evidence: string): Effect {
  const usual = clopperPearson(before.count, before.of, alpha);
  const now = clopperPearson(during.count, during.of, alpha);
  if (now.high < usual.low) return { effect: "confirmed", evidence };
  // At least half of what is usual still gets through: whatever was injected, it isn't there.
  if (now.low > usual.high / 2) return { effect: "none", evidence };
  return { effect: "inconclusive", evidence };
}

function compareToShare(during: Count, share: number, evidence: string): Effect {
  const now = clopperPearson(during.count, during.of, alpha);
  if (now.high < share) return { effect: "confirmed", evidence };
  if (now.low > share / 2) return { effect: "none", evidence };
  return { effect: "inconclusive", evidence };
}

function compareSlow(usually: Count, during: Count, shareMin: number, evidence: string): Effect {
  const usual = clopperPearson(usually.count, usually.of, alpha);
  const now = clopperPearson(during.count, during.of, alpha);
  if (now.low > usual.high) return { effect: "confirmed", evidence };
  if (now.high < shareMin && during.of >= 10) return { effect: "none", evidence };
  return { effect: "inconclusive", evidence };
}

/** One control that shows the effect is enough; "none" needs one that could have shown it and none that did. */
function strongest(verdicts: readonly Effect[]): Effect {
  return (
    verdicts.find(({ effect }) => effect === "confirmed") ??
    verdicts.find(({ effect }) => effect === "none") ??
    verdicts[0] ?? { effect: "inconclusive", evidence: "no attempt to compare with" }
  );
}

function successes(
  history: History,
  touched: Touched,
  fromUs: number,
  toUs: number,
): { touched: number; others: number } {
  const counts = { touched: 0, others: 0 };
  for (const { call, attempt } of attemptsOf(history, touched)) {
    if (attempt.code !== "OK" || attempt.beginUs < fromUs || attempt.beginUs >= toUs) continue;
    // An answer that came after the fault was lifted doesn't speak of the time while it lasted.
    if (attempt.endUs < 0 || attempt.endUs >= toUs) continue;
    if (touched.attempt(call.node, nodeOf(attempt))) counts.touched++;
    else counts.others++;
  }
  return counts;
}

function durations(history: History, touched: Touched, fromUs: number, toUs: number): number[] {
  const found: number[] = [];
  for (const { call, attempt } of attemptsOf(history, touched)) {
    if (attempt.beginUs < fromUs || attempt.beginUs >= toUs || attempt.endUs < 0) continue;
    if (touched.attempt(call.node, nodeOf(attempt))) found.push(attempt.endUs - attempt.beginUs);
  }
  return found;
}

function* attemptsOf(
  history: History,
  touched: Touched,
): Iterable<{ readonly call: CallRecord; readonly attempt: Attempt }> {
  for (const call of history.calls) {
    // A watch is one call as long as the run: its length says nothing.
    if (!touched.service(call.service) || call.method.endsWith("/Watch")) continue;
    for (const attempt of call.attempts) yield { call, attempt };
  }
}

/** Calls to the infrastructure name the service; it has one node. */
function nodeOf(attempt: Attempt): string {
  return attempt.instance.includes("/") ? attempt.instance : `${attempt.instance}/0`;
}

const serviceOf = (node: string): string => node.slice(0, node.indexOf("/"));
const seconds = (us: number): string => `${(us / 1e6).toFixed(1)} s`;
const millis = (us: number): string => `${Math.round(us / 1000)} ms`;
