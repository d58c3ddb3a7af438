import type { Clock } from "../../runtime/ports/clock.ts";

export interface OpenLoop {
  /** Resolves when every call has ended, however it did. */
  readonly ended: Promise<void>;
  /** No call begins from now on; those under way go on. */
  readonly stop: () => void;
}

/**
 * Begins each call when it is due, whatever became of the ones before: the load of many independent users, free of coordinated
 * omission (Tene, "How NOT to Measure Latency"). What a stalled process missed it sends at once, each call with the time at
 * which it was due. One timer, however many calls.
 */
export function openLoop(
  clock: Clock,
  startUs: number,
  dueUs: readonly number[],
  send: (dueUs: number) => Promise<unknown>,
): OpenLoop {
  let next = 0;
  let inFlight = 0;
  let disarm = (): void => undefined;
  let finish: () => void;
  const ended = new Promise<void>((resolve) => {
    finish = resolve;
  });

  const settle = (): void => {
    inFlight--;
    if (inFlight === 0 && next >= dueUs.length) finish();
  };
  const turn = (): void => {
    let nowUs = clock.nowUs();
    while (next < dueUs.length) {
      const due = startUs + dueUs[next]!;
      if (due > nowUs) {
        // Sending took time: look again before sleeping.
        nowUs = clock.nowUs();
        if (due <= nowUs) continue;
        disarm = clock.after(due - nowUs, turn);
        return;
      }
      next++;
      inFlight++;
      send(due).then(settle, settle);
    }
    if (inFlight === 0) finish();
  };
  turn();
  return {
    ended,
    stop: () => {
      disarm();
      next = dueUs.length;
      if (inFlight === 0) finish();
    },
  };
}
