import type { Attempt } from "../../runtime/telemetry/events.ts";
import type { CallRecord, History } from "../history/history.ts";
import { clopperPearson, upperTail } from "../judge/statistics.ts";
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
  /** Nodes whose connection to the service goes where the fault is. */
  readonly source: (from: string) => boolean;
}

/** Attempts at these nodes. */
export function towards(nodes: readonly string[]): Touched {
  const touched = new Set(nodes);
  const services = new Set(nodes.map(serviceOf));
  return {
    attempt: (_from, to) => touched.has(to),
    service: (service) => services.has(service),
    source: () => true,
  };
}

/** Attempts over these links. */
export function over(links: readonly LinkPlan[]): Touched {
  const touched = new Set(links.map(({ from, to }) => `${from} ${to}`));
  const services = new Set(links.map(({ to }) => serviceOf(to)));
  const sources = new Set(links.map(({ from }) => from));
  return {
    attempt: (from, to) => touched.has(`${from} ${to}`),
    service: (service) => services.has(service),
    source: (from) => sources.has(from),
  };
}

/** For faults that end service: the attempts they touch succeed no more, while others do, or did before. */
export function lostSuccesses(seen: Observation, touched: Touched): Effect {
  const { history, orderedUs, fromUs, toUs, control } = seen;
  const beforeUs = Math.max(0, orderedUs - Math.max(toUs - fromUs, 1_000_000));
  const before = successes(history, touched, beforeUs, orderedUs);
  const during = successes(history, touched, fromUs, toUs);

  if (before.touched + during.touched === 0) {
    if (touched.service("registry")) return lostRegistry(seen, touched, beforeUs);
    if (touched.service("coordinator")) {
      return lostSteps(seen, touched, { beforeUs, are: ["begin", "branch", "end"], called: "steps of transactions" });
    }
    if (touched.service("database")) {
      return lostSteps(seen, touched, { beforeUs, are: ["holding"], called: "commits" });
    }
  }

  const verdicts: Effect[] = [];
  if (seen.isOnlyControlValid === true) {
    // What was before, or beside it, differs by the other fault too.
  } else if (before.others + during.others > 0) {
    verdicts.push(
      compareShares(
        { count: before.touched, of: before.touched + before.others },
        { count: during.touched, of: during.touched + during.others },
        `${during.touched} of ${during.touched + during.others} successes while it lasted, ${before.touched} of ${before.touched + before.others} before`,
      ),
    );
  } else {
    // Nothing of its kind is untouched: then what was asked of it is the control.
    verdicts.push(
      compareToShare(
        { count: during.touched, of: before.touched + during.touched },
        demand(history, touched, { beforeUs, fromUs, toUs }),
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
 * A registry that isn't ours is asked in a protocol of its own, which leaves no call records. What its clients report themselves
 * stands in for them: whether they heard of it. The control is the time before, and the clients that the fault doesn't touch.
 */
function lostRegistry({ history, orderedUs, fromUs, toUs }: Observation, touched: Touched, beforeUs: number): Effect {
  const lost = history.registryStates.filter(({ state }) => state === "suspended" || state === "expired");
  const nodesIn = (startUs: number, endUs: number, isTouched: boolean): number =>
    new Set(
      lost
        .filter(({ atUs, node }) => atUs >= startUs && atUs < endUs && touched.source(node) === isTouched)
        .map(({ node }) => node),
    ).size;
  // Silence is noticed when a heartbeat is overdue, a while after it began.
  const during = nodesIn(orderedUs, toUs, true);
  const before = nodesIn(beforeUs, orderedUs, true);
  const others = nodesIn(fromUs, toUs, false);
  const evidence = `${during} clients lost it while it lasted, ${before} before, ${others} that it didn't touch`;
  return { effect: during > 0 && before === 0 && others === 0 ? "confirmed" : "inconclusive", evidence };
}

/**
 * Likewise for a coordinator: what its clients report to have begun, registered and ended with it; and for a database: what was committed
 * there.
 */
function lostSteps(
  { history, fromUs, toUs }: Observation,
  touched: Touched,
  { beforeUs, are, called }: { readonly beforeUs: number; readonly are: readonly string[]; readonly called: string },
): Effect {
  const doneIn = (startUs: number, endUs: number): number =>
    history.transactions.filter(
      ({ what, node, atUs }) => are.includes(what) && touched.source(node) && atUs >= startUs && atUs < endUs,
    ).length;
  const [before, during] = [doneIn(beforeUs, fromUs), doneIn(fromUs, toUs)];
  return compareToShare(
    { count: during, of: before + during },
    (toUs - fromUs) / (toUs - beforeUs),
    `${during} ${called} while it lasted, ${before} in the ${seconds(fromUs - beforeUs)} before`,
  );
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
  const { history, orderedUs, fromUs, toUs, control } = seen;
  const verdicts: Effect[] = [];
  const during = durations(history, touched, fromUs, toUs);
  const controls: readonly (readonly [string, readonly number[]])[] = [
    ["before", durations(history, touched, 0, orderedUs)],
    ["untouched", durations(history, { ...touched, attempt: (f, t) => !touched.attempt(f, t) }, fromUs, toUs)],
    ["without the fault", control === undefined ? [] : durations(control, touched, fromUs, toUs)],
  ];
  for (const [name, usual] of seen.isOnlyControlValid === true ? controls.slice(-1) : controls) {
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

/**
 * For faults of a moment: attempts that were under way over the link broke then. The control is the same link before: that so
 * many of all its broken attempts should be among the few that were under way just then would be a strange coincidence.
 */
export function brokenInFlight(seen: Observation, touched: Touched): Effect {
  const { history, orderedUs, fromUs, control } = seen;
  const untilUs = fromUs + 100_000;
  const then = brokenAround(history, touched, orderedUs, untilUs);
  const evidence = `${then.broken} of ${then.underWay} attempts under way broke within 100 ms, ${then.brokenBefore} of ${then.before} before`;
  const share = then.underWay / (then.underWay + then.before);
  const broken = then.broken + then.brokenBefore;
  const isStrange = upperTail(then.broken, broken, share) <= alpha;
  if (then.broken > 0 && isStrange && !seen.isOnlyControlValid) return { effect: "confirmed", evidence };
  if (then.broken > 0 && control !== undefined) {
    // Up to the fault this is the same run: whatever broke without it broke for another reason.
    const without = brokenAround(control, touched, orderedUs, untilUs).broken;
    if (without === 0) return { effect: "confirmed", evidence: `${evidence}, none in the same run without the fault` };
  }
  // With nothing under way there was nothing to break.
  return { effect: then.broken === 0 && then.underWay >= 5 ? "none" : "inconclusive", evidence };
}

function brokenAround(
  history: History,
  touched: Touched,
  fromUs: number,
  untilUs: number,
): { readonly underWay: number; readonly broken: number; readonly before: number; readonly brokenBefore: number } {
  const counts = { underWay: 0, broken: 0, before: 0, brokenBefore: 0 };
  for (const { call, attempt } of attemptsOf(history, touched)) {
    if (!touched.attempt(call.node, nodeOf(attempt)) || attempt.beginUs < 0 || attempt.beginUs > fromUs) continue;
    if (attempt.endUs < 0) continue;
    const isBroken = attempt.code === "UNAVAILABLE";
    if (attempt.endUs < fromUs) {
      counts.before++;
      if (isBroken) counts.brokenBefore++;
    } else {
      counts.underWay++;
      if (isBroken && attempt.endUs <= untilUs) counts.broken++;
    }
  }
  return counts;
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
  const usually = before.count > 0 ? before.count / before.of : usual.high;
  if (now.low > usually / 2) return { effect: "none", evidence };
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

/**
 * The part of what was asked of the touched services, before and while the fault lasted, that was asked while it lasted: by
 * the load's calls, whose rate may change; by time for the infrastructure, which its clients leave alone while it is away.
 */
function demand(
  history: History,
  touched: Touched,
  { beforeUs, fromUs, toUs }: { readonly beforeUs: number; readonly fromUs: number; readonly toUs: number },
): number {
  let before = 0;
  let during = 0;
  for (const { service, beginUs } of history.calls) {
    if (!touched.service(service)) continue;
    if (beginUs >= beforeUs && beginUs < fromUs) before++;
    else if (beginUs >= fromUs && beginUs < toUs) during++;
  }
  return before + during > 0 ? during / (before + during) : (toUs - fromUs) / (toUs - beforeUs);
}

function durations(history: History, touched: Touched, fromUs: number, toUs: number): number[] {
  const found: number[] = [];
  for (const { call, attempt } of attemptsOf(history, touched)) {
    if (attempt.beginUs < fromUs || attempt.beginUs >= toUs) continue;
    // One that its call didn't wait for took at least until the call was over.
    const endUs = attempt.endUs >= 0 ? attempt.endUs : call.endUs;
    if (endUs >= 0 && touched.attempt(call.node, nodeOf(attempt))) found.push(endUs - attempt.beginUs);
  }
  return found;
}

function* attemptsOf(
  history: History,
  touched: Touched,
): Iterable<{ readonly call: CallRecord; readonly attempt: Attempt }> {
  for (const calls of [history.calls, history.infrastructureCalls]) {
    for (const call of calls) {
      // A watch is one call as long as the run: its length says nothing.
      if (!touched.service(call.service) || call.method.endsWith("/Watch")) continue;
      for (const attempt of call.attempts) yield { call, attempt };
    }
  }
}

/** Calls to the infrastructure name the service; it has one node. */
function nodeOf(attempt: Attempt): string {
  return attempt.instance.includes("/") ? attempt.instance : `${attempt.instance}/0`;
}

const serviceOf = (node: string): string => node.slice(0, node.indexOf("/"));
const seconds = (us: number): string => `${(us / 1e6).toFixed(1)} s`;
const millis = (us: number): string => `${Math.round(us / 1000)} ms`;
