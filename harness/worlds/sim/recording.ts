import { eventKinds, outside, type Recorder } from "./engine.ts";

/** Events that one chunk holds. */
const chunkSize = 1 << 16;

interface Chunk {
  readonly ticks: Float64Array;
  readonly kinds: Uint8Array;
  readonly nodes: Int32Array;
  readonly payloads: Int32Array;
}

/** Every event of a run, compactly (17 bytes each): what `--check-determinism` compares. */
export class Recording implements Recorder {
  readonly #chunks: Chunk[] = [];
  #size = 0;
  /** The nodes' ids by their numbers; filled in by the world. */
  nodes: readonly string[] = [];

  get size(): number {
    return this.#size;
  }

  add(tick: number, kind: number, node: number, payload: number): void {
    const index = this.#size & (chunkSize - 1);
    if (index === 0) {
      this.#chunks.push({
        ticks: new Float64Array(chunkSize),
        kinds: new Uint8Array(chunkSize),
        nodes: new Int32Array(chunkSize),
        payloads: new Int32Array(chunkSize),
      });
    }
    const chunk = this.#chunks[this.#chunks.length - 1]!;
    chunk.ticks[index] = tick;
    chunk.kinds[index] = kind;
    chunk.nodes[index] = node;
    chunk.payloads[index] = payload;
    this.#size++;
  }

  /** The event at an index; undefined behind the last one. */
  at(index: number): RecordedEvent | undefined {
    if (index >= this.#size) return undefined;
    const chunk = this.#chunks[Math.floor(index / chunkSize)]!;
    const offset = index & (chunkSize - 1);
    const node = chunk.nodes[offset]!;
    return {
      atUs: chunk.ticks[offset]!,
      kind: eventKinds[chunk.kinds[offset]!]!,
      node: node === outside ? "harness" : (this.nodes[node] ?? `node ${node}`),
      payload: (chunk.payloads[offset]! >>> 0).toString(16).padStart(8, "0"),
    };
  }
}

export interface RecordedEvent {
  /** Virtual time since the beginning of the simulation. */
  readonly atUs: number;
  readonly kind: string;
  /** Where it happened: "orders/0". */
  readonly node: string;
  /** A hash of what it carried. */
  readonly payload: string;
}

/** Where two runs part. An event is undefined when its run was over by then. */
export interface Difference {
  /** Events that were equal before. */
  readonly index: number;
  readonly first: RecordedEvent | undefined;
  readonly second: RecordedEvent | undefined;
}

/** The first event that differs between two runs of the same seed; undefined when they are equal. */
export function firstDifference(first: Recording, second: Recording): Difference | undefined {
  const size = Math.max(first.size, second.size);
  for (let index = 0; index < size; index++) {
    const a = first.at(index);
    const b = second.at(index);
    if (a === undefined || b === undefined || !isSame(a, b)) return { index, first: a, second: b };
  }
  return undefined;
}

function isSame(a: RecordedEvent, b: RecordedEvent): boolean {
  return a.atUs === b.atUs && a.kind === b.kind && a.node === b.node && a.payload === b.payload;
}
