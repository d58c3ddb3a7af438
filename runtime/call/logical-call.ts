import type { AttemptOutcome, Attempts, Cluster, SendOptions } from "../cluster/cluster.ts";
import type { Endpoint } from "../discovery/endpoint.ts";
import type { Clock } from "../ports/clock.ts";
import type { Response } from "../ports/transport.ts";
import type { Permit } from "../protection/guard.ts";
import { outcomeOf, Rejection } from "../protection/outcome.ts";
import type { Protection } from "../protection/protection.ts";
import type { Attempt } from "../telemetry/events.ts";
import { carrying, type CallSpan, type OpenSpan } from "../telemetry/tracer.ts";
import { Call } from "./call.ts";
import { noMetadata, previousAttemptsKey, type Metadata } from "./metadata.ts";
import { RequestStream } from "./request-stream.ts";
import { givesStream, type Method, type StubOptions } from "./service.ts";
import { toRpcError, type RpcError } from "./status.ts";
import { observedStream } from "./stream.ts";
import { withTravelling } from "./travelling.ts";

/** The way to one service, as its calls and their attempts use it. */
export interface CallChannel {
  readonly service: string;
  readonly clock: Clock;
  readonly attemptTimeoutUs: number | undefined;
  readonly deadlineMarginUs: number;
  readonly protection: Protection | undefined;
  /** Those that the rules leave for a call and no guard avoids. */
  candidates(call: Call): readonly Endpoint[];
  pick(call: Call, tried: readonly Endpoint[], candidates?: readonly Endpoint[]): Endpoint | undefined;
  /** Why there is nobody to pick. */
  noInstance(call: Call): RpcError;
  /** What an attempt carries beside its call's metadata: what the balancer asks for, and what proves who makes it. */
  attachments(path: string): readonly (readonly [string, string])[];
  /** In the protocol that the instance speaks. */
  invoke(endpoint: Endpoint, rpc: Method<unknown, unknown>, call: Call, request: unknown): Promise<Response>;
  /** A call's request once more, as a call of its own: see `Attempts.again`. */
  again(call: LogicalCall, run: Cluster): Promise<unknown>;
}

/** A logical call: what the user asked for, and the attempts that were made for it. */
export class LogicalCall extends Call {
  readonly channel: CallChannel;
  readonly rpc: Method<unknown, unknown>;
  /** What its client streams; `request` is undefined then. */
  readonly requests: RequestStream | undefined;
  /** In the order in which they began. */
  records: readonly Attempt[] = [];
  /** Undefined where nobody traces, or its trace isn't recorded. */
  span: CallSpan | undefined;
  /** What makes its attempts, where it isn't the strategy. */
  redelivery: Cluster | undefined;
  /** The call that failed and is made once more by this one. */
  redelivers: number | undefined;
  /** What the caller gets instead of DEADLINE_EXCEEDED. */
  atDeadline: Response | undefined;

  constructor(
    channel: CallChannel,
    method: Method<unknown, unknown>,
    options: StubOptions & { readonly request: unknown },
    id: number,
    timeoutUs: number,
  ) {
    super({
      clock: channel.clock,
      service: channel.service,
      method: method.path,
      metadata: withTravelling(options.metadata, options.parent),
      timeoutUs: options.timeoutMs === undefined ? timeoutUs : options.timeoutMs * 1000,
      parent: options.parent,
      marginUs: channel.deadlineMarginUs,
      id,
      request: options.request instanceof RequestStream ? undefined : options.request,
    });
    this.requests = options.request instanceof RequestStream ? options.request : undefined;
    this.channel = channel;
    this.rpc = method;
  }

  attempts(request: unknown): Attempts {
    return new CallAttempts(this, request);
  }
}

/** What a cluster strategy can do for a logical call. */
class CallAttempts implements Attempts {
  readonly call: LogicalCall;
  readonly #request: unknown;

  constructor(call: LogicalCall, request: unknown) {
    this.call = call;
    this.#request = request;
  }

  candidates(): readonly Endpoint[] {
    return this.call.channel.candidates(this.call);
  }

  pick(tried: readonly Endpoint[], among?: readonly Endpoint[]): Endpoint | undefined {
    return this.call.channel.pick(this.call, tried, among);
  }

  send(endpoint: Endpoint, options: SendOptions = firstAttempt): Promise<AttemptOutcome> {
    const permit = this.call.channel.protection?.admit(endpoint);
    if (permit instanceof Rejection) return Promise.resolve({ kind: "error", error: permit, isOwnTimeout: false });
    return new OneAttempt(this.call, endpoint, permit, options).begin(this.#request);
  }

  noInstance(): RpcError {
    return this.call.channel.noInstance(this.call);
  }

  empty(): Response {
    const { kind, output } = this.call.rpc;
    if (!givesStream({ kind })) return { kind: "unary", message: output.create({}), trailers: noMetadata };
    return { kind: "stream", messages: noMessages() };
  }

  atDeadline(response: Response): void {
    this.call.atDeadline = response;
  }

  again(run: Cluster): Promise<unknown> {
    return this.call.channel.again(this.call, run);
  }
}

const firstAttempt: SendOptions = {};

async function* noMessages(): AsyncGenerator<never> {
  // Nothing to say.
}

/** One attempt: counted in its endpoint's statistics, and recorded with its logical call. Over once, however it ends. */
class OneAttempt extends Call {
  readonly #logical: LogicalCall;
  readonly #endpoint: Endpoint;
  readonly #record: { -readonly [Key in keyof Attempt]: Attempt[Key] };
  readonly #span: OpenSpan | undefined;
  readonly #permit: Permit | undefined;
  #isOpen = true;
  #resolve!: (outcome: AttemptOutcome) => void;

