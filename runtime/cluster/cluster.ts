import type { Call } from "../call/call.ts";
import type { RpcCode, RpcError } from "../call/status.ts";
import type { Endpoint } from "../discovery/endpoint.ts";
import type { Clock } from "../ports/clock.ts";
import type { Random } from "../ports/random.ts";
import type { Response } from "../ports/transport.ts";

/** How one attempt ended. `isOwnTimeout`: the attempt's own time was over, while the call has time left. */
export type AttemptOutcome =
  | { readonly kind: "response"; readonly response: Response }
  | { readonly kind: "error"; readonly error: RpcError; readonly isOwnTimeout: boolean };

/** What a strategy can do for one logical call. */
export interface Attempts {
  readonly call: Call;
  /**
   * An instance from the live, routed list by the balancer, avoiding those in `tried` while another is left; undefined when the
   * list is empty.
   */
  pick(tried: readonly Endpoint[]): Endpoint | undefined;
  /** One attempt; it never rejects, and is over when its own timeout or the call's deadline is. */
  send(endpoint: Endpoint): Promise<AttemptOutcome>;
  /** The error for an empty list: UNAVAILABLE, saying why it is empty. */
  noInstance(): RpcError;
}

/** What a consumer asks of a strategy. */
export interface ClusterSettings {
  /** Attempts after the first one. Dubbo's default: 2. */
  readonly retries: number;
  /** Codes that are tried again beside UNAVAILABLE and an attempt's own timeout. */
  readonly retryOn: readonly RpcCode[];
}

/** How a logical call turns into attempts. */
export type Cluster = (attempts: Attempts) => Promise<Response>;

/** A strategy in the table of clusters: one for each service that a client calls. */
export type ClusterPolicy = (
  settings: ClusterSettings,
  ports: { readonly clock: Clock; readonly random: Random },
) => Cluster;
