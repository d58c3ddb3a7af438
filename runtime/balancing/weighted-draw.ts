import type { Endpoint } from "../discovery/endpoint.ts";
import type { Random } from "../ports/random.ts";
import { Membership, type Member } from "./membership.ts";
import type { splices } from "./splices.ts";

/** An endpoint's place among the leaves of the tree. */
export interface Leaf extends Member {
  endpoint: Endpoint;
  /** -1 while it isn't listed. */
  slot: number;
}

export interface DrawOptions {
  /** Only those with the least of it are drawn from. Default: nobody has any. */
  readonly load?: ((endpoint: Endpoint) => number) | undefined;
  /** Makes what is kept of an endpoint, which may be what was kept before. Default: new each time. */
  readonly leafOf?: ((endpoint: Endpoint) => Leaf) | undefined;
  /** What compares lists. */
  readonly differences?: typeof splices | undefined;
}

/**
 * Draws by weight among the least loaded: P = weight / sum of the weights of all that have the least load. A tournament over a binary
 * tree: each node knows the least load below it and the weights of those that have it. A draw, a changed load and a changed member cost
 * O(log n) each. Sums of integer weights are exact up to 2^53.
 */
export class WeightedDraw {
  readonly #load: (endpoint: Endpoint) => number;
  readonly #leafOf: (endpoint: Endpoint) => Leaf;
  readonly #membership: Membership<Leaf>;
  /** The leaf of slot s stands at capacity + s, the parent of node i at i / 2, the root at 1. */
  #capacity = 1;
  #least = new Float64Array(2).fill(Infinity);
  #weight = new Float64Array(2);
  #leaves: (Leaf | undefined)[] = [];
  readonly #free: number[] = [];

  constructor({ load = () => 0, leafOf = (endpoint) => ({ endpoint, slot: -1 }), differences }: DrawOptions = {}) {
    this.#load = load;
    this.#leafOf = leafOf;
    this.#membership = new Membership(
      { enter: (endpoint) => this.#enter(endpoint), leave: (leaf) => this.#leave(leaf) },
      differences,
    );
  }

  become(list: readonly Endpoint[]): void {
    this.#membership.become(list);
  }

  /** Undefined when nobody is listed. */
  draw(random: Random): Endpoint | undefined {
    const [least, weight] = [this.#least, this.#weight];
    const load = least[1]!;
    if (load === Infinity) return undefined;
    let draw = below(random, weight[1]!);
    let node = 1;
    while (node < this.#capacity) {
      node *= 2;
      if (least[node] !== load) node++;
      else if (draw >= weight[node]!) draw -= weight[node++]!;
    }
    return this.#leaves[node - this.#capacity]!.endpoint;
  }

  /** An endpoint's load has changed. */
  update({ slot, endpoint }: Leaf): void {
    if (slot >= 0) this.#set(slot, this.#load(endpoint), endpoint.weight);
  }

  #enter(endpoint: Endpoint): Leaf {
    const leaf = this.#leafOf(endpoint);
    const slot = this.#free.pop() ?? this.#leaves.length;
    leaf.endpoint = endpoint;
    leaf.slot = slot;
    this.#leaves[slot] = leaf;
    if (this.#leaves.length > this.#capacity) this.#grow();
    else this.update(leaf);
    return leaf;
  }

  #leave(leaf: Leaf): void {
    this.#set(leaf.slot, Infinity, 0);
    this.#leaves[leaf.slot] = undefined;
    this.#free.push(leaf.slot);
    leaf.slot = -1;
  }

  #set(slot: number, load: number, itsWeight: number): void {
    const [least, weight] = [this.#least, this.#weight];
    let node = this.#capacity + slot;
    least[node] = load;
    weight[node] = itsWeight;
    while (node > 1) {
      node >>= 1;
      const [left, right] = [least[2 * node]!, least[2 * node + 1]!];
      const now = left < right ? left : right;
      const sum = (left === now ? weight[2 * node]! : 0) + (right === now ? weight[2 * node + 1]! : 0);
      if (least[node] === now && weight[node] === sum) return;
      least[node] = now;
      weight[node] = sum;
    }
  }

  #grow(): void {
    this.#capacity *= 2;
    this.#least = new Float64Array(2 * this.#capacity).fill(Infinity);
    this.#weight = new Float64Array(2 * this.#capacity);
    for (const leaf of this.#leaves) if (leaf !== undefined) this.update(leaf);
  }
}

/** `Random.below` for sums of weights, which may exceed 2^32. */
export function below(random: Random, bound: number): number {
  return bound <= 0x100000000 ? random.below(bound) : Math.floor(random.float() * bound);
}
