import type { Clock } from "../runtime/ports/clock.ts";
import type { Disk } from "../runtime/ports/disk.ts";
import type { Telemetry } from "../runtime/ports/telemetry.ts";
import type { RuntimeEvent } from "../runtime/telemetry/events.ts";
import { observedDisk } from "./observed-disk.ts";

/** Lateness that any machine has. */
const ordinaryUs = 1_000;
const reportEveryUs = 1_000_000;

/** Measures how late timers fire, and reports the worst of each second: the yardstick for timing checks in real time. */
export class LagMeter {
  readonly #clock: Clock;
  readonly #telemetry: Telemetry;
  readonly #tickUs: number;
  #maxUs = 0;
  #reportedUs: number;
  #disarm: () => void;

  constructor(clock: Clock, telemetry: Telemetry, tickMs: number) {
    this.#clock = clock;
    this.#telemetry = telemetry;
    this.#tickUs = tickMs * 1000;
    this.#reportedUs = clock.nowUs();
    this.#disarm = this.#arm();
  }

  /** Reports what the second that is under way has shown so far. */
  flush(): void {
    this.#report(this.#clock.nowUs());
  }

  stop(): void {
    this.#disarm();
  }

  #arm(): () => void {
    const dueUs = this.#clock.nowUs() + this.#tickUs;
    return this.#clock.after(this.#tickUs, () => {
      const nowUs = this.#clock.nowUs();
      this.#maxUs = Math.max(this.#maxUs, nowUs - dueUs);
      if (nowUs - this.#reportedUs >= reportEveryUs) this.#report(nowUs);
      this.#disarm = this.#arm();
    });
  }

  #report(nowUs: number): void {
    if (this.#maxUs > ordinaryUs) this.#telemetry.emit({ type: "lag", atUs: nowUs, maxUs: this.#maxUs });
    this.#maxUs = 0;
    this.#reportedUs = nowUs;
  }
}

/** What a disk takes to do anything on a machine that has time for it is a fraction of this (µs). */
const slowDiskUs = 100_000;

/** The same disk, whose node reports when it was kept waiting: what others do with the machine's disk is no fault of the fleet's. */
export function timedDisk(
  disk: Disk,
  { clock, telemetry }: { readonly clock: Clock; readonly telemetry: Telemetry },
): Disk {
  const emit = (event: RuntimeEvent): void => {
    if (event.type !== "disk" || event.tookUs === undefined || event.tookUs <= slowDiskUs) return;
    telemetry.emit({ type: "lag", atUs: event.atUs, maxUs: event.tookUs });
  };
  return observedDisk(disk, { clock, telemetry: { emit } });
}
