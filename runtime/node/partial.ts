/**
 * The beginning of something whose rest hasn't come yet. It is gathered in a buffer that doubles, so that it takes at most twice what has
 * really arrived, whatever its length claims and however small the pieces are.
 */
export class Partial {
  #bytes = nothing;
  #from = 0;
  #end = 0;

  get length(): number {
    return this.#end - this.#from;
  }

  /** What came before with the chunk behind it; a chunk that nothing came before is answered as it is, and not kept. */
  after(chunk: Buffer): Buffer {
    if (this.length === 0) return chunk;
    this.#append(chunk);
    return this.#bytes.subarray(this.#from, this.#end);
  }

  /** Of `bytes`, which `after` answered, the first `used` were understood: keeps the rest. */
  keep(bytes: Buffer, used: number): void {
    if (this.length === 0) return this.#append(bytes.subarray(used));
    // What was handed out shares the buffer; nothing is ever written where it is.
    this.#from += used;
    if (this.length === 0) this.clear();
  }

  clear(): void {
    this.#bytes = nothing;
    this.#from = 0;
    this.#end = 0;
  }

  #append(bytes: Buffer): void {
    if (this.#end + bytes.length > this.#bytes.length) {
      const larger = Buffer.allocUnsafe(Math.max(this.length + bytes.length, 2 * this.length));
      this.#end = this.#bytes.copy(larger, 0, this.#from, this.#end);
      this.#from = 0;
      this.#bytes = larger;
    }
    this.#end += bytes.copy(this.#bytes, this.#end);
  }
}

const nothing = Buffer.alloc(0);
