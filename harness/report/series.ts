import type { CallRecord, History } from "../history/history.ts";

/** What happened in each of some equal stretches of a run. */
export interface Series {
  /** Calls that were due. */
  readonly calls: readonly number[];
  readonly failed: readonly number[];
  /** Attempts after the first. */
  readonly retries: readonly number[];
  /** The 95th percentile of their time, in milliseconds; 0 without calls. */
  readonly p95Ms: readonly number[];
}

/** The calls of the load (those of consumers), in `buckets` stretches by the time when they were due. */
export function seriesOf(history: History, buckets: number): Series {
  const consumers = new Set(
    history.run.nodes.filter(({ program }) => program === "consumer" || program === "gateway").map(({ id }) => id),
  );
  const services = new Set(
    history.run.nodes
      .filter(({ program }) => program === "provider" || program === "order")
      .map(({ service }) => service),
  );
  const slots = Array.from({ length: buckets }, (): CallRecord[] => []);
  for (const call of history.calls) {
    if (!consumers.has(call.node) || !services.has(call.service)) continue;
    slots[Math.floor((call.dueUs / history.run.durationUs) * buckets)]?.push(call);
  }
  return {
    calls: slots.map((calls) => calls.length),
    failed: slots.map((calls) => calls.filter(({ code }) => code !== "OK").length),
    retries: slots.map((calls) => calls.reduce((sum, { attempts }) => sum + Math.max(0, attempts.length - 1), 0)),
    p95Ms: slots.map(
      (calls) => p95(calls.filter(({ endUs }) => endUs >= 0).map(({ dueUs, endUs }) => endUs - dueUs)) / 1000,
    ),
  };
}

function p95(values: number[]): number {
  values.sort((a, b) => a - b);
  return values[Math.ceil(values.length * 0.95) - 1] ?? 0;
}
