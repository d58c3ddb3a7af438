import type { Endpoint } from "../discovery/endpoint.ts";

/** The endpoints that may be picked: those with a weight above 0. The same array when that is every one. */
export function eligible(endpoints: readonly Endpoint[]): readonly Endpoint[] {
  return endpoints.every((endpoint) => endpoint.weight > 0)
    ? endpoints
    : endpoints.filter((endpoint) => endpoint.weight > 0);
}
