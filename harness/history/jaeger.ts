import { z } from "zod";

import type { Clock } from "../../runtime/ports/clock.ts";
import type { Attributes, Span, SpanEvent } from "../../runtime/telemetry/span.ts";
import { inParallel } from "../parallel.ts";
import { HistoryError } from "./error.ts";

export interface JaegerOptions {
  /** The query service: "http://127.0.0.1:16686". */
  readonly url: string;
  readonly clock: Clock;
  /** Microseconds since the epoch at the clock's zero: times come back on the clock. */
  readonly epochUs: number;
}

/** A span as a history has it, and the node that it is of: `service.instance.id`, else `service.name`. */
export interface FoundSpan {
  readonly node: string;
  readonly span: Span;
}

export type SpanId = Pick<Span, "traceId" | "spanId">;

/** Jaeger's query API, version 3, over HTTP (https://www.jaegertracing.io/docs/2.13/architecture/apis/): OTLP as JSON. */
export interface Jaeger {
  /** A trace's spans; none when Jaeger hasn't heard of it. Rejects with a `HistoryError`. */
  trace(traceId: string, signal?: AbortSignal): Promise<readonly FoundSpan[]>;
  /** Traces in which a service took part, that began between two moments of the clock: at most `limit`, the latest. */
  search(
    query: { readonly service: string; readonly fromUs: number; readonly toUs: number; readonly limit?: number },
    signal?: AbortSignal,
  ): Promise<readonly FoundSpan[]>;
  /**
   * Every span of the traces that these spans are of, asked for again and again, ever more rarely, until all of these are there
   * or `withinMs` is over: spans take some time to get there, and those of foreign nodes may take longer than ours. Then it
   * answers what is there: whether that is enough is for a check to say. Rejects only when Jaeger couldn't be asked at all.
   */
  readBack(
    reported: Iterable<SpanId>,
    options?: { readonly withinMs?: number; readonly signal?: AbortSignal },
  ): Promise<readonly FoundSpan[]>;
}

export function openJaeger(options: JaegerOptions): Jaeger {
  return new JaegerQuery(options);
}

const readBackWithinMs = 10_000;
/** Pauses between two looks. */
const pauseUs = { first: 100_000, longest: 2_000_000, factor: 2 };
const requestWithinMs = 10_000;
const requestsAtATime = 8;
const searchMax = 1_000;

class JaegerQuery implements Jaeger {
  readonly #url: string;
  readonly #clock: Clock;
  readonly #epochUs: number;

  constructor({ url, clock, epochUs }: JaegerOptions) {
    this.#url = url.replace(/\/+$/, "");
    this.#clock = clock;
    this.#epochUs = epochUs;
  }

  async trace(traceId: string, signal?: AbortSignal): Promise<readonly FoundSpan[]> {
    return this.#ask(`/api/v3/traces/${traceId}`, signal);
  }

  async search(
    { service, fromUs, toUs, limit = searchMax }: Parameters<Jaeger["search"]>[0],
    signal?: AbortSignal,
  ): Promise<readonly FoundSpan[]> {
    const moment = (us: number): string => new Date((this.#epochUs + us) / 1000).toISOString();
    const query = new URLSearchParams({
      "query.service_name": service,
      "query.start_time_min": moment(fromUs),
      "query.start_time_max": moment(toUs),
      "query.num_traces": String(limit),
    });
    return this.#ask(`/api/v3/traces?${query.toString()}`, signal);
  }

  async readBack(
    reported: Iterable<SpanId>,
    { withinMs = readBackWithinMs, signal }: { readonly withinMs?: number; readonly signal?: AbortSignal } = {},
  ): Promise<readonly FoundSpan[]> {
    const wanted = new Map<string, Set<string>>();
    for (const { traceId, spanId } of reported) {
      const spans = wanted.get(traceId);
      if (spans === undefined) wanted.set(traceId, new Set([spanId]));
      else spans.add(spanId);
    }
    const found = new Map<string, readonly FoundSpan[]>();
    const untilUs = this.#clock.nowUs() + withinMs * 1000;
    let problem: unknown;
    for (let waitUs = pauseUs.first; ; waitUs = Math.min(waitUs * pauseUs.factor, pauseUs.longest)) {
      const missing = [...wanted].filter(([traceId, spans]) => !isComplete(found.get(traceId), spans));
      if (missing.length === 0) break;
      try {
        await inParallel(missing, requestsAtATime, async ([traceId]) => {
          found.set(traceId, await this.trace(traceId, signal));
        });
      } catch (error) {
        signal?.throwIfAborted();
        problem = error;
      }
      const leftUs = untilUs - this.#clock.nowUs();
      if (leftUs <= 0) break;
      if (missing.every(([traceId, spans]) => isComplete(found.get(traceId), spans))) break;
      await this.#clock.sleep(Math.min(waitUs, leftUs), signal);
    }
    if (found.size === 0 && problem !== undefined) throw problem as Error;
    return [...found.values()].flat();
  }

  async #ask(path: string, signal?: AbortSignal): Promise<readonly FoundSpan[]> {
    const late = AbortSignal.timeout(requestWithinMs);
    let text: string;
    let status: number;
    try {
      const response = await fetch(this.#url + path, {
        signal: signal === undefined ? late : AbortSignal.any([signal, late]),
      });
      status = response.status;
      text = await response.text();
    } catch (cause) {
      signal?.throwIfAborted();
      throw new HistoryError(`Jaeger can't be asked at ${this.#url}: ${reasonOf(cause)}`, {
        code: "CANNOT_READ",
        hint: "is its query service there? It listens at port 16686",
        cause,
      });
    }
    if (status === 404) return [];
    if (status !== 200) {
      throw new HistoryError(`Jaeger at ${this.#url} answers ${status}: ${text.slice(0, 200)}`, {
        code: "CANNOT_READ",
        hint: "is it Jaeger's query service, version 2 or later?",
      });
    }
    return this.#read(text);
  }

