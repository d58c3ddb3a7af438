import type { Endpoint } from "../../discovery/endpoint.ts";

/** How busy an endpoint is, as this client sees it: what balancers compare. A choice rule takes any of them. */
export interface Load {
  /** At least 0; less is better. `nowUs` is on the client's monotonic clock. */
  of(endpoint: Endpoint, nowUs: number): number;
}

/** One load metric for each service that a client calls. */
export type LoadPolicy = () => Load;
