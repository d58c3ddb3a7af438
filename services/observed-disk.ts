import type { Clock } from "../runtime/ports/clock.ts";
import type { Disk } from "../runtime/ports/disk.ts";
import type { Telemetry } from "../runtime/ports/telemetry.ts";
import type { DiskUse } from "../runtime/telemetry/events.ts";

/** A disk that reports what was asked of it and what came of that: the evidence that it was as it should be, or wasn't. */
export function observedDisk(disk: Disk, ports: { readonly clock: Clock; readonly telemetry: Telemetry }): Disk {
  return new ObservedDisk(disk, ports);
}

class ObservedDisk implements Disk {
  readonly #disk: Disk;
  readonly #clock: Clock;
  readonly #telemetry: Telemetry;
  /** Of files, as far as this life of the node knows them. */
  readonly #lengths = new Map<string, number>();

  constructor(disk: Disk, { clock, telemetry }: { readonly clock: Clock; readonly telemetry: Telemetry }) {
    this.#disk = disk;
    this.#clock = clock;
    this.#telemetry = telemetry;
  }

  read(file: string): Promise<Uint8Array | undefined> {
    return this.#tell({ operation: "read", file }, async () => {
      const bytes = await this.#disk.read(file);
      this.#lengths.set(file, bytes?.length ?? 0);
      return bytes;
    });
  }

  append(file: string, bytes: Uint8Array): Promise<void> {
    // An append may never end: whoever wonders afterwards what has become of it needs to know of its beginning.
    this.#emit({ operation: "append", file, state: "begun", bytes: bytes.length, length: this.#lengths.get(file) });
    return this.#tell({ operation: "append", file, bytes: bytes.length }, async () => {
      await this.#disk.append(file, bytes);
      const length = this.#lengths.get(file);
      if (length !== undefined) this.#lengths.set(file, length + bytes.length);
    });
  }

  sync(file: string): Promise<void> {
    return this.#tell({ operation: "sync", file }, () => this.#disk.sync(file));
  }

  rename(from: string, file: string): Promise<void> {
    return this.#tell({ operation: "rename", file }, async () => {
      await this.#disk.rename(from, file);
      const length = this.#lengths.get(from);
      this.#lengths.delete(from);
      if (length !== undefined) this.#lengths.set(file, length);
    });
  }

  remove(file: string): Promise<void> {
    return this.#tell({ operation: "remove", file }, async () => {
      await this.#disk.remove(file);
      this.#lengths.set(file, 0);
    });
  }

  async #tell<T>(use: Pick<DiskUse, "operation" | "file" | "bytes">, act: () => Promise<T>): Promise<T> {
    const beganUs = this.#clock.nowUs();
    const end = (result: Pick<DiskUse, "state" | "code">): void =>
      this.#emit({
        ...use,
        ...result,
        tookUs: this.#clock.nowUs() - beganUs,
        length: this.#lengths.get(use.file),
      });
    try {
      const result = await act();
      end({ state: "done" });
      return result;
    } catch (error) {
      end({ state: "failed", code: String((error as { readonly code?: unknown }).code) });
      throw error;
    }
  }

  #emit({ length, ...use }: Omit<DiskUse, "type" | "atUs" | "length"> & { readonly length: number | undefined }): void {
    const known = length === undefined ? {} : { length };
    this.#telemetry.emit({ type: "disk", atUs: this.#clock.nowUs(), ...use, ...known });
  }
}
