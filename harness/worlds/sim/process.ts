import type { Clock } from "../../../runtime/ports/clock.ts";
import { kindOf, SimError, SimEvent, type Engine } from "./engine.ts";

/**
 * One life of a node, from its start to its end. What it has scheduled freezes with it when it is paused and is gone when it
 * is killed, as with a real process.
 */
export class SimProcess {
  readonly engine: Engine;
  /** The node's number. */
  readonly node: number;
  #isAlive = true;
  #isPaused = false;
  #deferred: SimEvent[] = [];
  /** The tick of the last resumption, and what was deferred until then. */
  #resumedUs = -1;
  #released: ReadonlySet<SimEvent> | undefined;
  #timers = 0;
  readonly #onCrash: (error: unknown) => void;

  /** `onCrash` hears of an exception that nobody caught: a real process would die of it. */
  constructor(engine: Engine, node: number, onCrash: (error: unknown) => void = (error) => engine.fail(error)) {
    this.engine = engine;
    this.node = node;
    this.#onCrash = onCrash;
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  pause(): void {
    if (this.#isAlive) this.#isPaused = true;
  }

  /** Everything that came in the meantime happens now, in the order in which it came. */
  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#resumedUs = this.engine.now;
    this.#released = new Set(this.#deferred);
    for (const event of this.#deferred) this.engine.after(event, 0);
    this.#deferred = [];
  }

  kill(): void {
    // What waited at a paused process now meets a dead one.
    this.resume();
    this.#isAlive = false;
  }

  /** Whether the event has to wait, because the process is paused or has yet to see what came before it; keeps it then. */
  holds(event: SimEvent): boolean {
    if (this.#isPaused) {
      this.#deferred.push(event);
      return true;
    }
    if (this.#resumedUs !== this.engine.now || this.#released?.has(event) !== false) return false;
    // Scheduled for the very tick of the resumption: it comes behind everything that waited.
    this.#released = new Set([...this.#released, event]);
    this.engine.after(event, 0);
    return true;
  }

  /** Calls back once after `delayUs`, unless it is cancelled or the process dies. */
  after(delayUs: number, fn: () => void): Timer {
    const timer = new Timer(this, fn, this.#timers++);
    // Whatever a caller computes: a timer is due at a whole tick that isn't in the past.
    this.engine.after(timer, delayUs > 0 ? Math.ceil(delayUs) : 0);
    return timer;
  }

  /** Runs a callback of this process; an exception ends the process, not the simulation. */
  protect(fn: () => void): void {
    try {
      fn();
    } catch (error) {
      this.#onCrash(error);
    }
  }
}

const timerKind = kindOf("timer");

/** A timer of a process. */
export class Timer extends SimEvent {
  readonly #process: SimProcess;
  #fn: (() => void) | undefined;

  constructor(process: SimProcess, fn: () => void, sequence: number) {
    super(timerKind, process.node, sequence);
    this.#process = process;
    this.#fn = fn;
  }

  fire(): void {
    const process = this.#process;
    if (!process.isAlive || this.#fn === undefined) return;
    if (process.holds(this)) return;
    const fn = this.#fn;
    this.#fn = undefined;
    process.protect(fn);
  }

  /** May come at any time, also twice. */
  cancel(): void {
    this.#fn = undefined;
    this.#process.engine.cancel(this);
  }
}

/** Wall time at the beginning of every simulation, in milliseconds since the epoch: 2025-01-01T00:00:00Z. */
export const epochMs = 1_735_689_600_000;

/** Virtual time as one process sees it. */
export class SimClock implements Clock {
  readonly #engine: Engine;
  readonly #process: SimProcess;

  constructor(process: SimProcess) {
    this.#engine = process.engine;
    this.#process = process;
  }

  nowUs(): number {
    return this.#engine.now;
  }

  wallMs(): number {
    return epochMs + Math.floor(this.#engine.now / 1000);
  }

  after(delayUs: number, fn: () => void): () => void {
    const timer = this.#timer(delayUs, fn);
    return () => timer?.cancel();
  }

  sleep(delayUs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal === undefined) {
        this.#timer(delayUs, resolve);
        return;
      }
      if (signal.aborted) {
        reject(signal.reason as Error);
        return;
      }
      const abort = (): void => {
        cancel();
        reject(signal.reason as Error);
      };
      const cancel = this.after(delayUs, () => {
        signal.removeEventListener("abort", abort);
        resolve();
      });
      signal.addEventListener("abort", abort, { once: true });
    });
  }

  /** Undefined for a delay without end. */
  #timer(delayUs: number, fn: () => void): Timer | undefined {
    if (delayUs === Infinity) return undefined;
    if (!(delayUs < Number.MAX_SAFE_INTEGER)) {
      throw new SimError(`a timer of ${delayUs} µs`, { code: "DEFECT", hint: "a delay is a number of microseconds" });
    }
    return this.#process.after(delayUs, fn);
  }
}
