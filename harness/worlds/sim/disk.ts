import { DiskError, type Disk } from "../../../runtime/ports/disk.ts";
import type { Random } from "../../../runtime/ports/random.ts";
import type { SimProcess } from "./process.ts";

interface File {
  /** Its content, and room for more: adding to it again and again costs what is added. */
  bytes: Uint8Array;
  length: number;
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
      const unsynced = file.length - file.synced;
      if (unsynced === 0) continue;
      const kept = file.synced + this.#random.below(unsynced + 1);
      // A file that was never synced may not even have its name.
      if (kept === 0) this.#files.delete(name);
      else file.length = file.synced = kept;
    }
  }

  /** The disk as one process sees it; after the end of the process nothing is written or answered any more. */
  open(process: SimProcess): Disk {
    const guarded = <T>(act: () => T): Promise<T> => {
      if (!process.isAlive) return new Promise(() => undefined);
      try {
        return Promise.resolve(act());
      } catch (error) {
        return Promise.reject(error instanceof Error ? error : new DiskError(String(error), { code: "IO" }));
      }
    };
    return {
      read: (name) =>
        guarded(() => {
          const file = this.#files.get(name);
          return file?.bytes.slice(0, file.length);
        }),
      append: (name, bytes) => guarded(() => this.#append(name, bytes)),
      sync: (name) =>
        guarded(() => {
          const file = this.#files.get(name);
          if (file !== undefined) file.synced = file.length;
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

  #usedBytes(): number {
    let used = 0;
    for (const { length } of this.#files.values()) used += length;
    return used;
  }

  #append(name: string, bytes: Uint8Array): void {
    if (this.capacityBytes < Infinity && this.#usedBytes() + bytes.length > this.capacityBytes) {
      throw new DiskError(`no space is left for ${bytes.length} bytes of ${name}`, { code: "FULL" });
    }
    let file = this.#files.get(name);
    if (file === undefined)
      this.#files.set(name, (file = { bytes: new Uint8Array(bytes.length), length: 0, synced: 0 }));
    const length = file.length + bytes.length;
    if (length > file.bytes.length) {
      const larger = new Uint8Array(Math.max(length, 2 * file.bytes.length));
      larger.set(file.bytes);
      file.bytes = larger;
    }
    file.bytes.set(bytes, file.length);
    file.length = length;
  }
}
