/**
 * Jute, ZooKeeper's serialisation: big-endian integers, texts and buffers with their length in front (-1 is null), vectors with
 * their count in front (https://zookeeper.apache.org/doc/current/zookeeperProgrammers.html; the records are in zookeeper.jute).
 */

/** What came isn't Jute, or not the record that was expected. */
export class JuteError extends Error {
  override readonly name = "JuteError";
  readonly code = "MALFORMED";
}

export class JuteWriter {
  #bytes = Buffer.allocUnsafe(256);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  int(value: number): this {
    this.#room(4);
    this.#length = this.#bytes.writeInt32BE(value, this.#length);
    return this;
  }

  long(value: bigint): this {
    this.#room(8);
    this.#length = this.#bytes.writeBigInt64BE(BigInt.asIntN(64, value), this.#length);
    return this;
  }

  bool(value: boolean): this {
    this.#room(1);
    this.#length = this.#bytes.writeUInt8(value ? 1 : 0, this.#length);
    return this;
  }

  buffer(value: Uint8Array): this {
    this.int(value.length);
    this.#room(value.length);
    this.#bytes.set(value, this.#length);
    this.#length += value.length;
    return this;
  }

  text(value: string): this {
    return this.buffer(Buffer.from(value));
  }

  texts(values: readonly string[]): this {
    this.int(values.length);
    for (const value of values) this.text(value);
    return this;
  }

  /** Everything that was written, with its length in front. */
  frame(): Buffer {
    const frame = Buffer.allocUnsafe(4 + this.#length);
    frame.writeInt32BE(this.#length);
    this.#bytes.copy(frame, 4, 0, this.#length);
    return frame;
  }

  #room(more: number): void {
    if (this.#length + more <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#length + more, 2 * this.#bytes.length));
    this.#bytes.copy(larger, 0, 0, this.#length);
    this.#bytes = larger;
  }
}

/** Reads a frame's content. Lengths that lie throw a `JuteError`; nothing is allocated on their word. */
export class JuteReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  int(): number {
    const at = this.#take(4);
    return this.#bytes.readInt32BE(at);
  }

  long(): bigint {
    const at = this.#take(8);
    return this.#bytes.readBigInt64BE(at);
  }

  bool(): boolean {
    return this.#bytes[this.#take(1)] !== 0;
  }

  /** Null is read as empty. */
  buffer(): Buffer {
    const length = this.int();
    if (length < -1) throw new JuteError(`a buffer of ${length} bytes`);
    if (length <= 0) return Buffer.alloc(0);
    const at = this.#take(length);
    return this.#bytes.subarray(at, at + length);
  }

  text(): string {
    return this.buffer().toString("utf8");
  }

  texts(): string[] {
    const count = this.int();
    // Each has its length in front: more than fit are a lie.
    if (count < -1 || count > this.left / 4) throw new JuteError(`a vector of ${count} texts in ${this.left} bytes`);
    return Array.from({ length: Math.max(0, count) }, () => this.text());
  }

  #take(length: number): number {
    if (length > this.left) throw new JuteError(`${length} bytes expected where ${this.left} are left`);
    const at = this.#at;
    this.#at += length;
    return at;
  }
}
