import type { CallRecord, History } from "../history/history.ts";
import { callsOf, outcomeOf, type When } from "../judge/select.ts";
import { formatShare } from "../scenario/durations.ts";
import type { Measurement } from "./property.ts";

/** What properties count in a history beside what checks do. */

/** Fewer calls than this say nothing. */
const callsMin = 30;

/** What the caller waited for the longest of the calls; one that didn't end took until the run did. */
export function longestCallMs(history: History, service: string, when: When): number | undefined {
  const calls = callsOf(history, service, when);
  const lastUs = history.end?.atUs ?? history.run.durationUs;
  if (calls.length < callsMin) return undefined;
  return Math.max(...calls.map(({ beginUs, endUs }) => ((endUs < 0 ? lastUs : endUs) - beginUs) / 1000));
}

/** The part of the first attempts that goes to an instance. */
export function shareOf(history: History, service: string, instance: string, when: When): number | undefined {
  const first = callsOf(history, service, when).flatMap(({ attempts }) => attempts[0]?.instance ?? []);
  return first.length < callsMin ? undefined : first.filter((id) => id === instance).length / first.length;
}

/** Whether a number keeps to a bound; nothing is said without the number. */
export function within(
  value: number | undefined,
  holds: (value: number) => boolean,
  say: (value: number) => Measurement["evidence"],
): Measurement {
  if (value === undefined) {
    return { outcome: "unmeasured", evidence: { en: "too few calls were made", zh: "调用太少" } };
  }
  return { outcome: holds(value) ? "holds" : "fails", evidence: say(value) };
}

/** The part of the calls of which something is true. */
export function partOf(
  history: History,
  service: string,
  when: When,
  isSo: (call: CallRecord) => boolean,
): number | undefined {
  const calls = callsOf(history, service, when);
  return calls.length < callsMin ? undefined : calls.filter(isSo).length / calls.length;
}

/** How many calls there were, how many failed, and how the first of those did. */
export function callsAndFailures(
  history: History,
  service: string,
  when: When,
): { readonly calls: number; readonly failed: number; readonly first: string | undefined } {
  const calls = callsOf(history, service, when);
  const failed = calls.filter((call) => outcomeOf(call) === "failed");
  return { calls: calls.length, failed: failed.length, first: failed[0]?.message };
}

export { formatShare };
