import { availableParallelism, cpus } from "node:os";

import type { RunLog } from "./run-log.ts";
import type { RunningFleet } from "./worlds/world.ts";

/** Measures what this process takes of the machine's processors, and what nobody takes, until the answer is called. */
export function measureCpu(fleet: RunningFleet, log: RunLog): () => void {
  const { clock } = fleet;
  const fromUs = clock.nowUs();
  const from = process.cpuUsage();
  const fromAll = processorTime();
  return () => {
    const { user, system } = process.cpuUsage(from);
    const nowUs = clock.nowUs();
    const ofUs = (nowUs - fromUs) * availableParallelism();
    const all = processorTime();
    // They are counted in ticks of a hundredth of a second: only their shares are exact.
    const idle = (all.idle - fromAll.idle) / Math.max(1, all.total - fromAll.total);
    log.cpu(nowUs, { usedUs: user + system, ofUs, idleUs: Math.round(idle * ofUs) });
  };
}

/** Of all processors since the machine started, in the same unit. */
function processorTime(): { readonly idle: number; readonly total: number } {
  let idle = 0;
  let total = 0;
  for (const { times } of cpus()) {
    idle += times.idle;
    total += times.user + times.nice + times.sys + times.idle + times.irq;
  }
  return { idle, total };
}

/** Measures how late the harness's own timers run; the answer stops it. */
export function watchLag(fleet: RunningFleet, log: RunLog): () => void {
  const { clock } = fleet;
  const periodUs = 20_000;
  let cancel = (): void => undefined;
  let maxUs = 0;
  let reportedUs = clock.nowUs();
  const next = (): void => {
    const dueUs = clock.nowUs() + periodUs;
    cancel = clock.after(periodUs, () => {
      const nowUs = clock.nowUs();
      maxUs = Math.max(maxUs, nowUs - dueUs);
      if (nowUs - reportedUs >= 500_000) {
        log.lag(nowUs, maxUs);
        maxUs = 0;
        reportedUs = nowUs;
      }
      next();
    });
  };
  next();
  return () => cancel();
}
