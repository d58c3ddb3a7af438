import type { Call } from "../call/call.ts";
import type { Endpoint } from "../discovery/endpoint.ts";

/**
 * A call's candidates. For one compiled route the answers come from a finite set of arrays, the same object for the same
 * subset: pickers and later routers are kept by it. The compiled-in array itself means "no restriction". Asked again for the
 * same call (a retry), a route answers the same.
 */
export type Route = (call: Call) => readonly Endpoint[];

/** Who calls whom: rules are found by it, and may ask about it. */
export interface RouteTarget {
  /** The service that is called; in Dubbo's words also the provider's application, and the `group` of its interface. */
  readonly service: string;
  /** "flyball.worker.v1.Worker" */
  readonly interfaceName: string;
  /** Of the interface. Flyball's own services have none. */
  readonly version?: string | undefined;
  /** The caller's application. */
  readonly application: string;
  /** The caller's host, where it is known. */
  readonly host?: string | undefined;
  /** The caller's labels: zone, region, env, … */
  readonly labels: Readonly<Record<string, string>>;
}

/** What a router may know beside its own rules and candidates. */
export interface RouteContext {
  /** The snapshot before any router narrowed it. */
  readonly all: readonly Endpoint[];
  /** A 32-bit integer of this client's own: choices that are made per call, not per key, differ between clients by it. */
  readonly seed: number;
  readonly target: RouteTarget;
}

/** A kind of routing rule: where its documents live, how they are read, and what they do to a list of endpoints. */
export interface RouterPolicy<Rule = unknown> {
  /** Config-centre keys (group "dubbo") of the documents that concern a call from `application` to `service`. */
  keys(target: RouteTarget): readonly string[];
  /** Reads a document; throws a `RuleError` that names line and reason. */
  parse(content: string): Rule;
  /** The route over one snapshot. `rules` are in the order of `keys`, without those that don't exist. */
  compile(rules: readonly Rule[], endpoints: readonly Endpoint[], context: RouteContext): Route;
  /** The metadata key that this rule makes calls stick to, if any: telemetry records its value. */
  stickyKey?(rule: Rule): string | undefined;
}

/**
 * Where Dubbo keeps a service's rules, the narrower scope first: by interface, version and group, all of them in the key
 * ("flyball.worker.v1.Worker::orders", measured with dubbo-go 3.3.2), by the provider's application, by the caller's.
 */
export function scopedKeys({ interfaceName, service, application }: RouteTarget, kind: string): readonly string[] {
  return [...new Set([`${interfaceName}::${service}`, service, application])].map((scope) => `${scope}.${kind}`);
}
