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
export type Balancer = (endpoints: readonly Endpoint[]) => Picker;

/** A policy in the table of balancers: one balancer for each service that a client calls. */
export type BalancerPolicy = (ports: { readonly random: Random }) => Balancer;
