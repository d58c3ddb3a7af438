import * as fs from "node:fs";
import { mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

import { DiskError, type Disk } from "../ports/disk.ts";

/**
 * A directory as a disk; it is made by the first write. `sync` is fsync, of the directory too when the file is new to it;
 * `rename` is durable when it resolves. Operations happen one after the other, in the order in which they were asked for. The file that was
 * added to last stays open, so that adding to it again is one system call: nobody else may replace it meanwhile.
 */
export function directoryDisk(path: string): Disk {
  return new DirectoryDisk(path);
}

/** Plain names on any file system; none can leave the directory. */
const plainName = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}$/;

class DirectoryDisk implements Disk {
  readonly #path: string;
  /** Files whose entry in the directory is durable already. */
  readonly #named = new Set<string>();
  /** The file that was added to last. A descriptor and not a `FileHandle`, which complains when its disk is simply let go. */
  #growing: { readonly name: string; readonly descriptor: number; size: number } | undefined;
  #last: Promise<unknown> = Promise.resolve();

  constructor(path: string) {
    this.#path = path;
  }

  read(name: string): Promise<Uint8Array | undefined> {
    return this.#next(name, async (file) => {
      const bytes = await readFile(file).catch(absent);
      return bytes && new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    });
  }

  append(name: string, bytes: Uint8Array): Promise<void> {
    return this.#next(name, async (file) => {
      const growing = this.#growing?.name === name ? this.#growing : await this.#open(name, file);
      const { descriptor, size } = growing;
      try {
        for (let at = 0; at < bytes.length;) at += (await write(descriptor, bytes, at)).bytesWritten;
        growing.size += bytes.length;
      } catch (error) {
        // What fitted goes again: the next append doesn't continue half a record.
        await truncate(descriptor, size).catch(() => undefined);
        throw error;
      }
    });
  }

  sync(name: string): Promise<void> {
    return this.#next(name, async (file) => {
      try {
        if (this.#growing?.name === name) await fsync(this.#growing.descriptor);
        else await sync(file);
      } catch (error) {
        return absent(error);
      }
      if (this.#named.has(name)) return;
      await sync(this.#path);
      this.#named.add(name);
    });
  }

  rename(from: string, to: string): Promise<void> {
    checkName(to);
    return this.#next(from, async (file) => {
      await this.#close(from, to);
      await rename(file, join(this.#path, to));
      await sync(this.#path);
      this.#named.delete(from);
      this.#named.add(to);
    });
  }

  remove(name: string): Promise<void> {
    return this.#next(name, async (file) => {
      await this.#close(name);
      await rm(file, { force: true });
      this.#named.delete(name);
    });
  }

  async #open(name: string, file: string) {
    await this.#close(this.#growing?.name);
    await mkdir(this.#path, { recursive: true });
    const descriptor = await openFile(file, "a");
    this.#growing = { name, descriptor, size: (await stat(descriptor)).size };
    return this.#growing;
  }

  async #close(...names: readonly (string | undefined)[]): Promise<void> {
    const growing = this.#growing;
    if (growing === undefined || !names.includes(growing.name)) return;
    this.#growing = undefined;
    await close(growing.descriptor);
  }

  #next<T>(name: string, act: (file: string) => Promise<T>): Promise<T> {
    checkName(name);
    const result = this.#last.then(() => act(join(this.#path, name)));
    this.#last = result.catch(() => undefined);
    return result.catch((error: unknown) => {
      throw toDiskError(name, error);
    });
  }
}

const openFile = promisify(fs.open) as (path: string, flags: string) => Promise<number>;
const write = promisify(fs.write) as (
  descriptor: number,
  bytes: Uint8Array,
  from: number,
) => Promise<{ readonly bytesWritten: number }>;
const truncate = promisify(fs.ftruncate);
const stat = promisify(fs.fstat);
const fsync = promisify(fs.fsync);
const close = promisify(fs.close);

async function sync(path: string): Promise<void> {
  await using handle = await open(path, "r");
  await handle.sync();
}

function checkName(name: string): void {
  if (!plainName.test(name)) throw new DiskError(`"${name}" is no plain file name`, { code: "IO" });
}

function absent(error: unknown): undefined {
  if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
}

function toDiskError(name: string, cause: unknown): DiskError {
  const code = (cause as NodeJS.ErrnoException).code;
  const isFull = code === "ENOSPC" || code === "EDQUOT" || code === "EFBIG";
  const message = cause instanceof Error ? cause.message : String(cause);
  return new DiskError(`${name}: ${message}`, { code: isFull ? "FULL" : "IO", cause });
}
