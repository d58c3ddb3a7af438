import type { Clock } from "../ports/clock.ts";
import { noMetadata, type Metadata } from "./metadata.ts";
import { RpcError } from "./status.ts";

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
  /** Names the call in telemetry: unique within its node. */
  readonly id?: number | undefined;
  /** The node that made the call, on the server's side: "host:port". */
  readonly peer?: string | undefined;
}

/**
 * One call's life, passed explicitly from step to step: what is called, what travels with it, how long it may take, and
 * whether anybody still waits. A deadline only shrinks along a chain of calls, and cancelling a call cancels every call,
 * attempt and wait that was started under it.
 */
export class Call {
  readonly id: number;
  readonly service: string;
  readonly method: string;
  readonly metadata: Metadata;
  /** On `clock`; Infinity when there is none. */
  readonly deadlineUs: number;
  readonly clock: Clock;
  readonly parent: Call | undefined;
  readonly peer: string | undefined;

  #reason: RpcError | undefined;
  #isEnded = false;
  #listeners: ((reason: RpcError) => void)[] | undefined;
  #disarm: (() => void) | undefined;
  #leaveParent: (() => void) | undefined;
  #signal: AbortSignal | undefined;

  constructor(options: CallOptions) {
    const { clock, parent } = options;
    this.clock = clock;
    this.parent = parent;
    this.id = options.id ?? parent?.id ?? 0;
    this.service = options.service;
    this.method = options.method;
    this.metadata = options.metadata ?? noMetadata;
    this.peer = options.peer;
    const inherited = parent?.deadlineUs ?? Infinity;
    const own = options.timeoutUs === undefined ? Infinity : clock.nowUs() + options.timeoutUs;
    this.deadlineUs = own < inherited ? own : inherited;
    if (parent !== undefined) {
      if (parent.reason !== undefined) this.#reason = parent.reason;
      else this.#leaveParent = parent.onCancel((reason) => this.cancel(reason));
    }
    // A parent's timer ends its children, so only a deadline of this call's own needs one.
    if (own < inherited && this.#reason === undefined) {
      if (own <= clock.nowUs()) this.#expire();
      else this.#disarm = clock.after(own - clock.nowUs(), () => this.#expire());
    }
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
    // A copy: a listener that is told may take others off the list.
    const listeners = this.#listeners?.slice();
    this.#release();
    if (listeners !== undefined) for (const listener of listeners) listener(this.#reason);
  }

  /** Calls `listener` once if the call is cancelled (at once if it is already); the answer unsubscribes. */
  onCancel(listener: (reason: RpcError) => void): () => void {
    if (this.#reason !== undefined) {
      listener(this.#reason);
      return nothing;
    }
    if (this.#isEnded) return nothing;
    const listeners = (this.#listeners ??= []);
    listeners.push(listener);
    return () => {
      const index = listeners.lastIndexOf(listener);
      if (index >= 0) listeners.splice(index, 1);
    };
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

  #expire(): void {
    this.cancel(
      new RpcError(`deadline exceeded while calling ${this.service}${this.method}`, {
        code: "DEADLINE_EXCEEDED",
        hint: "raise the timeout, or find out what is slow",
      }),
    );
  }

  #release(): void {
    this.#disarm?.();
    this.#disarm = undefined;
    this.#leaveParent?.();
    this.#leaveParent = undefined;
    this.#listeners = undefined;
  }
}

const nothing = (): void => undefined;

/** Settles as `work` does, or rejects with the call's reason as soon as it is cancelled: nobody waits longer than the call. */
export function whileWaiting<T>(call: Call, work: Promise<T>): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const leave = call.onCancel(reject);
    work.then(
      (value) => {
        leave();
        resolve(value);
      },
      (error: unknown) => {
        leave();
        reject(call.reason ?? (error as Error));
      },
    );
  });
}
