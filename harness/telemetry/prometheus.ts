import { setTimeout as sleep } from "node:timers/promises";

import type { RpcCode } from "../../runtime/call/status.ts";
import { catalogue } from "../../runtime/node/telemetry/catalogue.ts";
import type { MetricsRecord } from "../history/record.ts";

/** A Prometheus that doesn't answer, or not with what was asked for. */
export class PrometheusError extends Error {
  override readonly name = "PrometheusError";
  readonly code: "UNREACHABLE" | "REFUSED";
  readonly hint: string | undefined;
  constructor(
    message: string,
    options: { readonly code: "UNREACHABLE" | "REFUSED"; readonly hint?: string; readonly cause?: unknown },
  ) {
    super(message, { cause: options.cause });
    this.code = options.code;
    this.hint = options.hint;
  }
}

/** One series and its value at one moment. */
export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** One series as it was scraped. */
export interface Series {
  readonly labels: Readonly<Record<string, string>>;
  /** In the order of time; milliseconds since the epoch, when the scrape began. */
  readonly samples: readonly { readonly atMs: number; readonly value: number }[];
}

/** Prometheus's HTTP API (https://prometheus.io/docs/prometheus/latest/querying/api/). */
export interface Prometheus {
  /** An instant vector. Rejects with a `PrometheusError`. */
  query(expr: string): Promise<readonly Sample[]>;
  /** Every sample of the last `windowMs`, as it was scraped: nothing is interpolated, extrapolated or stale. */
  samples(selector: string, windowMs: number): Promise<readonly Series[]>;
}

/** `url`: "http://127.0.0.1:9090". A question that isn't answered within `answerWithinMs` (default 10,000) is an error. */
export function prometheusAt(url: string, answerWithinMs = 10_000): Prometheus {
  const ask = async (expr: string): Promise<readonly ApiSeries[]> => {
    let body: ApiAnswer;
    try {
      const response = await fetch(`${url}/api/v1/query`, {
        method: "POST",
        body: new URLSearchParams({ query: expr }),
        signal: AbortSignal.timeout(answerWithinMs),
      });
      body = (await response.json()) as ApiAnswer;
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new PrometheusError(`Prometheus at ${url} doesn't answer: ${reason}`, {
        code: "UNREACHABLE",
        hint: "is it running, and is that its address?",
        cause,
      });
    }
    if (body.status === "success" && body.data.resultType !== "scalar") return body.data.result as readonly ApiSeries[];
    const reason = body.status === "success" ? "it answered a number" : body.error;
    throw new PrometheusError(`Prometheus refuses ${expr}: ${reason}`, { code: "REFUSED" });
  };
  return {
    query: async (expr) =>
      (await ask(expr)).map(({ metric, value }) => ({ labels: metric, value: Number(value?.[1]) })),
    samples: async (selector, windowMs) =>
      (await ask(`${selector}[${Math.ceil(windowMs)}ms]`)).map(({ metric, values = [] }) => ({
        labels: metric,
        samples: values.map(([seconds, value]) => ({ atMs: Math.round(seconds * 1000), value: Number(value) })),
      })),
  };
}

interface ApiSeries {
  readonly metric: Readonly<Record<string, string>>;
  readonly value?: readonly [number, string];
  readonly values?: readonly (readonly [number, string])[];
}
type ApiAnswer =
  | { readonly status: "success"; readonly data: { readonly resultType: string; readonly result: unknown } }
  | { readonly status: "error"; readonly error: string };

/** A node as Prometheus knows it: see `targetsFile`. */
export interface Scraped {
  readonly run: string;
  readonly node: string;
}

const selectorOf = ({ run, node }: Scraped): string => `run=${JSON.stringify(run)},instance=${JSON.stringify(node)}`;

/** Prometheus moves a sample's time by up to so much, to compress it better. */
const adjustedMs = 5;

/**
 * Waits for a scrape of the node that began after `sinceMs` (on the wall clock) and succeeded; answers whether it came within
 * `withinMs` (default 5,000). A node whose work is done is stopped after that: then everything that it counted is known.
 */
