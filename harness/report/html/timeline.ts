import type { CallRecord, History } from "../../history/history.ts";
import { quantile } from "../../judge/statistics.ts";
import { loadCalls } from "../../judge/summary.ts";

/** A run in equal stretches of its load's time, whatever the number of its calls. */
export interface Timeline {
  readonly durationUs: number;
  readonly buckets: readonly Bucket[];
  /** Of each service that is called: its instances' attempts. */
  readonly shares: readonly ServiceShares[];
}

/** The load's calls that were due in one stretch. */
export interface Bucket {
  readonly fromUs: number;
  readonly perSecond: number;
  readonly failedPerSecond: number;
  /** Of the calls whose end is known; undefined without one. */
  readonly latencyMs: { readonly p50: number; readonly p90: number; readonly p99: number } | undefined;
  /** undefined without a call. */
  readonly attemptsPerCall: number | undefined;
}

export interface ServiceShares {
  readonly service: string;
  /** Those with most attempts first; what is beyond the first `instancesMax` stands together as the last, without a name. */
  readonly instances: readonly (string | undefined)[];
  /** For each stretch, each instance's part of its attempts (0 to 1); undefined where there was none. */
  readonly buckets: readonly (readonly number[] | undefined)[];
}

/** As many colours as a reader can tell apart. */
const instancesMax = 8;
/** Charts of as many services. */
const servicesMax = 6;

export function timelineOf(history: History, count: number): Timeline {
  const { durationUs } = history.run;
  const slots = Array.from({ length: count }, (): CallRecord[] => []);
  for (const call of loadCalls(history)) slots[Math.floor((call.dueUs / durationUs) * count)]?.push(call);
  const seconds = durationUs / count / 1e6;
  return {
    durationUs,
    buckets: slots.map((calls, index) => ({
      fromUs: (durationUs * index) / count,
      perSecond: calls.length / seconds,
      failedPerSecond: calls.filter(isFailed).length / seconds,
      latencyMs: latencyOf(calls),
      attemptsPerCall:
        calls.length === 0 ? undefined : calls.reduce((sum, { attempts }) => sum + attempts.length, 0) / calls.length,
    })),
    shares: sharesOf(history, count),
  };
}

/** It ended, and not well. */
export const isFailed = ({ code }: CallRecord): boolean => code !== undefined && code !== "OK";

function latencyOf(calls: readonly CallRecord[]): Bucket["latencyMs"] {
  const times = calls.filter(({ endUs }) => endUs >= 0).map(({ dueUs, endUs }) => (endUs - dueUs) / 1000);
  if (times.length === 0) return undefined;
  times.sort((a, b) => a - b);
  return { p50: quantile(times, 0.5), p90: quantile(times, 0.9), p99: quantile(times, 0.99) };
}

function sharesOf(history: History, count: number): readonly ServiceShares[] {
  const services = new Map<string, Map<string, number[]>>();
  for (const { service, attempts } of history.calls) {
    for (const { instance, beginUs } of attempts) {
      const at = Math.floor((beginUs / history.run.durationUs) * count);
      if (at < 0 || at >= count) continue;
      let instances = services.get(service);
      if (instances === undefined) services.set(service, (instances = new Map<string, number[]>()));
      let counts = instances.get(instance);
      if (counts === undefined) instances.set(instance, (counts = Array.from({ length: count }, () => 0)));
      counts[at]!++;
    }
  }
  return [...services].slice(0, servicesMax).map(([service, instances]) => shareOf(service, [...instances], count));
}

function shareOf(service: string, all: (readonly [string, readonly number[]])[], count: number): ServiceShares {
  const sum = (counts: readonly number[]): number => counts.reduce((total, one) => total + one, 0);
  all.sort(([, a], [, b]) => sum(b) - sum(a));
  // In the order of their names: their colours stay where they are from run to run.
  const shown = all.slice(0, all.length > instancesMax ? instancesMax - 1 : instancesMax).sort(byName);
  const hasOthers = all.length > shown.length;
  return {
    service,
    instances: [...shown.map(([instance]) => instance), ...(hasOthers ? [undefined] : [])],
    buckets: Array.from({ length: count }, (_, at) => {
      const total = sum(all.map(([, counts]) => counts[at]!));
      if (total === 0) return undefined;
      const parts = shown.map(([, counts]) => counts[at]! / total);
      return hasOthers ? [...parts, Math.max(0, 1 - sum(parts))] : parts;
    }),
  };
}

const byName = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number =>
  a.localeCompare(b, "en", { numeric: true });
