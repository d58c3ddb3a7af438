import type { Clock } from "../runtime/ports/clock.ts";
import { DiskError, type Disk } from "../runtime/ports/disk.ts";

/** What is wrong with a disk. */
export type DiskFault =
  /** No space is left: nothing can be added to any file. */
  | { readonly kind: "full" }
  /** Every operation takes `delayMs` longer. */
  | { readonly kind: "slow"; readonly delayMs: number }
  /**
   * The power goes while the next thing is being written: this share of its bytes (0 to 1, neither) is on the disk, and nothing answers any
   * more.
   */
  | { readonly kind: "torn"; readonly keep: number }
  /** Nothing gets beyond the disk's cache; the power goes when somebody wants to be sure of what he has written (`sync`). */
  | { readonly kind: "unsynced" };

/** Nobody may have anything to write: then the power goes all the same, and nothing was torn. */
const writesWithinUs = 1_000_000;

/**
 * A disk between a node and its real one, which does wrong what it is told to. What becomes of a write when the power goes is up to
 * whoever ends the process then: until that, the disk is silent.
 */
export class FaultyDisk implements Disk {
  readonly #disk: Disk;
  readonly #clock: Clock;
  #faults: readonly DiskFault[] = [];
  /** Written, and not on the disk yet: what `unsynced` holds back. */
  readonly #cached = new Map<string, Uint8Array>();
  #isOff = false;
  #last: Promise<unknown> = Promise.resolve();
  #powerGoes: () => void = () => undefined;

  constructor(disk: Disk, clock: Clock) {
    this.#disk = disk;
    this.#clock = clock;
  }

  /** Resolves when it has taken hold: for those that wait for a write, when that is lost. */
  async become(faults: readonly DiskFault[]): Promise<void> {
    const before = this.#faults;
    this.#faults = faults;
    if (!faults.some((fault) => endsWithAWrite(fault) && !before.includes(fault))) return;
    await new Promise<void>((resolve) => {
      const giveUp = this.#clock.after(writesWithinUs, resolve);
      this.#powerGoes = () => {
        this.#isOff = true;
        giveUp();
        resolve();
      };
    });
  }

  read(name: string): Promise<Uint8Array | undefined> {
    return this.#in(async () => {
      const stored = await this.#disk.read(name);
      const cached = this.#cached.get(name);
      return cached === undefined ? stored : joined(stored, cached);
    });
  }

  append(name: string, bytes: Uint8Array): Promise<void> {
    return this.#in(async () => {
      const [torn, full] = [this.#has("torn"), this.#has("full")];
      if (full !== undefined) {
        throw new DiskError(`no space is left for ${bytes.length} bytes of ${name}`, { code: "FULL" });
      }
      if (torn !== undefined && bytes.length > 1) {
        const kept = Math.min(bytes.length - 1, Math.max(1, Math.round(bytes.length * torn.keep)));
        await this.#disk.append(name, bytes.subarray(0, kept));
        await this.#disk.sync(name);
        return this.#lose();
      }
      if (this.#has("unsynced") === undefined && !this.#cached.has(name)) return this.#disk.append(name, bytes);
      this.#cached.set(name, joined(this.#cached.get(name), bytes));
    });
  }

  sync(name: string): Promise<void> {
    return this.#in(async () => {
      if (!this.#cached.has(name)) return this.#disk.sync(name);
      if (this.#has("unsynced") !== undefined) return this.#lose();
      await this.#write(name);
      await this.#disk.sync(name);
    });
  }

  rename(from: string, to: string): Promise<void> {
    return this.#in(async () => {
      const cached = this.#cached.get(from);
      this.#cached.delete(to);
      // A name is durable at once, its content isn't.
      if (cached !== undefined) await this.#disk.append(from, new Uint8Array());
      await this.#disk.rename(from, to);
      if (cached === undefined) return;
      this.#cached.delete(from);
      this.#cached.set(to, cached);
    });
  }

  remove(name: string): Promise<void> {
    return this.#in(async () => {
      this.#cached.delete(name);
      await this.#disk.remove(name);
    });
  }

  /** One after the other, in the order in which they were asked for, however slow the first ones are. */
  #in<T>(act: () => Promise<T>): Promise<T> {
    const result = this.#last.then(async () => {
      const slow = this.#has("slow");
      if (slow !== undefined) await this.#clock.sleep(slow.delayMs * 1000);
      return this.#isOff ? silence : act();
    });
    this.#last = result.catch(() => undefined);
    return result;
  }

  #lose(): Promise<never> {
    this.#powerGoes();
    return silence;
  }

  /** Brings what a fault that is over held back to where it belongs. */
  async #write(name: string): Promise<void> {
    const cached = this.#cached.get(name);
    this.#cached.delete(name);
    if (cached !== undefined) await this.#disk.append(name, cached);
  }

  #has<Kind extends DiskFault["kind"]>(kind: Kind): Extract<DiskFault, { kind: Kind }> | undefined {
    return this.#faults.find((fault): fault is Extract<DiskFault, { kind: Kind }> => fault.kind === kind);
  }
}

/** A machine without power answers nothing. */
const silence = new Promise<never>(() => undefined);

const endsWithAWrite = ({ kind }: DiskFault): boolean => kind === "torn" || kind === "unsynced";

function joined(some: Uint8Array | undefined, more: Uint8Array): Uint8Array {
  const all = new Uint8Array((some?.length ?? 0) + more.length);
  if (some !== undefined) all.set(some);
  all.set(more, some?.length ?? 0);
  return all;
}
