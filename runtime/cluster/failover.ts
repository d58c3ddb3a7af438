import { pause } from "../call/pause.ts";
import type { Endpoint } from "../discovery/endpoint.ts";
import type { Response } from "../ports/transport.ts";
import type { Attempts, Cluster, ClusterPolicy, Failure, SendOptions } from "./cluster.ts";
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
  const first: Cluster = (attempts) => {
    const endpoint = attempts.pick(nobody);
    if (endpoint === undefined) return Promise.reject(attempts.noInstance());
    return attempts.send(endpoint, firstOptions).then((outcome) => {
      if (outcome.kind === "error") return again(attempts, endpoint, outcome);
      budget.succeeded();
      return outcome.response;
    });
  };
  /** What most calls never need: the attempts after the one that failed. */
  const again = async (attempts: Attempts, endpoint: Endpoint, failure: Failure): Promise<Response> => {
    const { call } = attempts;
    const tried = [endpoint];
    const decisions = new RetryDecisions(settings, { random, budget });
    let outcome = failure;
    let isRetry = false;
    try {
      for (;;) {
        const { error } = outcome;
        const next = decisions.after(outcome, attempts, tried);
        if (next.kind === "give up" || call.isCancelled) throw error;
        if (next.kind === "retry") {
          if (isRetry) budget.returned();
          isRetry = true;
          if (next.afterUs > 0) await pause(clock, next.afterUs, call);
          if (call.isCancelled) throw error;
        }
        const another = attempts.pick(tried);
        // The list can become empty between two attempts: then what the last one met says more.
        if (another === undefined) throw error;
        const isTransparent = next.kind === "transparent";
        const ended = await attempts.send(another, { previous: decisions.made - 1, isTransparent });
        if (ended.kind === "response") {
          budget.succeeded();
          return ended.response;
        }
        tried.push(another);
        outcome = ended;
      }
    } finally {
      if (isRetry) budget.returned();
    }
  };
  return first;
};

const nobody: readonly Endpoint[] = [];
const firstOptions: SendOptions = { previous: 0, isTransparent: false };
