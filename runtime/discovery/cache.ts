import type { Clock } from "../ports/clock.ts";
import type { Disk } from "../ports/disk.ts";
import type { Instance } from "../ports/registry.ts";
import { isRecord, readJson, replaceFile } from "../whole-file.ts";
import type { Endpoint } from "./endpoint.ts";

/** Pause between a change and its writing: a fleet that starts or flaps is written once. */
const saveAfterUs = 1_000_000;

/**
 * The last known instances of one service on the disk: JSON, replaced as a whole, checked when it is read. It is a help, never
 * a duty: a disk that fails or is full costs the next cold start its list, and nothing else.
 */
export class InstanceCache {
  readonly #clock: Clock;
  readonly #disk: Disk;
  readonly #service: string;
  readonly #name: string;
  #unsaved: readonly Endpoint[] | undefined;
  #disarm: (() => void) | undefined;
  #isWriting = false;
  #isClosed = false;

  constructor(options: { readonly clock: Clock; readonly disk: Disk; readonly service: string }) {
    this.#clock = options.clock;
    this.#disk = options.disk;
    this.#service = options.service;
    this.#name = `instances-${fileName(options.service)}.json`;
  }

  /** Undefined when there is nothing to trust. */
  async load(): Promise<readonly Instance[] | undefined> {
    try {
      return parseCache(await readJson(this.#disk, this.#name), this.#service);
    } catch {
      return undefined;
    }
  }

  save(endpoints: readonly Endpoint[]): void {
    this.#unsaved = endpoints;
    this.#arm();
  }

  close(): void {
    this.#isClosed = true;
    this.#disarm?.();
  }

  #arm(): void {
    if (this.#isClosed || this.#isWriting || this.#disarm !== undefined) return;
    this.#disarm = this.#clock.after(saveAfterUs, () => {
      this.#disarm = undefined;
      void this.#write();
    });
  }

  async #write(): Promise<void> {
    const endpoints = this.#unsaved ?? [];
    this.#unsaved = undefined;
    this.#isWriting = true;
    try {
      const service = this.#service;
      const instances = endpoints.map(({ id, address, weight, metadata }) => ({
        id,
        service,
        address,
        weight,
        metadata,
      }));
      await replaceFile(this.#disk, this.#name, JSON.stringify({ format: 1, service, instances }));
    } catch {
      // The next change tries again.
    }
    this.#isWriting = false;
    if (this.#unsaved !== undefined) this.#arm();
  }
}

function parseCache(value: unknown, service: string): readonly Instance[] | undefined {
  if (!isRecord(value) || value["format"] !== 1 || value["service"] !== service) return undefined;
  const instances = value["instances"];
  if (!Array.isArray(instances) || instances.length === 0) return undefined;
  return instances.every((instance) => isInstance(instance, service)) ? (instances as readonly Instance[]) : undefined;
}

function isInstance(value: unknown, service: string): boolean {
  if (!isRecord(value)) return false;
  const { id, address, weight, metadata } = value;
  return (
    value["service"] === service &&
    typeof id === "string" &&
    typeof address === "string" &&
    Number.isInteger(weight) &&
    (weight as number) >= 0 &&
    isRecord(metadata) &&
    Object.values(metadata).every((label) => typeof label === "string")
  );
}

/** A plain file name for any text: what isn't a letter, a digit, "." or "-" becomes "_" and its code. */
function fileName(text: string): string {
  return text.replace(/[^A-Za-z0-9.-]/g, (character) => `_${character.charCodeAt(0).toString(16)}_`);
}
