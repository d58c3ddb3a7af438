import { SpanKind, SpanStatusCode, TraceFlags, type HrTime, type SpanContext } from "@opentelemetry/api";
import { ExportResultCode, TraceState } from "@opentelemetry/core";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { resourceFromAttributes, type Resource } from "@opentelemetry/resources";
import { BatchSpanProcessor, type ReadableSpan, type SpanExporter } from "@opentelemetry/sdk-trace";

import type { Clock } from "../../ports/clock.ts";
import type { Span } from "../../telemetry/span.ts";
import { epochOf } from "../clock.ts";

export interface OtlpOptions {
  /** The trace store's OTLP endpoint over HTTP: "http://127.0.0.1:4318". Spans go to its path `/v1/traces`. */
  readonly url: string;
  /** `service.name` in the store: "orders". */
  readonly application: string;
  /** `service.instance.id`: "orders/0". */
  readonly node: string;
  /** `flyball.run`: by this a run's spans are found again among those of others. */
  readonly run?: string | undefined;
  readonly clock: Clock;
}

/** OpenTelemetry's part of the way to a trace store: batches, tries again, gives up. */
export interface Pipeline {
  add(span: Span): void;
  /** Sends all that waits; rejects when the store doesn't take it. */
  flush(): Promise<void>;
  close(): Promise<void>;
}

/** Spans leave together, so many or after so long: soon enough for somebody who watches. */
const batchMax = 512;
const delayMs = 500;
/** A batch is tried again for so long. */
const patienceMs = 5_000;
/** The SDK's own bound; ours, which counts, is the one that is met first. */
const queueMax = 65_536;

/** `onSettled` hears of every span once: the store took it, or it was given up. */
export function openPipeline(options: OtlpOptions, onSettled: (count: number, isSent: boolean) => void): Pipeline {
  const { url, application, node, run, clock } = options;
  const resource = resourceFromAttributes({
    "service.name": application,
    "service.instance.id": node,
    ...(run !== undefined && { "flyball.run": run }),
  });
  const exporter = new OTLPTraceExporter({ url: tracesUrl(url), timeoutMillis: patienceMs });
  const counting: SpanExporter = {
    export: (spans, done) =>
      exporter.export(spans, (result) => {
        onSettled(spans.length, result.code === ExportResultCode.SUCCESS);
        done(result);
      }),
    shutdown: () => exporter.shutdown(),
  };
  const processor = new BatchSpanProcessor({
    exporter: counting,
    maxExportBatchSize: batchMax,
    maxQueueSize: queueMax,
    scheduledDelayMillis: delayMs,
    exportTimeoutMillis: 2 * patienceMs,
  });
  const epochUs = epochOf(clock);
  return {
    add: (span) => processor.onEnd(readable(span, resource, epochUs)),
    flush: () => processor.forceFlush(),
    close: () => processor.shutdown(),
  };
}

/** "http://127.0.0.1:4318" → "http://127.0.0.1:4318/v1/traces" */
const tracesUrl = (url: string): string => `${url.replace(/\/+$/, "")}/v1/traces`;

const kinds = { internal: SpanKind.INTERNAL, client: SpanKind.CLIENT, server: SpanKind.SERVER } as const;

/** A span as the SDK takes it. */
function readable(span: Span, resource: Resource, epochUs: number): ReadableSpan {
  const { traceId, spanId, parentId, name, kind, beginUs, atUs, status, message, attributes, events, tracestate } =
    span;
  const state = tracestate === undefined ? {} : { traceState: new TraceState(tracestate) };
  const own: SpanContext = { traceId, spanId, traceFlags: TraceFlags.SAMPLED, ...state };
  return {
    name,
    kind: kinds[kind],
    spanContext: () => own,
    ...(parentId !== undefined && {
      parentSpanContext: { ...own, spanId: parentId, isRemote: kind === "server" },
    }),
    startTime: hrTime(epochUs + beginUs),
    endTime: hrTime(epochUs + atUs),
    duration: hrTime(atUs - beginUs),
    ended: true,
    status:
      status === "error"
        ? { code: SpanStatusCode.ERROR, ...(message !== undefined && { message }) }
        : { code: SpanStatusCode.UNSET },
    attributes,
    events: (events ?? []).map((event) => ({
      name: event.name,
      time: hrTime(epochUs + event.atUs),
      attributes: event.attributes,
      droppedAttributesCount: 0,
    })),
    links: [],
    resource,
    instrumentationScope: { name: "flyball" },
    droppedAttributesCount: 0,
    droppedEventsCount: 0,
    droppedLinksCount: 0,
  };
}

const hrTime = (us: number): HrTime => [Math.floor(us / 1e6), Math.floor(us % 1e6) * 1000];
