import type { ClusterPolicy } from "./cluster.ts";

/** How long an instance that couldn't be reached is passed over. */
const unreachableUs = 1_000_000;

/**
 * Available (Dubbo): no balancing; the call goes to the first instance by its id that is available, and to none when that fails (in Dubbo
 * the first of the list, in whose order nobody has a say). An instance is unavailable for a second after a call that couldn't even be
 * sent to it. When every one is, the first in the list is tried all the same, where Dubbo rejects without trying.
 */
export const available: ClusterPolicy = (_settings, { clock }) => {
  /** Until when an instance is passed over, by its identity. */
  const unreachable = new Map<string, number>();
  return async (attempts) => {
    const endpoints = attempts
      .candidates()
      .filter(({ weight }) => weight > 0)
      .sort((one, other) => (one.key < other.key ? -1 : 1));
    const nowUs = clock.nowUs();
    const endpoint = endpoints.find(({ key }) => (unreachable.get(key) ?? 0) <= nowUs) ?? endpoints[0];
    if (endpoint === undefined) throw attempts.noInstance();
    const outcome = await attempts.send(endpoint);
    if (outcome.kind === "response") {
      unreachable.delete(endpoint.key);
      return outcome.response;
    }
    if (outcome.error.reach === "nowhere") {
      // Who left long ago doesn't stay in the map.
      for (const [key, untilUs] of unreachable) if (untilUs <= nowUs) unreachable.delete(key);
      unreachable.set(endpoint.key, clock.nowUs() + unreachableUs);
    }
    throw outcome.error;
  };
};
