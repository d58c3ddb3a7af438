import { RpcError } from "../call/status.ts";
import type { ClusterPolicy } from "./cluster.ts";

/**
 * Broadcast (Dubbo): one instance after the other is called, by their ids, every one in the list, weight 0 included; for what each has to
 * hear, such as a cache that must forget. It answers what the last one answered, or rejects with the last failure when any failed. As
 * soon as `failPercent` (100) percent of the instances have failed the others aren't called any more; below one instance's share that is
 * the first failure. (Dubbo 3.3 documents it so; where its threshold rounds down to 0 it goes on to the end.)
 */
export const broadcast: ClusterPolicy = ({ broadcast: { failPercent = 100 } = {} }) => {
  return async (attempts) => {
    const endpoints = attempts.candidates().toSorted((one, other) => (one.key < other.key ? -1 : 1));
    if (endpoints.length === 0) throw attempts.noInstance();
    const failuresMax = Math.max(1, Math.floor((endpoints.length * failPercent) / 100));
    let failures = 0;
    let last: RpcError | undefined;
    let answer;
    for (const endpoint of endpoints) {
      if (attempts.call.isCancelled) break;
      const outcome = await attempts.send(endpoint);
      if (outcome.kind === "response") {
        answer = outcome.response;
        if (answer.kind === "stream") throw new RpcError("a stream can't be broadcast", { code: "INVALID_ARGUMENT" });
        continue;
      }
      last = outcome.error;
      failures++;
      if (failures >= failuresMax) break;
    }
    if (last !== undefined || answer === undefined) throw last ?? attempts.noInstance();
    return answer;
  };
};
