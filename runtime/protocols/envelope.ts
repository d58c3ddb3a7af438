import { RpcError } from "../call/status.ts";
import { joined, tooLarge } from "./protocol.ts";

/** Connect's and gRPC's length-prefixed messages: flags u8, length u32 big-endian, bytes. */
export interface Envelope {
  readonly flag: number;
  readonly bytes: Uint8Array;
}

export const flags = { compressed: 1, end: 2 } as const;

const headBytes = 5;

export function envelope(flag: number, bytes: Uint8Array): Uint8Array {
  const whole = new Uint8Array(headBytes + bytes.length);
  whole[0] = flag;
  new DataView(whole.buffer).setUint32(1, bytes.length);
  whole.set(bytes, headBytes);
  return whole;
}

/** A body that is exactly one envelope. Throws INVALID_ARGUMENT otherwise. */
export function oneEnvelope(bytes: Uint8Array): Uint8Array {
  const length = bytes.length >= headBytes ? lengthOf(bytes) : -1;
  if (length !== bytes.length - headBytes || bytes[0] !== 0) {
    throw new RpcError("the body isn't one uncompressed envelope of its length", { code: "INVALID_ARGUMENT" });
  }
  return bytes.subarray(headBytes);
}

/** Cuts a body into envelopes; holds no more than one that isn't complete. */
export class EnvelopeReader {
  readonly #bytesMax: number;
  #chunks: Uint8Array[] = [];
  #length = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Throws RESOURCE_EXHAUSTED for one that claims to be too long, UNIMPLEMENTED for a compressed one. */
  *push(chunk: Uint8Array): Generator<Envelope> {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    while (this.#length >= headBytes) {
      if (this.#chunks[0]!.length < headBytes) this.#join();
      const [first] = this.#chunks;
      const length = lengthOf(first!);
      if (length > this.#bytesMax) throw tooLarge("a message", this.#bytesMax);
      if ((first![0]! & flags.compressed) !== 0) {
        throw new RpcError("nobody asked for a compressed message", { code: "UNIMPLEMENTED" });
      }
      if (this.#length < headBytes + length) return;
      const all = this.#join();
      const end = headBytes + length;
      this.#chunks = all.length > end ? [all.subarray(end)] : [];
      this.#length = all.length - end;
      yield { flag: all[0]!, bytes: all.subarray(headBytes, end) };
    }
  }

  #join(): Uint8Array {
    const all = joined(this.#chunks, this.#length);
    this.#chunks = [all];
    return all;
  }
}

const lengthOf = (bytes: Uint8Array): number => new DataView(bytes.buffer, bytes.byteOffset).getUint32(1);
