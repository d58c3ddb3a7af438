import { DiskError, type Disk } from "../../../runtime/ports/disk.ts";
import type { Random } from "../../../runtime/ports/random.ts";
import type { SimProcess } from "./process.ts";

interface File {
  bytes: Uint8Array;
  /** How much of it survives a crash for certain. */
  synced: number;
}

/**
 * A node's disk. It outlives the node's processes: at a crash each file keeps what was synced, and of the rest as much as chance
 * allows, torn anywhere. A rename is durable at once, the content of the renamed file only as far as it was synced.
 */
export class SimDisk {
  readonly #files = new Map<string, File>();
  readonly #random: Random;
  /** Bytes that all files together may have. */
  capacityBytes = Infinity;

  constructor(random: Random) {
    this.#random = random;
  }

  /** Loses what wasn't synced, or a part of it. */
  crash(): void {
    for (const [name, file] of this.#files) {
      const unsynced = file.bytes.length - file.synced;
      if (unsynced === 0) continue;
      const kept = file.synced + this.#random.below(unsynced + 1);
      // A file that was never synced may not even have its name.
      if (kept === 0) this.#files.delete(name);
      else this.#files.set(name, { bytes: file.bytes.slice(0, kept), synced: kept });
    }
  }

  /** The disk as one process sees it; after the end of the process nothing is written or answered any more. */
  open(process: SimProcess): Disk {
    const guarded = <T>(act: () => T): Promise<T> =>
      new Promise((resolve, reject) => {
        if (!process.isAlive) return;
        try {
          resolve(act());
        } catch (error) {
          reject(error instanceof Error ? error : new DiskError(String(error), { code: "IO" }));
        }
      });
    return {
      read: (name) => guarded(() => this.#files.get(name)?.bytes.slice()),
      append: (name, bytes) => guarded(() => this.#append(name, bytes)),
      sync: (name) =>
        guarded(() => {
          const file = this.#files.get(name);
          if (file !== undefined) file.synced = file.bytes.length;
        }),
      rename: (from, to) =>
        guarded(() => {
          const file = this.#files.get(from);
          if (file === undefined) throw new DiskError(`there is no file ${from}`, { code: "IO" });
          this.#files.delete(from);
          this.#files.set(to, file);
        }),
      remove: (name) => guarded(() => void this.#files.delete(name)),
    };
  }

  #append(name: string, bytes: Uint8Array): void {
    let used = bytes.length;
    for (const file of this.#files.values()) used += file.bytes.length;
    if (used > this.capacityBytes) {
      throw new DiskError(`no space is left for ${bytes.length} bytes of ${name}`, { code: "FULL" });
    }
    const before = this.#files.get(name);
    const joined = new Uint8Array((before?.bytes.length ?? 0) + bytes.length);
    if (before !== undefined) joined.set(before.bytes);
    joined.set(bytes, before?.bytes.length ?? 0);
    this.#files.set(name, { bytes: joined, synced: before?.synced ?? 0 });
  }
}
