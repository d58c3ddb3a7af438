import type { Call } from "../call/call.ts";
import type { RpcError } from "../call/status.ts";
import type { Endpoint } from "../discovery/endpoint.ts";
import type { Clock } from "../ports/clock.ts";
import type { Random } from "../ports/random.ts";
import type { Response } from "../ports/transport.ts";
import type { RetryBudget } from "../protection/retry-budget/retry-budget.ts";
import type { ClusterSettings } from "./settings.ts";

export type { ClusterSettings } from "./settings.ts";

/** How one attempt ended. `isOwnTimeout`: the attempt's own time was over, while the call has time left. */
export type AttemptOutcome =
  | { readonly kind: "response"; readonly response: Response }
  | { readonly kind: "error"; readonly error: RpcError; readonly isOwnTimeout: boolean };

export type Failure = AttemptOutcome & { readonly kind: "error" };

/** What an attempt is to its call. */
export interface SendOptions {
  /** Attempts that were made before: from 1 on the instance is told (`grpc-previous-rpc-attempts`). Default 0. */
  readonly previous?: number | undefined;
  /** It repeats an attempt that no handler saw, and doesn't count against any limit. */
  readonly isTransparent?: boolean | undefined;
  /** A call under the logical one: the attempt is over when it is cancelled. Default: the logical call itself. */
  readonly under?: Call | undefined;
}

/** What a strategy can do for one logical call. */
export interface Attempts {
  readonly call: Call;
  /** The live, routed list, in the directory's order, weight 0 included: the same array while nothing changes. */
  candidates(): readonly Endpoint[];
  /**
   * An instance from that list by the balancer, avoiding those in `tried` while another is left; undefined when the list is
   * empty. `among` takes the place of the list: pass the same array for the same instances.
   */
  pick(tried: readonly Endpoint[], among?: readonly Endpoint[]): Endpoint | undefined;
  /** One attempt; it never rejects, and is over when its own timeout or the call's deadline is. */
  send(endpoint: Endpoint, options?: SendOptions): Promise<AttemptOutcome>;
  /** The error for an empty list: UNAVAILABLE, saying why it is empty. */
  noInstance(): RpcError;
  /** An answer without content: a message with no field set, or a stream of none. */
  empty(): Response;
  /** What the caller gets when the call's deadline passes before the strategy has answered. Default: DEADLINE_EXCEEDED. */
  atDeadline(response: Response): void;
  /**
   * The same request once more, as a logical call of its own that nobody waits for: with the same time, recorded as a redelivery
   * of this one. It goes the same way, filters included, and `run` takes the strategy's place. Rejects as `run` does.
   */
  again(run: Cluster): Promise<unknown>;
}

/** How a logical call turns into attempts. */
export interface Cluster {
  (attempts: Attempts): Promise<Response>;
  /** Lets go of what it still meant to do. */
  close?(): void;
}

export interface ClusterPorts {
  readonly clock: Clock;
  readonly random: Random;
  /** What this client may spend on retries of this service. */
  readonly budget: RetryBudget;
  /** Tells telemetry that a policy changed its state: "failback" "dropped". */
  readonly report: (change: { readonly policy: string; readonly state: string; readonly reason?: string }) => void;
}

/** A strategy in the table of clusters: one for each service that a client calls. */
export type ClusterPolicy = (settings: ClusterSettings, ports: ClusterPorts) => Cluster;
