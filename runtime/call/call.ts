import type { Clock } from "../ports/clock.ts";
import type { TraceContext } from "../telemetry/trace-context.ts";
import { noMetadata, type Metadata } from "./metadata.ts";
import { RpcError, toRpcError } from "./status.ts";

export interface CallOptions {
  readonly clock: Clock;
  /** The service that is called, by its name in discovery: "orders". */
  readonly service: string;
  /** The method's path: "/flyball.worker.v1.Worker/Do". */
  readonly method: string;
  readonly metadata?: Metadata | undefined;
  /** Time from now until the call ends DEADLINE_EXCEEDED. A parent's deadline shortens it, nothing lengthens it. */
  readonly timeoutUs?: number | undefined;
  /** The call on whose behalf this one is made: its deadline and its cancellation hold here too. */
  readonly parent?: Call | undefined;
  /** How much of the parent's time is kept for the parent. Default 0. */
  readonly marginUs?: number | undefined;
  /** Names the call in telemetry: unique within its node. */
  readonly id?: number | undefined;
  /** The node that made the call, on the server's side: "host:port". */
  readonly peer?: string | undefined;
  /** Who the peer is, where its transport has proven it: the common name of its certificate. */
  readonly principal?: string | undefined;
  /** The request message, where the call is made or served with one. */
  readonly request?: unknown;
}

/** Something that ends with a call that is cancelled: a call below, an attempt, a wait. */
export interface Cancellable {
  /** Nobody waits for it any more. */
  cancel(reason: RpcError): void;
}

/**
 * One call's life, passed explicitly from step to step: what is called, what travels with it, how long it may take, and
 * whether anybody still waits. A deadline only shrinks along a chain of calls, and cancelling a call cancels every call,
 * attempt and wait that was started under it.
 */
export class Call implements Cancellable {
  readonly id: number;
  readonly service: string;
  readonly method: string;
  readonly metadata: Metadata;
  /** On `clock`; Infinity when there is none. */
  readonly deadlineUs: number;
  readonly clock: Clock;
  readonly parent: Call | undefined;
  readonly peer: string | undefined;
  /** Whom the transport (its certificate) or a filter (a signature) has proven the caller to be; set once. */
  principal: string | undefined;
  /** What is asked: routers and balancers may read it (`argumentOf`), nobody changes it. */
  readonly request: unknown;
  /** When its work began, where it had to wait for its turn; told by whoever makes calls wait. */
  workUs: number | undefined;
  /** What its handler does, on the server's side; it may go on when nobody waits any more. */
  handling: Promise<unknown> | undefined;
  /** Where the call belongs, and all that is made under it; set by the tracer, if there is one. Default: where its parent does. */
  trace: TraceContext | undefined;

  #reason: RpcError | undefined;
  #isEnded = false;
  /** In the order in which they were attached; one alone needs no list. */
  #below: Cancellable | Cancellable[] | undefined;
  #disarm: (() => void) | undefined;
  #signal: AbortSignal | undefined;