  constructor(
    logical: LogicalCall,
    endpoint: Endpoint,
    permit: Permit | undefined,
    { previous = 0, isTransparent = false, under = logical }: SendOptions,
  ) {
    const { clock, attemptTimeoutUs } = logical.channel;
    const { service, method } = logical;
    const beginUs = clock.nowUs();
    const span = logical.span?.attempt(logical, endpoint, beginUs);
    const metadata = metadataOf(logical, endpoint, previous, span);
    const timeoutUs = shorter(attemptTimeoutUs, endpoint.attemptTimeoutMs);
    super({ clock, service, method, metadata, timeoutUs, parent: under });
    this.#logical = logical;
    this.#endpoint = endpoint;
    this.#permit = permit;
    this.#span = span;
    this.#record = { instance: endpoint.id, beginUs, endUs: -1, code: "OK" };
    if (isTransparent) this.#record.isTransparent = true;
    // Nearly every call has one attempt: a list that fits is a fifth of one that can grow.
    logical.records = logical.records.length === 0 ? [this.#record] : [...logical.records, this.#record];
    endpoint.stats.inFlight++;
    for (const changed of endpoint.stats.watchers) changed(1);
  }

  begin(request: unknown): Promise<AttemptOutcome> {
    return new Promise((resolve) => {
      this.#resolve = resolve;
      if (this.reason !== undefined) return this.#failed(this.reason);
      const { channel, rpc } = this.#logical;
      try {
        channel.invoke(this.#endpoint, rpc, this, request).then(
          (response) => this.#answered(response),
          (error: unknown) => this.#failed(error),
        );
      } catch (thrown) {
        this.#failed(thrown);
      }
    });
  }

  override cancel(reason?: RpcError): void {
    try {
      super.cancel(reason);
    } finally {
      // Also where a transport throws that is told.
      if (this.reason !== undefined) this.#failed(this.reason);
    }
  }

  #answered(response: Response): void {
    if (response.kind === "unary") {
      this.#settle(undefined, response.trailers);
      this.#resolve({ kind: "response", response });
    } else {
      const messages = observedStream(response.messages, (error) => this.#settle(error));
      this.#resolve({ kind: "response", response: { kind: "stream", messages } });
    }
  }

  #failed(thrown: unknown): void {
    const error = this.reason ?? toRpcError(thrown);
    const hasOwnDeadline = this.deadlineUs < this.#logical.deadlineUs;
    const isOwnTimeout =
      hasOwnDeadline && !this.#logical.isCancelled && error.code === "DEADLINE_EXCEEDED" && isNearlyOver(this);
    this.#settle(error);
    this.#resolve({ kind: "error", error, isOwnTimeout });
  }

  #settle(error?: RpcError, trailers = error?.trailers ?? noMetadata): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    const endUs = this.clock.nowUs();
    this.#record.endUs = endUs;
    this.#record.code = error?.code ?? "OK";
    this.#span?.end(error, endUs);
    const { stats } = this.#endpoint;
    stats.inFlight--;
    for (const changed of stats.watchers) changed(-1);
    if (stats.observers.length > 0) {
      const { code, beginUs } = this.#record;
      const end = { code, method: this.method, trailers, latencyUs: endUs - beginUs, endUs };
      for (const observe of stats.observers) observe(end);
    }
    // Whom nobody waits for any more hasn't failed.
    if (error === undefined) stats.succeeded++;
    else if (this.reason?.code !== "CANCELLED") stats.failed++;
    this.#permit?.(outcomeOf(error), endUs - this.#record.beginUs);
    this.end();
  }
}

/** What an attempt carries: its call's metadata, what finds the service at the instance, what proves who asks, and the trace. */
function metadataOf(
  { metadata, channel, method, trace }: LogicalCall,
  { addressing }: Endpoint,
  previous: number,
  span: OpenSpan | undefined,
): Metadata {
  const numbered = withPrevious(metadata, previous);
  const signed = channel.attachments(method);
  const isPlain = addressing.size === 0 && signed.length === 0;
  const own = isPlain ? numbered : new Map([...numbered, ...addressing, ...signed]);
  return trace === undefined ? own : carrying(own, span?.context ?? trace);
}

/** An attempt says how many were made before it; what a caller's caller said so is not about this call. */
function withPrevious(metadata: Metadata, previous: number): Metadata {
  if (previous === 0 && !metadata.has(previousAttemptsKey)) return metadata;
  const own = new Map(metadata);
  if (previous > 0) own.set(previousAttemptsKey, String(previous));
  else own.delete(previousAttemptsKey);
  return own;
}

/** An attempt's time by its caller's settings and by its instance's, whichever is less. */
function shorter(ownUs: number | undefined, byRuleMs: number | undefined): number | undefined {
  if (byRuleMs === undefined) return ownUs;
  return ownUs === undefined ? byRuleMs * 1000 : Math.min(ownUs, byRuleMs * 1000);
}

/** The server counts the same deadline, and may be the first to say that it has passed. */
function isNearlyOver(attempt: Call): boolean {
  return attempt.isCancelled || attempt.remainingUs() <= 10_000;
}
