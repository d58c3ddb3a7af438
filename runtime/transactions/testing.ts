import type { Disk } from "../ports/disk.ts";

/** For tests: files in memory. */
export class MemoryDisk implements Disk {
  readonly files = new Map<string, Uint8Array>();

  read(name: string): Promise<Uint8Array | undefined> {
    return Promise.resolve(this.files.get(name));
  }

  append(name: string, bytes: Uint8Array): Promise<void> {
    this.files.set(name, new Uint8Array([...(this.files.get(name) ?? []), ...bytes]));
    return Promise.resolve();
  }

  sync(): Promise<void> {
    return Promise.resolve();
  }

  rename(from: string, to: string): Promise<void> {
    this.files.set(to, this.files.get(from)!);
    this.files.delete(from);
    return Promise.resolve();
  }

  remove(name: string): Promise<void> {
    this.files.delete(name);
    return Promise.resolve();
  }
}