  constructor(options: CallOptions) {
    const { clock, parent } = options;
    this.clock = clock;
    this.parent = parent;
    this.trace = parent?.trace;
    this.id = options.id ?? parent?.id ?? 0;
    this.service = options.service;
    this.method = options.method;
    this.metadata = options.metadata ?? noMetadata;
    this.peer = options.peer;
    this.principal = options.principal;
    this.request = options.request;
    const whole = parent?.deadlineUs ?? Infinity;
    const inherited = whole - (options.marginUs ?? 0);
    // A parent's timer ends its children, so only a deadline of this call's own needs one, and a look at the time.
    if (options.timeoutUs === undefined && inherited === whole) this.deadlineUs = whole;
    else {
      const nowUs = clock.nowUs();
      const own = options.timeoutUs === undefined ? Infinity : nowUs + options.timeoutUs;
      this.deadlineUs = own < inherited ? own : inherited;
      if (this.deadlineUs < whole && parent?.reason === undefined) {
        if (this.deadlineUs <= nowUs) this.#reason = this.#expired();
        else this.#disarm = clock.after(this.deadlineUs - nowUs, () => this.cancel(this.#expired()));
      }
    }
    if (parent === undefined) return;
    if (parent.reason !== undefined) this.#reason = parent.reason;
    else if (this.#reason === undefined) parent.attach(this);
  }

  /** Microseconds left until the deadline, never negative; Infinity without one. */
  remainingUs(): number {
    return this.deadlineUs === Infinity ? Infinity : Math.max(0, this.deadlineUs - this.clock.nowUs());
  }

  /** Why nobody waits any more: DEADLINE_EXCEEDED or CANCELLED; undefined while somebody does. */
  get reason(): RpcError | undefined {
    return this.#reason;
  }

  get isCancelled(): boolean {
    return this.#reason !== undefined;
  }

  /** Ends the call and everything under it. Nothing happens when it has ended already. */
  cancel(reason?: RpcError): void {
    if (this.#isEnded || this.#reason !== undefined) return;
    this.#reason = reason ?? new RpcError("the caller cancelled", { code: "CANCELLED" });
    const below = this.#below;
    // From here on the list is nobody's: one that is told can't take others off it.
    this.#release();
    if (below === undefined) return;
    if (Array.isArray(below)) cancelEach(below, this.#reason);
    else below.cancel(this.#reason);
  }

  /** Cancels `child` when the call is cancelled: at once if it is already, never once the call has ended. */
  attach(child: Cancellable): void {
    if (this.#reason !== undefined) child.cancel(this.#reason);
    else if (this.#isEnded) return;
    else if (this.#below === undefined) this.#below = child;
    else if (Array.isArray(this.#below)) this.#below.push(child);
    else this.#below = [this.#below, child];
  }

  /** Takes back `attach`; may come at any time, also twice. */
  detach(child: Cancellable): void {
    const below = this.#below;
    if (!Array.isArray(below)) {
      if (below === child) this.#below = undefined;
      return;
    }
    // Nearly always the latest.
    if (below[below.length - 1] === child) {
      below.pop();
      return;
    }
    const index = below.lastIndexOf(child);
    if (index >= 0) below.splice(index, 1);
  }

  /** Calls `listener` once if the call is cancelled (at once if it is already); the answer unsubscribes. */
  onCancel(listener: (reason: RpcError) => void): () => void {
    const child = { cancel: listener };
    this.attach(child);
    return () => this.detach(child);
  }

  /** For waits that take an `AbortSignal`; made on first use, because a signal costs more than the rest of a call. */
  get signal(): AbortSignal {
    if (this.#signal === undefined) {
      const controller = new AbortController();
      this.onCancel((reason) => controller.abort(reason));
      this.#signal = controller.signal;
    }
    return this.#signal;
  }

  /** Tells the call that it is over: timers and subscriptions go. Whoever made the call ends it, exactly once. */
  end(): void {
    this.#isEnded = true;
    this.#release();
  }

  #expired(): RpcError {
    return new RpcError(`deadline exceeded while calling ${this.service}${this.method}`, {
      code: "DEADLINE_EXCEEDED",
      hint: "raise the timeout, or find out what is slow",
    });
  }

  #release(): void {
    this.#disarm?.();
    this.#disarm = undefined;
    this.parent?.detach(this);
    this.#below = undefined;
  }
}

/** One that throws keeps none of those behind it from hearing, and throws in the end. */
function cancelEach(all: readonly Cancellable[], reason: RpcError): void {
  for (const [index, one] of all.entries()) {
    let isTold = false;
    try {
      one.cancel(reason);
      isTold = true;
    } finally {
      if (!isTold) cancelEach(all.slice(index + 1), reason);
    }
  }
}

/** Settles as `work` does, or rejects with the call's reason as soon as it is cancelled: nobody waits longer than the call. */
export function whileWaiting<T>(call: Call, work: Promise<T>): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const waiting = { cancel: reject };
    call.attach(waiting);
    work.then(
      (value) => {
        call.detach(waiting);
        resolve(value);
      },
      (error: unknown) => {
        call.detach(waiting);
        reject(call.reason ?? toRpcError(error));
      },
    );
  });
}
