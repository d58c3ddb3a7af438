import type { RpcError } from "../call/status.ts";
import type { Endpoint } from "../discovery/endpoint.ts";
import type { AttemptOutcome, ClusterPolicy, ClusterSettings } from "./cluster.ts";

/**
 * Failover, Dubbo's default: when an attempt fails, another instance is tried at once, `retries` times (2, so 3 attempts). The
 * same instance is tried again only when no other is left. Tried again are UNAVAILABLE and an attempt that ran out of its own
 * time, other codes only when `retryOn` names them; never when the call's deadline has passed or nobody waits any more.
 * Rejects with the last attempt's error; with UNAVAILABLE, untried, when no instance can be picked.
 */
export const failover: ClusterPolicy = (settings) => {
  return async (attempts) => {
    const { call } = attempts;
    const tried: Endpoint[] = [];
    let last: RpcError | undefined;
    for (;;) {
      const endpoint = attempts.pick(tried);
      // The list can become empty between two attempts: then what the last one met says more.
      if (endpoint === undefined) throw last ?? attempts.noInstance();
      const outcome = await attempts.send(endpoint);
      if (outcome.kind === "response") return outcome.response;
      tried.push(endpoint);
      last = outcome.error;
      if (tried.length > settings.retries || !isRetryable(outcome, settings)) throw last;
      if (call.isCancelled || call.remainingUs() <= 0) throw last;
    }
  };
};

function isRetryable(failure: AttemptOutcome & { kind: "error" }, { retryOn }: ClusterSettings): boolean {
  const { code } = failure.error;
  return code === "UNAVAILABLE" || failure.isOwnTimeout || retryOn.includes(code);
}
