/** More than can be open at a time: who has heard that one has ended doesn't go on with it. */
const remembered = 10_000;
/** What a frame counts for at least: gRPC's smallest message has 5 bytes, and who sends byte by byte has no message in mind. */
const frameBytesMin = 16;

/**
 * A server's streams that it has reset: frames that the client sent before it heard so are ignored (RFC 9113 section 5.1). Beside each is
 * what was left of its window, for so much data may have been on its way.
 */
export class LateStreams {
  readonly #windows = new Map<number, number>();

  add(id: number, windowLeft: number): void {
    this.#windows.set(id, windowLeft);
    if (this.#windows.size <= remembered) return;
    const [oldest] = this.#windows.keys();
    this.#windows.delete(oldest!);
  }

  has(id: number): boolean {
    return this.#windows.has(id);
  }

  /** A frame with so many bytes of data has come: true when there was room for it. */
  take(id: number, bytes: number): boolean {
    const left = (this.#windows.get(id) ?? 0) - Math.max(bytes, frameBytesMin);
    if (left < 0) return false;
    this.#windows.set(id, left);
    return true;
  }
}