export async function isScrapedSince(
  prometheus: Prometheus,
  who: Scraped,
  sinceMs: number,
  { withinMs = 5_000, signal }: { readonly withinMs?: number; readonly signal?: AbortSignal | undefined } = {},
): Promise<boolean> {
  const untilMs = performance.now() + withinMs;
  for (;;) {
    const [up] = await prometheus.samples(`up{job="flyball",${selectorOf(who)}}`, Date.now() - sinceMs + 1_000);
    const hasCome = up?.samples.some(({ atMs, value }) => value === 1 && atMs > sinceMs + adjustedMs);
    if (hasCome === true) return true;
    if (performance.now() > untilMs) return false;
    await sleep(100, undefined, signal && { signal });
  }
}

export interface MetricsQuestion extends Scraped {
  /** How far back its first scrape may lie. */
  readonly windowMs: number;
  /** Its last scrape came after its last call, in each of its lives (`isScrapedSince` said so). */
  readonly isWhole: boolean;
  /** Now, on the run's time. */
  readonly atUs: number;
  /** The run's time at a moment of the wall clock. */
  readonly runUsAt: (wallMs: number) => number;
}

/**
 * What Prometheus has counted of a node, for the history: the raw counters of its last scrape, and of the last scrape of each
 * earlier life. Nothing is lost between lives, and nothing made up: `process_start_time_seconds` tells them apart, for every
 * series of a scrape has the same time.
 */
export async function readMetrics(prometheus: Prometheus, question: MetricsQuestion): Promise<MetricsRecord> {
  const { node, windowMs, isWhole, atUs, runUsAt } = question;
  const counters = {
    calls: `${catalogue.clientCall.name}_count`,
    attempts: `${catalogue.clientAttempt.name}_count`,
    served: `${catalogue.serverCall.name}_count`,
  };
  const names = [...Object.values(counters), catalogue.startTime.name].join("|");
  const all = await prometheus.samples(`{__name__=~"${names}",job="flyball",${selectorOf(question)}}`, windowMs);
  const lifeAt = new Map<number, number>();
  for (const { labels, samples } of all) {
    if (labels["__name__"] !== catalogue.startTime.name) continue;
    for (const { atMs, value } of samples) lifeAt.set(atMs, value);
  }
  const counted = (name: string): readonly Sample[] =>
    all
      .filter(({ labels }) => labels["__name__"] === name)
      .map(({ labels, samples }) => ({ labels, value: overLives(samples, lifeAt) }));
  const lastMs = Math.max(...lifeAt.keys());
  return {
    type: "metrics",
    atUs,
    node,
    scrapedUs: lifeAt.size === 0 ? null : runUsAt(lastMs),
    isWhole: isWhole && lifeAt.size > 0,
    calls: summed(counted(counters.calls), ["peer_service", "rpc_status_code"]).map(([[service, code], count]) => ({
      service: service!,
      code: code as RpcCode,
      count,
    })),
    attempts: summed(counted(counters.attempts), ["peer_service", "peer_instance"]).map(
      ([[service, instance], count]) => ({ service: service!, instance: instance!, count }),
    ),
    served: summed(counted(counters.served), ["rpc_status_code"]).map(([[code], count]) => ({
      code: code as RpcCode,
      count,
    })),
  };
}

/** The last value of each life, added up. */
function overLives(samples: Series["samples"], lifeAt: ReadonlyMap<number, number>): number {
  const last = new Map<number | undefined, number>();
  for (const { atMs, value } of samples) last.set(lifeAt.get(atMs), value);
  return [...last.values()].reduce((sum, value) => sum + value, 0);
}

/** Series that differ in other labels only, added up; in the order of their labels, and without those that are 0. */
function summed(
  samples: readonly Sample[],
  names: readonly string[],
): readonly (readonly [labels: readonly string[], count: number])[] {
  const sums = new Map<string, number>();
  for (const { labels, value } of samples) {
    const key = JSON.stringify(names.map((name) => labels[name] ?? ""));
    sums.set(key, (sums.get(key) ?? 0) + value);
  }
  return [...sums]
    .filter(([, count]) => count > 0)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, count]) => [JSON.parse(key) as string[], count]);
}
