import type { RequestStream } from "../call/request-stream.ts";
import type { Endpoint } from "../discovery/endpoint.ts";
import type { Cluster } from "./cluster.ts";

/**
 * How a call is made whose client streams, whatever strategy the service has: once, for its messages are gone with the attempt that took
 * them. An attempt that never left this client, and has taken none, goes to another instance as long as there is one. Rejects with the
 * last attempt's error; with UNAVAILABLE, untried, when no instance can be picked.
 */
export const streaming = (requests: RequestStream): Cluster => {
  return async (attempts) => {
    const tried: Endpoint[] = [];
    let endpoint = attempts.pick(tried);
    if (endpoint === undefined) throw attempts.noInstance();
    for (;;) {
      const outcome = await attempts.send(endpoint, { isTransparent: tried.length > 0 });
      if (outcome.kind === "response") return outcome.response;
      tried.push(endpoint);
      const { error } = outcome;
      if (error.reach !== "nowhere" || requests.isTaken || attempts.call.isCancelled) throw error;
      endpoint = attempts.pick(tried);
      if (endpoint === undefined || isAmong(endpoint, tried)) throw error;
    }
  };
};

/** By its key: while weights warm up, each look finds new objects. */
const isAmong = ({ key }: Endpoint, others: readonly Endpoint[]): boolean => others.some((other) => other.key === key);
