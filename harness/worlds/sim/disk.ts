import { DiskError, type Disk } from "../../../runtime/ports/disk.ts";
import type { Random } from "../../../runtime/ports/random.ts";
import type { SimProcess } from "./process.ts";

/** Room that a file takes at a time. */
const blockBytes = 16 * 1024;

class File {
  /** Its content, and room for more: adding to it again and again costs what is added. */
  readonly #blocks: Uint8Array[] = [];
  length = 0;
  /** How much of it survives a crash for certain. */
  synced = 0;

  append(bytes: Uint8Array): void {
    for (let from = 0; from < bytes.length;) {
      const at = this.length % blockBytes;
      const block = (this.#blocks[(this.length - at) / blockBytes] ??= new Uint8Array(blockBytes));
      const room = blockBytes - at;
      const part = from === 0 && bytes.length <= room ? bytes : bytes.subarray(from, from + room);
      block.set(part, at);
      from += part.length;
      this.length += part.length;
    }
  }

  read(): Uint8Array {
    const bytes = new Uint8Array(this.length);
    for (let from = 0; from < this.length; from += blockBytes) {
      bytes.set(this.#blocks[from / blockBytes]!.subarray(0, this.length - from), from);
    }
    return bytes;
  }
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
      read: (name) => guarded(() => this.#files.get(name)?.read()),
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
    if (file === undefined) this.#files.set(name, (file = new File()));
    file.append(bytes);
  }
}
