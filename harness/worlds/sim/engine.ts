import type { Random } from "../../../runtime/ports/random.ts";
import { createRandom } from "../../../runtime/random.ts";
import { Scheduled, Wheel } from "../../../runtime/timing-wheel.ts";
import { Digest } from "./digest.ts";
import type { Host } from "./host.ts";

/** What can happen. The index is the number that goes into the digest. */
export const eventKinds = [
  "timer",
  "connect",
  "accept",
  "refuse",
  "request",
  "headers",
  "message",
  "end",
  "cancel",
  "goaway",
  "reset",
  "close",
  "retransmit",
  "requests end",
  "room",
] as const;

export type EventKind = (typeof eventKinds)[number];

/** The number of a kind, for constants. */
export const kindOf = (kind: EventKind): number => eventKinds.indexOf(kind);

/** Something that happens at a tick, at a node. The node's number, the kind and the payload go into the digest. */
export abstract class SimEvent extends Scheduled {
  /** See `eventKinds`. */
  readonly kind: number;
  /** The node's number; `outside` for what belongs to the harness. */
  readonly node: number;
  /** A hash of what the event carries. */
  payload: number;

  constructor(kind: number, node: number, payload: number) {
    super();
    this.kind = kind;
    this.node = node;
    this.payload = payload;
  }

  /** Lets it happen. Microtasks are drained afterwards. */
  abstract fire(): void;
}

/** The node number of the harness itself. */
export const outside = 0xffff_ffff | 0;

/** Hears of every event: see `Recording`. */
export interface Recorder {
  add(tick: number, kind: number, node: number, payload: number): void;
}

export interface EngineOptions {
  readonly host: Host;
  readonly seed: number;
  readonly recorder?: Recorder | undefined;
  /**
   * Where code that isn't ours runs: the error with which the run ends when an event of a node (its number) lets nothing else happen for
   * `blockedMs` of real time. Default: it is waited for.
   */
  readonly onBlocked?: ((node: number) => Error) | undefined;
}

/** The simulation can't go on. */
export class SimError extends Error {
  override readonly name = "SimError";
  /** `STUCK`: nothing is left to happen, but the run still waits for something. */
  readonly code: "STUCK" | "DEFECT";
  readonly hint: string | undefined;

  constructor(
    message: string,
    options: { readonly code: SimError["code"]; readonly hint?: string; readonly cause?: unknown },
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = options.code;
    this.hint = options.hint;
  }
}

/** Real time after which the host gets a turn: it draws progress and hears Ctrl-C. */
const turnMs = 30;
/** Real time that nothing but code without an end takes, for a turn of `turnMs`, on however busy a machine. */
export const blockedMs = 10_000;
/** Events between two looks at the real clock. */
const eventsPerLook = 256;
/** Virtual time that an aborted run has to clean up. */
const abortGraceUs = 10_000_000;

/**
 * Virtual time and everything that happens in it. Takes the first event off the wheel, lets it happen, drains the microtasks
 * that it caused, and goes on: so code between two awaits is as atomic as in a real process, and a run is a function of its
 * inputs alone.
 */
export class Engine {
  /** The present, in microseconds since the beginning of the simulation. */
  now = 0;
  /** Fork it by a label, never draw from it. */
  readonly random: Random;
  /** Events so far. */
  events = 0;
  readonly #wheel = new Wheel<SimEvent>();
  readonly #digest = new Digest();
  readonly #host: Host;
  readonly #recorder: Recorder | undefined;
  readonly #onBlocked: EngineOptions["onBlocked"];
  /** Whose event happens now. */
  #node = outside;
  #failure: { readonly error: Error } | undefined;

  constructor({ host, seed, recorder, onBlocked }: EngineOptions) {
    this.#host = host;
    this.#onBlocked = onBlocked;
    this.#recorder = recorder;
    this.random = createRandom(seed);
  }

