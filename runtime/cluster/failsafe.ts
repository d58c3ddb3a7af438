import type { ClusterPolicy } from "./cluster.ts";

/**
 * Failsafe (Dubbo): one attempt, and its failure is nobody's business: the caller gets an empty answer, at the latest at its deadline. For
 * what must not hold up or break the work beside it, such as an audit log. What was lost the history's attempts tell, not the
 * call's outcome. Every failure is swallowed, also what the service itself answered; only a caller that cancels hears so.
 */
export const failsafe: ClusterPolicy = () => {
  return async (attempts) => {
    const empty = attempts.empty();
    attempts.atDeadline(empty);
    const endpoint = attempts.pick([]);
    if (endpoint === undefined) return empty;
    const outcome = await attempts.send(endpoint);
    return outcome.kind === "response" ? outcome.response : empty;
  };
};
