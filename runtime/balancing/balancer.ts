import type { Call } from "../call/call.ts";
import type { Endpoint } from "../discovery/endpoint.ts";
import type { Random } from "../ports/random.ts";

/** An immutable snapshot of the endpoints; replaced when they or the rules change. */
export interface Picker {
  /** One call's endpoint; undefined when none is left. */
  pick(call: Call): Endpoint | undefined;
}

/**
 * Makes pickers. What a policy remembers between picks belongs to the balancer and is keyed by the endpoint's identity
 * (`Endpoint.key`), so that a new picker goes on where the one before it stopped.
 */
export interface Balancer {
  (endpoints: readonly Endpoint[]): Picker;
  /** Metadata of every attempt, which makes instances report what the policy goes by. Default none. */
  readonly carries?: readonly (readonly [string, string])[];
}

/** Parameters of consistent hashing. */
export interface HashSettings {
  /** Points of each endpoint on the ring, a multiple of 4. Default 160 (Dubbo's `hash.nodes`). */
  readonly nodes?: number | undefined;
  /** What makes the key, by commas: "0" is the request message, "0.user.id" a field of it. Default "0" (Dubbo's `hash.arguments`). */
  readonly arguments?: string | undefined;
  /** Bounded load: how many times the mean an endpoint may have in flight, above 1. Default 1.25. */
  readonly loadFactor?: number | undefined;
}

/** Parameters of gRPC's weighted round-robin. */
export interface WeightedRoundRobinSettings {
  /** How long an instance's first reports don't count, in milliseconds. Default 10,000. */
  readonly blackoutMs?: number | undefined;
  /** How long a report counts, in milliseconds. Default 180,000. */
  readonly weightExpirationMs?: number | undefined;
  /** How often weights are taken over from the reports, in milliseconds, at least 100. Default 1,000. */
  readonly weightUpdateMs?: number | undefined;
  /** How much of its utilisation a failed call is counted as beside. Default 1. */
  readonly errorUtilizationPenalty?: number | undefined;
}

/** Parameters of balancers; each reads its own. */
export interface BalancerSettings {
  /** Parameters of consistent hashing. */
  readonly hash?: HashSettings | undefined;
  readonly weightedRoundRobin?: WeightedRoundRobinSettings | undefined;
}

/** A policy in the table of balancers: one balancer for each service that a client calls. */
export type BalancerPolicy = (ports: { readonly random: Random }, settings?: BalancerSettings) => Balancer;
