import { pause } from "../call/pause.ts";
import type { RpcError } from "../call/status.ts";
import type { Endpoint } from "../discovery/endpoint.ts";
import type { ClusterPolicy } from "./cluster.ts";
import { RetryDecisions } from "./retry.ts";

/**
 * Failover, Dubbo's default: when an attempt fails, another instance is tried at once, `retries` times (2, so 3 attempts). The
 * same instance is tried again only when no other is left. Tried again are UNAVAILABLE and an attempt that ran out of its own
 * time, other codes only when `retryOn` names them. With `retry` it is gRPC's retry policy (proposal A6): pauses that grow and vary,
 * codes by name, and attempts that no handler saw repeated beside the count.
 *
 * Never when the call's deadline would have passed or nobody waits any more; never when the server asks for it
 * (`grpc-retry-pushback-ms`), the budget is used up, or the call isn't idempotent and a handler may have seen it. Rejects with the last
 * attempt's error; with UNAVAILABLE, untried, when no instance can be picked.
 */
export const failover: ClusterPolicy = (settings, { clock, random, budget }) => {
  return async (attempts) => {
    const { call } = attempts;
    const tried: Endpoint[] = [];
    const decisions = new RetryDecisions(settings, { random, budget });
    let last: RpcError | undefined;
    let isRetry = false;
    let isTransparent = false;
    try {
      for (;;) {
        const endpoint = attempts.pick(tried);
        // The list can become empty between two attempts: then what the last one met says more.
        if (endpoint === undefined) throw last ?? attempts.noInstance();
        const outcome = await attempts.send(endpoint, { previous: decisions.made - 1, isTransparent });
        if (outcome.kind === "response") {
          budget.succeeded();
          return outcome.response;
        }
        tried.push(endpoint);
        last = outcome.error;
        const next = decisions.after(outcome, attempts, tried);
        if (next.kind === "give up" || call.isCancelled) throw last;
        isTransparent = next.kind === "transparent";
        if (next.kind === "retry") {
          if (isRetry) budget.returned();
          isRetry = true;
          if (next.afterUs > 0) await pause(clock, next.afterUs, call);
          if (call.isCancelled) throw last;
        }
      }
    } finally {
      if (isRetry) budget.returned();
    }
  };
};
