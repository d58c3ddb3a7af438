import type { Clock } from "../runtime/ports/clock.ts";
import type { Disk } from "../runtime/ports/disk.ts";
import type { Telemetry } from "../runtime/ports/telemetry.ts";
import { FaultyDisk, type DiskFault } from "./faulty-disk.ts";
import { observedDisk } from "./observed-disk.ts";
import { SkewedClock, type ClockSkew } from "./skewed-clock.ts";

/**
 * What is wrong with the machine that a node runs on. A node reaches it through its ports `Clock` and `Disk`, and so do these faults;
 * they outlive its processes. Absent: nobody means to break that port in this run, and nobody watches it.
 */
export interface MachineState {
  readonly clock?: readonly ClockSkew[];
  readonly disk?: readonly DiskFault[];
}

/** How often a node reports what its clocks show, where somebody means to break them. */
const readingEveryUs = 100_000;

/** One life's view of its machine: ports that do what they are told to do wrong, and that tell what they did. */
export class Machine {
  readonly #state: MachineState;
  readonly #telemetry: Telemetry;
  #clock: SkewedClock | undefined;
  #disk: FaultyDisk | undefined;
  #disarm: () => void = () => undefined;

  constructor(state: MachineState, telemetry: Telemetry) {
    this.#state = state;
    this.#telemetry = telemetry;
  }

  /** The machine's clock as the node sees it. */
  clock(clock: Clock): Clock {
    if (this.#state.clock === undefined) return clock;
    this.#clock = new SkewedClock(clock);
    this.#clock.skews = this.#state.clock;
    return this.#clock;
  }

  /** Likewise its disk. */
  disk(disk: Disk, clock: Clock): Disk {
    if (this.#state.disk === undefined) return disk;
    this.#disk = new FaultyDisk(disk, clock);
    void this.#disk.become(this.#state.disk);
    return observedDisk(this.#disk, { clock, telemetry: this.#telemetry });
  }

  /** Begins to report what the clocks show. */
  watch(): void {
    const clock = this.#clock;
    if (clock === undefined) return;
    const read = (): void => {
      this.#telemetry.emit({ type: "clock", atUs: clock.nowUs(), wallMs: clock.wallMs() });
      this.#disarm = clock.after(readingEveryUs, read);
    };
    read();
  }

  /** Resolves when it has taken hold. */
  async become({ clock = [], disk = [] }: MachineState): Promise<void> {
    if (this.#clock !== undefined) this.#clock.skews = clock;
    await this.#disk?.become(disk);
  }

  stop(): void {
    this.#disarm();
  }
}