  #read(text: string): readonly FoundSpan[] {
    let answer: z.infer<typeof answerSchema>;
    try {
      answer = answerSchema.parse(JSON.parse(text));
    } catch (cause) {
      throw new HistoryError(`what Jaeger at ${this.#url} answers isn't OTLP: ${text.slice(0, 80)}`, {
        code: "MALFORMED",
        hint: "is it Jaeger's query service, version 2 or later?",
        cause,
      });
    }
    return answer.result.resourceSpans.flatMap(({ resource, scopeSpans }) => {
      const { "service.instance.id": instance, "service.name": service } = attributesOf(resource.attributes);
      const node = String(instance ?? service ?? "unknown");
      return scopeSpans.flatMap(({ spans }) => spans.map((span) => ({ node, span: this.#spanOf(span) })));
    });
  }

  #spanOf(span: z.infer<typeof spanSchema>): Span {
    const { parentSpanId, status, events, traceState } = span;
    const isError = status?.code === errorCode;
    return {
      type: "span",
      atUs: this.#timeUs(span.endTimeUnixNano),
      beginUs: this.#timeUs(span.startTimeUnixNano),
      traceId: span.traceId,
      spanId: span.spanId,
      ...(parentSpanId !== "" && { parentId: parentSpanId }),
      name: span.name,
      kind: kinds[span.kind] ?? "internal",
      status: isError ? "error" : "unset",
      ...(isError && status.message !== "" && { message: status.message }),
      attributes: attributesOf(span.attributes),
      ...(events.length > 0 && {
        events: events.map(({ timeUnixNano, name, attributes }): SpanEvent => ({
          atUs: this.#timeUs(timeUnixNano),
          name,
          attributes: attributesOf(attributes),
        })),
      }),
      ...(traceState !== "" && { tracestate: traceState }),
      source: "jaeger",
    };
  }

  #timeUs(nanoseconds: bigint): number {
    return Number(nanoseconds / 1000n) - this.#epochUs;
  }
}

/** OTLP's numbers (opentelemetry/proto/trace/v1/trace.proto). Producers and consumers of messages don't call. */
const kinds: Readonly<Record<number, Span["kind"]>> = { 1: "internal", 2: "server", 3: "client" };
const errorCode = 2;

/** Integers of 64 bits come as text. */
const time = z.union([z.string().regex(/^\d+$/), z.int()]).transform(BigInt);

const attributesSchema = z
  .array(
    z.object({
      key: z.string(),
      value: z
        .object({
          stringValue: z.string().optional(),
          intValue: z.union([z.string(), z.number()]).optional(),
          doubleValue: z.union([z.string(), z.number()]).optional(),
          boolValue: z.boolean().optional(),
        })
        .default({}),
    }),
  )
  .default([]);

const spanSchema = z.object({
  traceId: z.string().regex(/^[0-9a-f]{32}$/),
  spanId: z.string().regex(/^[0-9a-f]{16}$/),
  parentSpanId: z.string().default(""),
  traceState: z.string().default(""),
  name: z.string().default(""),
  kind: z.number().default(0),
  startTimeUnixNano: time,
  endTimeUnixNano: time,
  attributes: attributesSchema,
  events: z
    .array(z.object({ timeUnixNano: time, name: z.string().default(""), attributes: attributesSchema }))
    .default([]),
  status: z.object({ code: z.number().default(0), message: z.string().default("") }).optional(),
});

const answerSchema = z.object({
  result: z.object({
    resourceSpans: z
      .array(
        z.object({
          resource: z.object({ attributes: attributesSchema }).default({ attributes: [] }),
          scopeSpans: z.array(z.object({ spans: z.array(spanSchema).default([]) })).default([]),
        }),
      )
      .default([]),
  }),
});

/** Lists and maps, which no span of ours has, are left out. */
function attributesOf(attributes: z.infer<typeof attributesSchema>): Attributes {
  const read: Record<string, string | number | boolean> = {};
  for (const { key, value } of attributes) {
    const { stringValue, intValue, doubleValue, boolValue } = value;
    const number = intValue ?? doubleValue;
    const plain = stringValue ?? boolValue ?? (number === undefined ? undefined : Number(number));
    if (plain !== undefined) read[key] = plain;
  }
  return read;
}

function isComplete(found: readonly FoundSpan[] | undefined, wanted: ReadonlySet<string>): boolean {
  if (found === undefined) return false;
  const there = new Set(found.map(({ span }) => span.spanId));
  return [...wanted].every((spanId) => there.has(spanId));
}

/** Node's fetch says "fetch failed" and hides the reason. */
function reasonOf(error: unknown): string {
  const cause = (error as { readonly cause?: unknown }).cause;
  if (cause instanceof Error) return cause.message;
  return error instanceof Error ? error.message : String(error);
}
