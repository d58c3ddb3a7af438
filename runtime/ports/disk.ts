/**
 * A node's files, by plain name (no directories). What was written is durable only after `sync`; the simulator can crash,
 * tear and fill it.
 */
export interface Disk {
  /** The whole file, or undefined when there is none. */
  read(name: string): Promise<Uint8Array | undefined>;
  /**
   * Adds to the end of the file, which is created when absent. The bytes are their owner's again, to be written anew, once it is done.
   * Rejects with a `DiskError` when the disk is full.
   */
  append(name: string, bytes: Uint8Array): Promise<void>;
  /** Makes everything appended to `name` durable. */
  sync(name: string): Promise<void>;
  /** Atomically replaces `to` by `from`: the way to write a whole file is append to a new name, sync, rename. */
  rename(from: string, to: string): Promise<void>;
  /** Removes the file; absent is fine. */
  remove(name: string): Promise<void>;
}

/** A disk that can't do what it was asked. */
export class DiskError extends Error {
  override readonly name = "DiskError";
  /** `FULL`: no space is left; what was written before is intact. */
  readonly code: "FULL" | "IO";

  constructor(message: string, options: { readonly code: DiskError["code"]; readonly cause?: unknown }) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = options.code;
  }
}
