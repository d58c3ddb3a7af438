import type { Span } from "../telemetry/span.ts";

/** Where a node's spans go beside its own records: a trace store. Behind it: OTLP. */
export interface SpanExporter {
  /** Takes a span that has ended. Never throws, never waits: with more waiting than it may keep, the span is dropped and counted. */
  export(span: Span): void;
  readonly counts: SpanCounts;
  /** Sends what waits now. Resolves when the store has answered, or `timeoutMs` is over; never rejects. */
  flush(timeoutMs: number): Promise<void>;
  /** The same for the last time: nothing is left running, what comes later is dropped. */
  close(timeoutMs: number): Promise<void>;
}

export interface SpanCounts {
  /** Accepted by the store. */
  readonly sent: number;
  /** Given up, because too many were waiting, or the store refused them or couldn't be reached. */
  readonly dropped: number;
  /** Neither yet. */
  readonly waiting: number;
}
