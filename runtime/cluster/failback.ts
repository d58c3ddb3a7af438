import type { RpcError } from "../call/status.ts";
import type { Endpoint } from "../discovery/endpoint.ts";
import type { Attempts, Cluster, ClusterPolicy } from "./cluster.ts";
import { mayRepeat } from "./retry.ts";

/**
 * Failback (Dubbo): one attempt, and when it fails the caller gets an empty answer while the call waits to be redelivered: every
 * `intervalMs` (5000), `retries` times (3), to another instance than the last one. For notifications that have to arrive in the end. At
 * most `tasks` (100) calls wait, one more is dropped, and none survives the process.
 *
 * A redelivery is a logical call of its own with the same time as the first. Dubbo's fixed interval brings everybody's redeliveries back
 * together (https://github.com/apache/dubbo-go/issues/3179): `jitter` spreads them.
 */
export const failback: ClusterPolicy = (settings, { clock, random, report }) => {
  const { intervalMs = 5000, tasks = 100, jitter = 0 } = settings.failback ?? {};
  const { retries = 3 } = settings;
  const waiting = new Set<() => void>();
  let isClosed = false;

  /** Lets the call wait for its redelivery `n` (1, 2, …). */
  const later = (attempts: Attempts, n: number, last: Endpoint | undefined, error: RpcError): void => {
    if (isClosed || !mayRepeat(error, settings)) return;
    if (n > retries) {
      if (retries > 0) report({ policy: "failback", state: "gave up", reason: error.message });
      return;
    }
    if (waiting.size >= tasks) {
      report({ policy: "failback", state: "dropped", reason: `${tasks} calls are waiting already` });
      return;
    }
    const delayUs = intervalMs * 1000 * (1 - jitter * random.float());
    const disarm = clock.after(Math.round(delayUs), () => {
      waiting.delete(disarm);
      // Its outcome is in the records; whoever called has long gone on.
      attempts.again(once(n, last)).catch(() => undefined);
    });
    waiting.add(disarm);
  };

  /** One attempt, elsewhere than at `last`, with `previous` made before. */
  const once =
    (previous: number, last: Endpoint | undefined): Cluster =>
    async (attempts) => {
      const endpoint = attempts.pick(last === undefined ? [] : [last]);
      const outcome =
        endpoint === undefined
          ? ({ kind: "error", error: attempts.noInstance() } as const)
          : await attempts.send(endpoint, { previous });
      if (outcome.kind === "response") return outcome.response;
      // A caller that cancels wants no redelivery either.
      if (attempts.call.reason?.code !== "CANCELLED") later(attempts, previous + 1, endpoint, outcome.error);
      throw outcome.error;
    };

  const first = once(0, undefined);
  return Object.assign(
    async (attempts: Attempts) => {
      const empty = attempts.empty();
      attempts.atDeadline(empty);
      return first(attempts).catch(() => empty);
    },
    {
      close: () => {
        isClosed = true;
        if (waiting.size > 0)
          report({ policy: "failback", state: "dropped", reason: `${waiting.size} calls were waiting` });
        for (const disarm of waiting) disarm();
        waiting.clear();
      },
    },
  );
};
