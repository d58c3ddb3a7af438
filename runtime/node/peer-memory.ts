/** What all peers of a listener may make it keep: eight connections' worth of what one alone may. */
const allBytesMax = 512 * 1024 * 1024;

/**
 * What the peers of one listener make it keep together. Each has a limit of its own; where all come to more than `bytesMax` (default 512
 * MiB), the one that makes it keep most is ended, and the others don't notice.
 */
export class PeersMemory {
  readonly #bytesMax: number;
  readonly #peers = new Set<PeerMemory>();
  #bytes = 0;
  #isExceeded = false;

  constructor(bytesMax = allBytesMax) {
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** A new peer's share. `onGreedy`: it has to be ended. */
  join(onGreedy: () => void): PeerMemory {
    const peer: PeerMemory = new PeerMemory(onGreedy, (bytes, isGone) => {
      if (isGone) this.#peers.delete(peer);
      this.#bytes += bytes;
      if (this.#bytes <= this.#bytesMax || this.#isExceeded) return;
      this.#isExceeded = true;
      // Not in the middle of what it is about to keep.
      setImmediate(() => this.#relieve());
    });
    this.#peers.add(peer);
    return peer;
  }

  #relieve(): void {
    this.#isExceeded = false;
    while (this.#bytes > this.#bytesMax) {
      let greedy: PeerMemory | undefined;
      for (const peer of this.#peers) if (greedy === undefined || peer.bytes > greedy.bytes) greedy = peer;
      if (greedy === undefined) return;
      greedy.onGreedy();
      greedy.leave();
    }
  }
}

/** One peer's part of it. */
export class PeerMemory {
  readonly onGreedy: () => void;
  readonly #onChange: (bytes: number, isGone: boolean) => void;
  #bytes = 0;
  #isGone = false;

  constructor(onGreedy: () => void, onChange: (bytes: number, isGone: boolean) => void) {
    this.onGreedy = onGreedy;
    this.#onChange = onChange;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** So many more are kept; fewer, where that is negative. */
  add(bytes: number): void {
    if (bytes === 0 || this.#isGone) return;
    this.#bytes += bytes;
    this.#onChange(bytes, false);
  }

  /** It is gone, and nothing is kept for it any more. */
  leave(): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#onChange(-this.#bytes, true);
    this.#bytes = 0;
  }
}
