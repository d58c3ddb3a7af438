import type { ClusterPolicy } from "./cluster.ts";

/**
 * Failfast (Dubbo): one attempt, whatever becomes of it; for calls that must not happen twice. Rejects with its error, or with
 * UNAVAILABLE when no instance can be picked.
 */
export const failfast: ClusterPolicy = () => {
  return async (attempts) => {
    const endpoint = attempts.pick([]);
    if (endpoint === undefined) throw attempts.noInstance();
    const outcome = await attempts.send(endpoint);
    if (outcome.kind === "error") throw outcome.error;
    return outcome.response;
  };
};
