import { Call } from "./call/call.ts";
import { metadata, noMetadata } from "./call/metadata.ts";
import { endpointOf, noStats, type AttemptEnd, type Endpoint } from "./discovery/endpoint.ts";
import { ln } from "./numbers.ts";
import type { Clock } from "./ports/clock.ts";
import type { RouteContext, RouteTarget } from "./routing/router.ts";
import type { Transport } from "./ports/transport.ts";
import { ManualClock } from "./testing/clock.ts";

/** The smallest worlds in which a policy can be tested. */

export interface EndpointInit {
  readonly id?: string;
  readonly address?: string;
  readonly weight?: number;
  readonly inFlight?: number;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly tag?: string | undefined;
}

export function endpoint(init: EndpointInit = {}): Endpoint {
  const { id = "orders/0", weight = 100, inFlight = 0, tag } = init;
  return endpointOf(
    {
      id,
      service: "orders",
      address: init.address ?? `10.0.0.${id.split("/").at(-1)}:20880`,
      weight,
      metadata: { ...init.metadata, ...(tag !== undefined && { "dubbo.tag": tag }) },
    },
    { ...noStats(), inFlight },
  );
}

/** So many calls are in flight at it from now on. */
export function occupy({ stats }: Endpoint, inFlight: number): void {
  while (stats.inFlight !== inFlight) {
    const change = stats.inFlight < inFlight ? 1 : -1;
    stats.inFlight += change;
    for (const changed of stats.watchers) changed(change);
  }
}

/** An attempt at it has ended like this. */
export function tell({ stats }: Endpoint, end: Partial<AttemptEnd>): void {
  const method = "/flyball.worker.v1.Worker/Do";
  for (const observe of stats.observers) {
    observe({ code: "OK", method, trailers: noMetadata, latencyUs: 1000, endUs: 0, ...end });
  }
}

/** "orders/0", "orders/1", … with these weights. */
export function pool(...weights: readonly number[]): readonly Endpoint[] {
  return weights.map((weight, index) => endpoint({ id: `orders/${index}`, weight }));
}

/** What a client brings along to its routes: its own seed, and who calls whom. */
export function client(seed = 1, target: Partial<RouteTarget> = {}): Omit<RouteContext, "all"> {
  const interfaceName = "flyball.worker.v1.Worker";
  return { seed, target: { service: "orders", interfaceName, application: "storefront", labels: {}, ...target } };
}

let lastCall = 0;

/** Calls are numbered from 1 again: see vitest.setup.ts. */
export function restartCallIds(): void {
  lastCall = 0;
}

export interface CallInit {
  readonly id?: number;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly clock?: Clock;
  readonly timeoutUs?: number | undefined;
  readonly method?: string;
  readonly request?: unknown;
  readonly parent?: Call;
}

/** A call to "orders"; every one in a file of tests has its own id. */
export function call(init: CallInit = {}): Call {
  return new Call({
    clock: init.clock ?? new ManualClock(),
    service: "orders",
    method: init.method ?? "/flyball.worker.v1.Worker/Do",
    metadata: metadata(init.metadata ?? {}),
    timeoutUs: init.timeoutUs,
    id: init.id ?? ++lastCall,
    request: init.request,
    parent: init.parent,
  });
}

/**
 * Whether `hits` of `trials` are so unlikely at `probability` that a correct policy would show them less than once in 10^9
 * times: n·KL(hits/n ‖ p) > ln(2/1e-9), the Chernoff bound in its Kullback-Leibler form, which holds for every n and p.
 */
export function isImplausible(hits: number, trials: number, probability: number): boolean {
  const share = hits / trials;
  const divergence = term(share, probability) + term(1 - share, 1 - probability);
  return trials * divergence > ln(2e9);
}

function term(a: number, b: number): number {
  return a === 0 ? 0 : b === 0 ? Infinity : a * ln(a / b);
}

/** For guards that never ask anybody. */
export const idleTransport: Transport = {
  listen: () => Promise.reject(new Error("nobody listens here")),
  invoke: () => Promise.reject(new Error("nobody is asked here")),
  release: () => undefined,
  close: () => Promise.resolve(),
};
