import type { CallRecord, History } from "../history/history.ts";
import type { RunResult } from "../report/verdict.ts";
import { quantile } from "./statistics.ts";

/** A run in numbers. Calls are those that the load made; `instances` counts attempts. */
export function summarise(
  history: History,
): Pick<RunResult, "calls" | "offeredPerSecond" | "latencyMs" | "harnessCpu" | "instances"> {
  const calls = loadCalls(history);
  let ok = 0;
  let failed = 0;
  let attempts = 0;
  const times: number[] = [];
  for (const call of calls) {
    attempts += call.attempts.length;
    if (call.code === undefined) continue;
    if (call.code === "OK") ok++;
    else failed++;
    times.push(call.endUs - call.dueUs);
  }
  times.sort((a, b) => a - b);
  const { harnessCpu } = history;
  const ms = (share: number): number => Math.round(quantile(times, share) / 10) / 100;
  return {
    calls: { total: calls.length, ok, failed, attempts },
    offeredPerSecond: Math.round((calls.length / history.run.durationUs) * 1e8) / 100,
    latencyMs: { p50: ms(0.5), p90: ms(0.9), p99: ms(0.99), max: ms(1) },
    ...(harnessCpu !== undefined && { harnessCpu: Math.round((harnessCpu.usedUs / harnessCpu.ofUs) * 1e4) / 1e4 }),
    instances: instancesOf(history),
  };
}

/** The calls that consumers made because the load wanted them. */
export function loadCalls(history: History): CallRecord[] {
  return history.calls.filter(
    ({ node, dueUs, redelivers }) => dueUs >= 0 && redelivers === undefined && history.planned.has(node),
  );
}

/** The p99 of the load's calls, from when they were due. */
export function p99Us(history: History): number {
  return quantile(
    timesOf(history).sort((a, b) => a - b),
    0.99,
  );
}

/** How long each of the load's calls took, from when it was due; in the order in which they began. */
export function timesOf(history: History): number[] {
  return loadCalls(history).flatMap(({ code, endUs, dueUs }) => (code === undefined ? [] : [endUs - dueUs]));
}

function instancesOf(history: History): RunResult["instances"] {
  const instances: Record<string, { calls: number; ok: number; failed: number }> = {};
  for (const { id, program } of history.run.nodes) {
    if (program === "provider" || program === "order") instances[id] = { calls: 0, ok: 0, failed: 0 };
  }
  for (const call of history.calls) {
    if (call.dueUs < 0) continue;
    for (const { instance, code, endUs } of call.attempts) {
      const counts = (instances[instance] ??= { calls: 0, ok: 0, failed: 0 });
      counts.calls++;
      // One that was still going on when its call was over is neither.
      if (endUs < 0) continue;
      if (code === "OK") counts.ok++;
      else counts.failed++;
    }
  }
  return instances;
}
