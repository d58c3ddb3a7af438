import type { Endpoint } from "../discovery/endpoint.ts";
import type { Route, RouteContext, RouterPolicy } from "./router.ts";

/** Subsets by which routes, and pickers, are kept. */
export const subsetsMax = 4096;

/** A router with the rules that hold for it now. */
export interface RouterRules {
  readonly policy: RouterPolicy;
  readonly rules: readonly unknown[];
}

/**
 * The routers one after the other over one snapshot: each narrows what the one before left. A router is compiled when it first
 * meets a subset, and kept by that subset's array. Without routers every call gets `endpoints` itself. `client`: what
 * belongs to the client, see `RouteContext`.
 */
export function chainRoutes(
  routers: readonly RouterRules[],
  endpoints: readonly Endpoint[],
  client: Omit<RouteContext, "all">,
): Route {
  const context = { ...client, all: endpoints };
  const stages = routers.map(({ policy, rules }) => {
    const routes = new Map<readonly Endpoint[], Route>();
    return (candidates: readonly Endpoint[]): Route => {
      let route = routes.get(candidates);
      if (route === undefined) {
        // What a hostile document could make of it; a fleet's rules leave a handful of subsets.
        if (routes.size >= subsetsMax) routes.clear();
        routes.set(candidates, (route = policy.compile(rules, candidates, context)));
      }
      return route;
    };
  });
  return (call) => {
    let candidates = endpoints;
    for (const stage of stages) candidates = stage(candidates)(call);
    return candidates;
  };
}
