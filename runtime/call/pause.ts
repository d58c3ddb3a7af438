import type { Clock } from "../ports/clock.ts";
import type { Call } from "./call.ts";

/** Resolves after `delayUs`, or as soon as one of the calls is cancelled: who waits looks around then. Leaves nothing behind. */
export function pause(clock: Clock, delayUs: number, ...until: readonly Call[]): Promise<void> {
  if (until.some(({ isCancelled }) => isCancelled)) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      disarm();
      for (const leave of leaving) leave();
      resolve();
    };
    const disarm = clock.after(delayUs, done);
    const leaving = until.map((call) => call.onCancel(done));
  });
}
