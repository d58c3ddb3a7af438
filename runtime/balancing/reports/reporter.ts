import type { Call } from "../../call/call.ts";
import type { Filter } from "../../call/filter.ts";
import type { Clock } from "../../ports/clock.ts";
import type { Response } from "../../ports/transport.ts";
import { SlidingWindow } from "../../protection/window.ts";
import { orcaKey, writeReport } from "./orca.ts";

const windowUs = 1_000_000;
const [calls, errors, busyUs] = [0, 1, 2];

/**
 * A server's filter that says with every answer how busy the server has been for the last second (ORCA in the trailers, gRPC proposals
 * A51 and A64): calls and failures per second, and its utilisation, the mean number of calls that were worked on, divided by `capacity`
 * (the calls that it works on at a time; 1 where that isn't limited). A call counts when it ends; its time begins with its turn.
 */
export function reportsLoad({
  clock,
  capacity = 1,
}: {
  readonly clock: Clock;
  readonly capacity?: number | undefined;
}): Filter {
  const window = new SlidingWindow({ windowUs, buckets: 10, kinds: 3 });
  const ended = (call: Call, beganUs: number): void => {
    const nowUs = clock.nowUs();
    window.add(calls, nowUs);
    window.add(busyUs, nowUs, nowUs - (call.workUs ?? beganUs));
  };
  const report = (): string => {
    const nowUs = clock.nowUs();
    return writeReport({
      perSecond: window.count(calls, nowUs),
      errorsPerSecond: window.count(errors, nowUs),
      utilization: window.count(busyUs, nowUs) / windowUs / capacity,
    });
  };
  return async (call, request, next): Promise<Response> => {
    const beganUs = clock.nowUs();
    try {
      const response = await next(call, request);
      // How long a stream takes is its reader's business.
      if (response.kind === "stream") return response;
      ended(call, beganUs);
      return { ...response, trailers: new Map([...response.trailers, [orcaKey, report()]]) };
    } catch (error) {
      ended(call, beganUs);
      window.add(errors, clock.nowUs());
      throw error;
    }
  };
}
