import type { Call } from "../call/call.ts";
import type { Metadata } from "../call/metadata.ts";
import type { RpcCode, RpcError } from "../call/status.ts";
import type { Endpoint } from "../discovery/endpoint.ts";
import type { Clock } from "../ports/clock.ts";
import type { Random } from "../ports/random.ts";
import { attribute, isError, rpcSystem, type Attributes, type Note, type Span, type SpanEvent } from "./span.ts";
import {
  baggageKey,
  formatTraceparent,
  parseBaggage,
  parseTraceparent,
  parseTracestate,
  traceparentKey,
  tracestateKey,
  type TraceContext,
} from "./trace-context.ts";

export interface TracerOptions {
  readonly clock: Clock;
  /** Ids are drawn from it: a stream of its own, different on every node and in every run that shares a trace store. */
  readonly random: Random;
  /** The node's id: "orders/0". */
  readonly node: string;
  /** The share of traces that are recorded, 0 to 1, decided at a trace's root; whoever comes later does as the root did. */
  readonly sample: number;
  /** Hears of each span of a recorded trace when it ends. Never throws, never waits. */
  readonly onSpan: (span: Span) => void;
}

/** What is known of recent happenings. Spans that stay open while more happen show the latest. */
const notesMax = 64;
/** Members of the baggage that are shown on spans. */
const baggageMax = 16;

/** Makes a node's spans. Context is explicit: it is found on `Call.trace` and its parents, and in metadata from other nodes. */
export class Tracer {
  readonly node: string;
  readonly clock: Clock;
  readonly onSpan: (span: Span) => void;
  readonly #random: Random;
  readonly #sample: number;
  #notes: readonly Note[] = [];

  constructor({ clock, random, node, sample, onSpan }: TracerOptions) {
    this.clock = clock;
    this.node = node;
    this.onSpan = onSpan;
    this.#random = random;
    this.#sample = sample;
  }

  /**
   * A logical call begins: under the call on whose behalf it is made, else under the `traceparent` in its metadata, else as the
   * root of a new trace. Sets the call's `trace`; answers its span, undefined where the trace isn't recorded.
   */
  call(call: Call): CallSpan | undefined {
    const parent = call.trace ?? contextIn(call.metadata);
    call.trace = this.#below(parent, call.metadata);
    if (!call.trace.isSampled) return undefined;
    const method = methodName(call.method);
    return new CallSpan(this, call.trace, {
      parentId: parent?.spanId,
      name: `call ${call.service} ${method}`,
      kind: "internal",
      beginUs: this.clock.nowUs(),
      peer: call.service,
      attributes: {
        [attribute.system]: rpcSystem,
        [attribute.method]: method,
        [attribute.serverAddress]: call.service,
        [attribute.call]: call.id,
        ...carriedAttributes(call),
      },
    });
  }

  /** A call is served: under the attempt whose `traceparent` it carries, else as a root. Sets its `trace`, as `call` does. */
  serve(call: Call): OpenSpan | undefined {
    const parent = contextIn(call.metadata);
    call.trace = this.#below(parent, call.metadata);
    if (!call.trace.isSampled) return undefined;
    const method = methodName(call.method);
    return new OpenSpan(this, call.trace, {
      parentId: parent?.spanId,
      name: method,
      kind: "server",
      beginUs: this.clock.nowUs(),
      peer: undefined,
      attributes: { [attribute.system]: rpcSystem, [attribute.method]: method, ...carriedAttributes(call) },
    });
  }

  /** Something happened to the fleet: spans that are open at its moment and that it concerns will show it. */
  note(note: Note): void {
    this.#notes = [...this.#notes.slice(1 - notesMax), note].sort((a, b) => a.atUs - b.atUs);
  }

  /** What happened to `peer` or to this node between two moments. */
  eventsBetween(beginUs: number, endUs: number, peer: string | undefined): readonly SpanEvent[] {
    if (this.#notes.length === 0) return [];
    return this.#notes
      .filter((note) => note.atUs >= beginUs && note.atUs <= endUs && this.#concerns(note, peer))
      .map(({ atUs, name, attributes }) => ({ atUs, name, attributes }));
  }

  /** 16 hexadecimal digits, not all zero. */
  spanId(): string {
    return this.#hex(2);
  }

  #below(parent: TraceContext | undefined, metadata: Metadata): TraceContext {
    if (parent === undefined) return this.#root(metadata);
    // Who doesn't record has nothing to be found under: those below hear of the last span that is recorded.
    if (!parent.isSampled) return parent;
    return { ...parent, spanId: this.spanId() };
  }

  #root(metadata: Metadata): TraceContext {
    const traceId = this.#hex(4);
    return {
      traceId,
      spanId: this.spanId(),
      isSampled: isChosen(traceId, this.#sample),
      // A state without a trace belongs to nothing.
      tracestate: undefined,
      baggage: metadata.get(baggageKey),
    };
  }

  #hex(words: number): string {
    let digits = "";
    for (let word = 0; word < words; word++) digits += this.#random.uint32().toString(16).padStart(8, "0");
    return /^0+$/.test(digits) ? this.#hex(words) : digits;
  }

  /** `peer` is an instance's id or a service's name. */
  #concerns({ nodes, links }: Note, peer: string | undefined): boolean {
    if (nodes === undefined && links === undefined) return true;
    const isPeer = (node: string): boolean =>
      peer !== undefined && (node === peer || node.slice(0, node.lastIndexOf("/")) === peer);
    return (
      nodes?.some((node) => node === this.node || isPeer(node)) === true ||
      links?.some(({ from, to }) => from === this.node && isPeer(to)) === true
    );
  }
}

