import type { DiskFault } from "../../services/faulty-disk.ts";
import type { MachineState } from "../../services/machine.ts";
import type { ClockSkew } from "../../services/skewed-clock.ts";
import type { Plan } from "../scenario/plan.ts";

/** What is wrong with one node's machine now. It outlives the node's processes: each hears of it when it starts, and of every change. */
export class BrokenMachine {
  readonly #skews = new Set<ClockSkew>();
  readonly #diskFaults = new Set<DiskFault>();
  readonly #isClockMeant: boolean;
  readonly #isDiskMeant: boolean;
  /** Tells the process that there is, if there is one. Resolves when it has taken hold. */
  readonly #tell: (state: MachineState) => Promise<void>;

  constructor(plan: Pick<Plan, "watched">, tell: (state: MachineState) => Promise<void>) {
    this.#isClockMeant = plan.watched?.includes("clock") === true;
    this.#isDiskMeant = plan.watched?.includes("disk") === true;
    this.#tell = tell;
  }

  /** Undefined: in this run nobody does anything to it. */
  get state(): MachineState | undefined {
    if (!this.#isClockMeant && !this.#isDiskMeant) return undefined;
    return {
      ...(this.#isClockMeant && { clock: [...this.#skews] }),
      ...(this.#isDiskMeant && { disk: [...this.#diskFaults] }),
    };
  }

  skew(skew: ClockSkew): Promise<() => Promise<void>> {
    return this.#add(this.#skews, skew);
  }

  breakDisk(fault: DiskFault): Promise<() => Promise<void>> {
    return this.#add(this.#diskFaults, fault);
  }

  async #add<T extends object>(faults: Set<T>, fault: T): Promise<() => Promise<void>> {
    // Each is an object of its own, so that two equal ones are ended one by one.
    const own = { ...fault };
    const told = async (): Promise<void> => {
      const { state } = this;
      if (state !== undefined) await this.#tell(state);
    };
    faults.add(own);
    await told();
    return async () => {
      faults.delete(own);
      await told();
    };
  }
}
