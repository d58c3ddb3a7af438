import type { EndpointStats } from "../discovery/endpoint.ts";
import type { Clock } from "../ports/clock.ts";
import type { Guard, GuardPorts, Permit } from "./guard.ts";
import { Rejection, type Outcome } from "./outcome.ts";
import { SlidingWindow } from "./window.ts";

export interface BreakerSettings {
  /** What one breaker watches: the service as a whole, or each instance by itself. Default "service". */
  readonly scope?: "service" | "instance" | undefined;
  /** The time that counts, in milliseconds. Default 10,000 (Hystrix's; ten buckets). */
  readonly windowMs?: number | undefined;
  /** Attempts in the window below which it never opens. Default 20 (Hystrix's). */
  readonly minCalls?: number | undefined;
  /** Opens when this share of the attempts failed. Default 0.5 (Hystrix's and resilience4j's). */
  readonly errorRatio?: number | undefined;
  /** An attempt that takes longer counts as slow, in milliseconds. Default: none does. */
  readonly slowMs?: number | undefined;
  /** Opens when this share of the attempts was slow. Default 1 (Sentinel's and resilience4j's). */
  readonly slowRatio?: number | undefined;
  /** How long it stays open, in milliseconds. Default 5,000 (Hystrix's). */
  readonly openMs?: number | undefined;
  /** Attempts that the half-open breaker lets through to find out. Default 1 (Hystrix's and Sentinel's; resilience4j: 10). */
  readonly probes?: number | undefined;
}

export type BreakerState = "closed" | "open" | "half-open";

export interface BreakerPorts {
  readonly clock: Clock;
  /** Once for each transition, after it. */
  readonly onTransition: (state: BreakerState, reason: string) => void;
  /** `isPassable` may answer otherwise from now on: after a transition, and when a probe's place was taken or given back. */
  readonly onPassable?: () => void;
}

const kinds = { success: 0, failure: 1, slow: 2 } as const;
const bucketsOfWindow = 10;

/**
 * A circuit breaker (Nygard, "Release It!", 2007) as resilience4j and Sentinel have it. *Closed* it lets everything through and
 * counts; with at least `minCalls` in the window and a share of errors ≥ `errorRatio`, or of slow calls ≥ `slowRatio`, it *opens*:
 * nothing is let through for `openMs`. Then it is *half-open*: `probes` attempts go through, and when the last of them has ended
 * the same two ratios decide over these alone: open again, or closed with an empty window.
 *
 * What was let through before a transition doesn't count after it. What is `ignored` (cancelled, refused here) never counts, and
 * gives its probe's place back. Sentinel opens at a ratio strictly greater than its threshold; here equal is enough, as in
 * resilience4j.
 */
export class CircuitBreaker {
  readonly #ports: BreakerPorts;
  readonly #window: SlidingWindow;
  readonly #minCalls: number;
  readonly #errorRatio: number;
  readonly #slowUs: number;
  readonly #slowRatio: number;
  readonly #openUs: number;
  readonly #probes: number;
  #state: BreakerState = "closed";
  /** Goes up with each transition: who was let through in another one has nothing to say. */
  #era = 0;
  /** Half-open: places taken, and how those ended that are over. */
  #taken = 0;
  #ended = { success: 0, failure: 0, slow: 0 };
  #disarm: (() => void) | undefined;

  constructor(settings: BreakerSettings, ports: BreakerPorts) {
    const { windowMs = 10_000, minCalls = 20, errorRatio = 0.5, slowMs = Infinity } = settings;
    const { slowRatio = 1, openMs = 5_000, probes = 1 } = settings;
    this.#ports = ports;
    this.#window = new SlidingWindow({ windowUs: windowMs * 1000, buckets: bucketsOfWindow, kinds: 3 });
    this.#minCalls = minCalls;
    this.#errorRatio = errorRatio;
    this.#slowUs = slowMs * 1000;
    this.#slowRatio = slowRatio;
    this.#openUs = openMs * 1000;
    this.#probes = probes;
  }

  get state(): BreakerState {
    return this.#state;
  }

  /** Whether `admit` would let something through now. */
  get isPassable(): boolean {
    return this.#state === "closed" || (this.#state === "half-open" && this.#taken < this.#probes);
  }