interface SpanBeginning {
  readonly parentId: string | undefined;
  readonly name: string;
  readonly kind: Span["kind"];
  readonly beginUs: number;
  /** Whom it waits for: an instance, or a service. */
  readonly peer: string | undefined;
  readonly attributes: Attributes;
}

/** A span that hasn't ended. */
export class OpenSpan {
  readonly context: TraceContext;
  readonly #tracer: Tracer;
  readonly #beginning: SpanBeginning;
  #isEnded = false;

  constructor(tracer: Tracer, context: TraceContext, beginning: SpanBeginning) {
    this.#tracer = tracer;
    this.context = context;
    this.#beginning = beginning;
  }

  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** Its call ended: well, or with `error`. Only the first end counts. */
  end(error?: RpcError, endUs?: number): void {
    const code: RpcCode = error?.code ?? "OK";
    const isFailed = isError(this.#beginning.kind, code);
    const attributes = { [attribute.statusCode]: code, ...(isFailed && { [attribute.errorType]: code }) };
    this.finish(attributes, isFailed ? error?.message : undefined, endUs);
  }

  /** It ended without a status. */
  abandon(endUs: number): void {
    this.finish({ [attribute.isUnanswered]: true }, undefined, endUs);
  }

  protected finish(more: Attributes, message: string | undefined, endUs = this.#tracer.clock.nowUs()): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    const { parentId, name, kind, beginUs, peer, attributes } = this.#beginning;
    const { traceId, spanId, tracestate } = this.context;
    const events = this.#tracer.eventsBetween(beginUs, endUs, peer);
    this.#tracer.onSpan({
      type: "span",
      atUs: endUs,
      beginUs,
      traceId,
      spanId,
      ...(parentId !== undefined && { parentId }),
      name,
      kind,
      status: more[attribute.errorType] === undefined ? "unset" : "error",
      ...(message !== undefined && { message }),
      attributes: { ...attributes, ...more },
      ...(events.length > 0 && { events }),
      ...(tracestate !== undefined && { tracestate }),
    });
  }

  protected get tracer(): Tracer {
    return this.#tracer;
  }
}

/** A logical call's span, and those of its attempts. None outlives it. */
export class CallSpan extends OpenSpan {
  readonly #attempts: OpenSpan[] = [];

  /** An attempt begins; undefined once the call is over, when nobody counts attempts any more. */
  attempt(call: Call, endpoint: Endpoint, beginUs: number): OpenSpan | undefined {
    if (this.isEnded) return undefined;
    const colon = endpoint.address.lastIndexOf(":");
    const method = methodName(call.method);
    const context = { ...this.context, spanId: this.tracer.spanId() };
    const span = new OpenSpan(this.tracer, context, {
      parentId: this.context.spanId,
      name: method,
      kind: "client",
      beginUs,
      peer: endpoint.id,
      attributes: {
        [attribute.system]: rpcSystem,
        [attribute.method]: method,
        [attribute.serverAddress]: endpoint.address.slice(0, colon),
        [attribute.serverPort]: Number(endpoint.address.slice(colon + 1)),
        [attribute.instance]: endpoint.id,
        [attribute.attempt]: this.#attempts.length + 1,
        ...carriedAttributes(call),
      },
    });
    this.#attempts.push(span);
    return span;
  }

  protected override finish(more: Attributes, message: string | undefined, endUs = this.tracer.clock.nowUs()): void {
    for (const attempt of this.#attempts) attempt.abandon(endUs);
    super.finish({ [attribute.attempts]: this.#attempts.length, ...more }, message, endUs);
  }
}

/**
 * The metadata with a context in it, for what goes to another node: `traceparent` and `tracestate` are the context's, whatever
 * was there; `baggage` is the context's where the call has none of its own; all else is as it was.
 */
export function carrying(metadata: Metadata, context: TraceContext): Metadata {
  const carried = new Map(metadata);
  carried.set(traceparentKey, formatTraceparent(context));
  if (context.tracestate === undefined) carried.delete(tracestateKey);
  else carried.set(tracestateKey, context.tracestate);
  if (context.baggage !== undefined && !carried.has(baggageKey)) carried.set(baggageKey, context.baggage);
  return carried;
}

/** The context that came with a call; undefined where there is none, or one that is to be ignored. */
export function contextIn(metadata: Metadata): TraceContext | undefined {
  const text = metadata.get(traceparentKey);
  const parent = text === undefined ? undefined : parseTraceparent(text);
  if (parent === undefined) return undefined;
  const state = metadata.get(tracestateKey);
  const isState = state !== undefined && parseTracestate(state) !== undefined;
  return { ...parent, tracestate: isState ? state : undefined, baggage: metadata.get(baggageKey) };
}

/**
 * Whether a trace is among the `sample` that are recorded: its last 52 random bits, as a fraction, are at least 1 - sample. So
 * every tracing system that decides this way (OpenTelemetry's consistent probability sampling) decides alike.
 */
export function isChosen(traceId: string, sample: number): boolean {
  return parseInt(traceId.slice(-14, -1), 16) / 0x10000000000000 >= 1 - sample;
}

/** "flyball.worker.v1.Worker/Do" of "/flyball.worker.v1.Worker/Do". */
const methodName = (path: string): string => path.slice(1);

/** What a call's metadata says that is worth seeing on a span. */
function carriedAttributes({ metadata, trace }: Call): Attributes {
  const attributes: Record<string, string> = {};
  const tag = metadata.get("dubbo.tag");
  if (tag !== undefined) attributes[attribute.tag] = tag;
  const baggage = metadata.get(baggageKey) ?? trace?.baggage;
  if (baggage !== undefined) {
    for (const { key, value } of parseBaggage(baggage).slice(0, baggageMax))
      attributes[attribute.baggage + key] = value;
  }
  return attributes;
}
