import type { Filter } from "../call/filter.ts";
import { adaptiveEnabledKey, adaptiveInflightKey, adaptiveRemainingKey, type Metadata } from "../call/metadata.ts";
import { toRpcError, type RpcError } from "../call/status.ts";
import { observedStream } from "../call/stream.ts";
import type { Clock } from "../ports/clock.ts";
import type { Random } from "../ports/random.ts";
import type { Guard, GuardPorts, Permit, Report } from "./guard.ts";
import type { LimitAlgorithm } from "./limits/limit.ts";
import { limitOf, type LimitSettings } from "./limits/table.ts";
import { outcomeOf, Rejection, type Outcome } from "./outcome.ts";

/** A changed limit is reported at most so often. */
const reportEveryUs = 100_000;

const policy = "concurrency-limit";

/**
 * Lets as many calls through at a time as an algorithm thinks good, and refuses more with RESOURCE_EXHAUSTED. What is refused keeps
 * its caller no longer than the refusal takes; a queue would keep it for its whole timeout, and be worked off in vain. What is
 * `ignored`, and what fails for other reasons than want of capacity, gives its place back and teaches nothing; neither does a stream,
 * which takes as long as its reader likes.
 */
export class ConcurrencyLimiter {
  readonly #algorithm: LimitAlgorithm;
  readonly #clock: Clock;
  readonly #report: Report;
  #inFlight = 0;
  #reported: number;
  #reportedUs = -Infinity;

  constructor(
    settings: LimitSettings,
    ports: { readonly clock: Clock; readonly random: Random; readonly report: Report },
  ) {
    this.#algorithm = limitOf(settings, ports);
    this.#clock = ports.clock;
    this.#report = ports.report;
    this.#reported = this.limit;
    this.#report({ policy, state: "limit", value: this.limit });
  }

  /** Calls that may be in flight at a time: never less than 1. */
  get limit(): number {
    return Math.max(1, Math.floor(this.#algorithm.limit));
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /** How much it would still take, as dubbo-go's adaptive service says it. */
  get room(): Metadata {
    return new Map([
      [adaptiveRemainingKey, String(Math.max(0, this.limit - this.#inFlight))],
      [adaptiveInflightKey, String(this.#inFlight)],
    ]);
  }

  /** `tellsRoom`: a refusal says how much room there is. Default: it doesn't. */
  admit(tellsRoom = false): Permit | Rejection {
    if (this.#inFlight >= this.limit) {
      return new Rejection(`${this.#inFlight} calls are in flight, and the limit is ${this.limit}`, {
        policy,
        code: "RESOURCE_EXHAUSTED",
        hint: "send less, add instances, or look whether the limit's bounds fit",
        trailers: tellsRoom ? this.room : undefined,
      });
    }
    const inFlight = ++this.#inFlight;
    return (outcome, tookUs) => this.#over(outcome, tookUs, inFlight);
  }

  #over(outcome: Outcome, rttUs: number, inFlight: number): void {
    this.#inFlight--;
    // A failure that isn't for want of capacity comes as fast or as slowly as it likes.
    if (outcome === "ignored" || outcome === "failure") return;
    this.#algorithm.sample({ rttUs, inFlight, isDropped: outcome === "overload" });
    const nowUs = this.#clock.nowUs();
    if (this.limit === this.#reported || nowUs - this.#reportedUs < reportEveryUs) return;
    this.#reported = this.limit;
    this.#reportedUs = nowUs;
    this.#report({ policy, state: "limit", value: this.limit });
  }
}

/** Limits the attempts that are under way from this client to a service. */
export function concurrencyGuard(settings: LimitSettings, { clock, random, report }: GuardPorts): Guard {
  const limiter = new ConcurrencyLimiter(settings, { clock, random, report });
  return { admit: () => limiter.admit(), close: () => undefined };
}

/**
 * Limits the calls that are under way in a server: those that it works on and those that wait. Who asks for it (`adaptiveEnabledKey`) hears
 * with the answer, or the refusal, how much of the limit is left.
 */
export function concurrencyFilter(
  settings: LimitSettings,
  ports: { readonly clock: Clock; readonly random: Random; readonly report: Report },
): Filter {
  const limiter = new ConcurrencyLimiter(settings, ports);
  return async (call, request, next) => {
    const tellsRoom = call.metadata.get(adaptiveEnabledKey) === "1";
    const permit = limiter.admit(tellsRoom);
    if (permit instanceof Rejection) throw permit;
    const beginUs = ports.clock.nowUs();
    const over = (error?: RpcError): void => {
      // What is behind it, a full queue, said no for want of capacity.
      const outcome = error instanceof Rejection ? "overload" : outcomeOf(call.reason ?? error);
      permit(outcome, ports.clock.nowUs() - beginUs);
    };
    try {
      const response = await next(call, request);
      if (response.kind === "stream") {
        return { kind: "stream", messages: observedStream(response.messages, () => permit("ignored", 0), call) };
      }
      over();
      return tellsRoom ? { ...response, trailers: new Map([...response.trailers, ...limiter.room]) } : response;
    } catch (thrown) {
      over(toRpcError(thrown));
      throw thrown;
    }
  };
}