  /** Lets an attempt through; undefined keeps it back. */
  admit(): Permit | undefined {
    if (!this.isPassable) return undefined;
    const era = this.#era;
    if (this.#state === "half-open") this.#take(1);
    return (outcome, tookUs) => {
      if (era === this.#era) this.#over(outcome, tookUs);
    };
  }

  /** Lets go of the timer; the state stays as it is. */
  close(): void {
    this.#disarm?.();
    this.#disarm = undefined;
  }

  #over(outcome: Outcome, tookUs: number): void {
    const isSlow = tookUs > this.#slowUs;
    if (this.#state === "half-open") {
      if (outcome === "ignored") {
        this.#take(-1);
        return;
      }
      this.#ended[outcome === "success" ? "success" : "failure"]++;
      if (isSlow) this.#ended.slow++;
      if (this.#ended.success + this.#ended.failure === this.#probes) this.#decide();
      return;
    }
    if (outcome === "ignored") return;
    const nowUs = this.#ports.clock.nowUs();
    this.#window.add(outcome === "success" ? kinds.success : kinds.failure, nowUs);
    if (isSlow) this.#window.add(kinds.slow, nowUs);
    const failed = this.#window.count(kinds.failure, nowUs);
    const total = failed + this.#window.count(kinds.success, nowUs);
    if (total < this.#minCalls) return;
    const why = this.#whyOpen(failed, this.#window.count(kinds.slow, nowUs), total);
    if (why !== undefined) this.#open(why);
  }

  #take(places: 1 | -1): void {
    this.#taken += places;
    this.#ports.onPassable?.();
  }

  #decide(): void {
    const { success, failure, slow } = this.#ended;
    const why = this.#whyOpen(failure, slow, success + failure);
    if (why !== undefined) {
      this.#open(why);
      return;
    }
    this.#window.clear();
    this.#become("closed", `${success + failure} probes were well`);
  }

  #whyOpen(failed: number, slow: number, total: number): string | undefined {
    if (failed / total >= this.#errorRatio) return `${failed} of ${total} failed`;
    if (slow / total >= this.#slowRatio) return `${slow} of ${total} took over ${this.#slowUs / 1000} ms`;
    return undefined;
  }

  #open(why: string): void {
    this.#become("open", why);
    this.#disarm = this.#ports.clock.after(this.#openUs, () => {
      this.#taken = 0;
      this.#ended = { success: 0, failure: 0, slow: 0 };
      this.#become("half-open", `${this.#openUs / 1000} ms are over`);
    });
  }

  #become(state: BreakerState, reason: string): void {
    this.#state = state;
    this.#era++;
    this.#ports.onTransition(state, reason);
    this.#ports.onPassable?.();
  }
}

const policy = "breaker";

/** A breaker for all attempts at a service, or one for each instance. An instance keeps its breaker however the list changes. */
export function breakerGuard(settings: BreakerSettings, ports: GuardPorts): Guard {
  return settings.scope === "instance" ? instanceBreakers(settings, ports) : serviceBreaker(settings, ports);
}

/** A half-open breaker tells how many it lets through. */
const allowed = (state: BreakerState, { probes = 1 }: BreakerSettings): { readonly value?: number } =>
  state === "half-open" ? { value: probes } : {};

function serviceBreaker(settings: BreakerSettings, { clock, service, report }: GuardPorts): Guard {
  const breaker = new CircuitBreaker(settings, {
    clock,
    onTransition: (state, reason) => report({ policy, state, reason, ...allowed(state, settings) }),
  });
  const rejection = (): Rejection =>
    new Rejection(`the breaker of ${service} is ${breaker.state}`, { policy, code: "UNAVAILABLE", hint: wait });
  return {
    closed: () => (breaker.isPassable ? undefined : rejection()),
    admit: () => breaker.admit() ?? rejection(),
    close: () => breaker.close(),
  };
}

function instanceBreakers(settings: BreakerSettings, { clock, service, report, onChange }: GuardPorts): Guard {
  // By the identity's statistics, which outlive every list.
  const breakers = new WeakMap<EndpointStats, CircuitBreaker>();
  const open = new Set<CircuitBreaker>();
  const make = (id: string): CircuitBreaker => {
    const breaker = new CircuitBreaker(settings, {
      clock,
      onTransition: (state, reason) => {
        if (state === "open") open.add(breaker);
        else open.delete(breaker);
        report({ policy, instance: id, state, reason, ...allowed(state, settings) });
      },
      onPassable: onChange,
    });
    return breaker;
  };
  return {
    avoids: ({ stats }) => breakers.get(stats)?.isPassable === false,
    allAvoided: () =>
      new Rejection(`the breaker of every instance of ${service} is open`, { policy, code: "UNAVAILABLE", hint: wait }),
    admit: ({ id, stats }) => {
      let breaker = breakers.get(stats);
      if (breaker === undefined) breakers.set(stats, (breaker = make(id)));
      return (
        breaker.admit() ??
        new Rejection(`the breaker of ${id} is ${breaker.state}`, { policy, code: "UNAVAILABLE", hint: wait })
      );
    },
    close: () => {
      for (const breaker of open) breaker.close();
    },
  };
}

const wait = "it lets a probe through when its time is over; find out what fails behind it";