  /** Schedules an event `delayUs` from now: a whole number, ≥ 0. */
  after(event: SimEvent, delayUs: number): void {
    this.#wheel.insert(event, asInteger(this.now + delayUs));
  }

  /** Schedules an event at a tick that isn't in the past. */
  at(event: SimEvent, tick: number): void {
    this.#wheel.insert(event, asInteger(tick));
  }

  /** Takes an event back; false when it isn't scheduled. */
  cancel(event: SimEvent): boolean {
    return this.#wheel.cancel(event);
  }

  /** Ends the run with an error: for defects that no promise carries. */
  fail(error: unknown): void {
    this.#failure ??= { error: error as Error };
  }

  /** Over every event so far: 16 hexadecimal digits. */
  digest(): string {
    return this.#digest.toString();
  }

  /**
   * Runs until `main` has settled, and answers as it does. When `signal` aborts, `main` gets ten more virtual seconds, then the
   * answer is the signal's reason. Rejects with a `SimError` STUCK when `main` waits for something that can't happen.
   */
  run<T>(main: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      let settle: (() => void) | undefined;
      /** Set by an abort: nothing happens after it. */
      let limitUs = Infinity;
      const host = this.#host;

      /** Whether the run is over; then the answer has been given. */
      const isOver = (): boolean => {
        if (this.#failure !== undefined) reject(this.#failure.error);
        else if (settle !== undefined) settle();
        else return false;
        return true;
      };
      const noticeAbort = (): void => {
        if (limitUs === Infinity && signal?.aborted === true) limitUs = this.now + abortGraceUs;
      };
      const step = (): boolean => {
        const event = this.#wheel.pop();
        if (event === undefined || event.tick > limitUs) {
          reject(limitUs === Infinity ? stuck(this.now) : (signal?.reason as Error));
          return false;
        }
        this.now = asInteger(event.tick);
        this.events++;
        this.#node = event.node;
        this.#digest.event(event.tick, event.kind, event.node, event.payload);
        this.#recorder?.add(event.tick, event.kind, event.node, event.payload);
        event.fire();
        return true;
      };

      const turn = (drain: () => void): void => {
        const untilMs = host.nowMs() + turnMs;
        noticeAbort();
        for (;;) {
          for (let left = eventsPerLook; left > 0; left--) {
            if (!step()) return;
            drain();
            if (settle !== undefined || this.#failure !== undefined) {
              isOver();
              return;
            }
          }
          if (host.nowMs() >= untilMs) break;
        }
        enter(() => turn(drain));
      };
      /** Without a synchronous drain: the host drains after each macrotask. */
      const single = (): void => {
        noticeAbort();
        if (isOver() || !step()) return;
        enter(single);
      };
      const enter = (fn: () => void): void => {
        host.enter(() => {
          try {
            this.#bounded(fn);
          } catch (error) {
            this.fail(error);
            isOver();
          }
        });
      };

      enter(() => {
        main().then(
          (value) => (settle = () => resolve(value)),
          (error: Error) => (settle = () => reject(error)),
        );
        const { drain } = host;
        if (drain === undefined) {
          enter(single);
          return;
        }
        drain();
        if (!isOver()) turn(drain);
      });
    });
  }

  /** Throws where code without an end had to be cut off. */
  #bounded(fn: () => void): void {
    const { within } = this.#host;
    if (this.#onBlocked === undefined || within === undefined) fn();
    else if (!within(blockedMs, fn)) throw this.#onBlocked(this.#node);
  }
}

/**
 * The same number, which V8 then keeps as an integer where it fits 32 bits: as what a calculation with fractions came to, it would take an
 * object of its own wherever it is written down, in each of a history's records.
 */
const asInteger = (us: number): number => ((us | 0) === us ? us | 0 : us);

function stuck(nowUs: number): SimError {
  return new SimError(`at ${(nowUs / 1e6).toFixed(3)} s nothing is left to happen, but the run still waits`, {
    code: "STUCK",
    hint: "something waits for an answer that nobody will give, or for something outside of the simulation",
  });
}
