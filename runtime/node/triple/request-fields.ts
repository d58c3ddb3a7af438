import type { Metadata } from "../../call/metadata.ts";
import { timeoutHeader, toFields } from "../grpc/fields.ts";
import { encodeFields, type FieldBlock } from "../http2/hpack/encoder.ts";
import type { OutgoingFields } from "../http2/stream.ts";

/**
 * The fields of one method's requests. A caller repeats itself: metadata that says the same as the call's before is checked once, and when
 * it has come twice with the same deadline, the whole section is encoded once. Its bytes are the same then, too, and so a server
 * that knows blocks by their bytes reads them once.
 */
export class RequestFields {
  /** What is always the same. */
  readonly #base: FieldBlock;
  /** The latest metadata, keys and values in turn, and what became of it. */
  #entries: readonly string[] = [];
  #custom: readonly string[] = [];
  #latest: { readonly custom: readonly string[]; readonly timeout: string | undefined } = {
    custom: this.#custom,
    timeout: undefined,
  };
  #repeated: OutgoingFields | undefined;

  constructor(base: FieldBlock) {
    this.#base = base;
  }

  /** A call's own fields. Throws INVALID_ARGUMENT for what gRPC can't carry. */
  custom(metadata: Metadata): readonly string[] {
    if (!this.#isLatest(metadata)) {
      // Before anything is kept: it may throw.
      this.#custom = toFields(metadata);
      this.#entries = [...metadata].flat();
    }
    return this.#custom;
  }

  /** All of them, of a call that has `leftUs` until its deadline. */
  of(custom: readonly string[], leftUs: number): OutgoingFields {
    const timeout = leftUs === Infinity ? undefined : timeoutHeader(leftUs);
    const isRepeated = custom === this.#latest.custom && timeout === this.#latest.timeout;
    if (isRepeated && this.#repeated !== undefined) return this.#repeated;
    const list = timeout === undefined ? custom : [...custom, "grpc-timeout", timeout];
    if (!isRepeated) {
      this.#latest = { custom, timeout };
      this.#repeated = undefined;
      return { block: this.#base, list };
    }
    const own = encodeFields(list);
    const bytes = Buffer.concat([this.#base.bytes, own.bytes]);
    return (this.#repeated = { block: { bytes, listBytes: this.#base.listBytes + own.listBytes }, list: [] });
  }

  #isLatest(metadata: Metadata): boolean {
    const entries = this.#entries;
    if (2 * metadata.size !== entries.length) return false;
    let at = 0;
    for (const [key, value] of metadata) {
      if (key !== entries[at] || value !== entries[at + 1]) return false;
      at += 2;
    }
    return true;
  }
}
