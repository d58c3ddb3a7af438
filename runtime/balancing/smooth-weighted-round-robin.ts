import type { Endpoint } from "../discovery/endpoint.ts";
import type { BalancerPolicy } from "./balancer.ts";
import { eligible } from "./eligible.ts";
import { Membership } from "./membership.ts";
import { latestSplices, type Splice, type splices } from "./splices.ts";

/**
 * Smooth weighted round-robin (nginx 1.3.1, https://github.com/nginx/nginx/commit/52327e0627f49dbda1e8db695e63a4b0af4448b1):
 * in every cycle of sum-of-weights picks each endpoint is picked exactly weight times, and a heavy one never in a row where
 * that can be avoided: weights 5, 1, 1 give a a b a c a a. Weight 0 takes no traffic; with no weight left nothing is picked.
 * The position belongs to the balancer, so a new picker (other instances, other weights, a retry's subset) goes on from
 * there.
 *
 * nginx adds its weight to everybody at each pick, O(n). Those of one weight all gain the same, so their order changes only when one of
 * them is picked: each weight has a heap, and a pick compares the heaps' tops. The sequence is nginx's; a pick is O(d + log n) with d
 * different weights.
 */
export const smoothWeightedRoundRobin: BalancerPolicy = () => {
  const differences = latestSplices();
  const wheel = new Wheel(differences);
  const among = eligible(differences);
  return (endpoints) => {
    const pool = among(endpoints);
    return { pick: () => (pool.length < 2 ? pool[0] : wheel.pick(pool)) };
  };
};

/** How far an endpoint is behind its share or ahead of it is `offset + picks * weight`: nginx's `current_weight`. */
interface Turn {
  readonly endpoint: Endpoint;
  offset: number;
  /** Grows along the list: of equal ones the first wins. */
  order: number;
  /** Its place in its heap. */
  at: number;
}

/** Identities that left, whose position is kept for their return. */
const departedMin = 4096;
/** Offsets grow with the picks; beyond this many they are counted anew, so that they stay exact. */
const picksMax = 0x40000000;
/** Two orders differ by so much of them at least. */
const stepMin = 1 / 0x1000000000000;

class Wheel {
  readonly #membership: Membership<Turn>;
  readonly #heaps = new Map<number, Turn[]>();
  /** Credits by identity, in the order in which they left. */
  readonly #departed = new Map<string, number>();
  #departedMax = departedMin;
  #picks = 0;
  #total = 0;

  constructor(differences: typeof splices) {
    this.#membership = new Membership(
      { enter: (endpoint) => this.#enter(endpoint), leave: (turn) => this.#leave(turn) },
      differences,
    );
  }

  pick(pool: readonly Endpoint[]): Endpoint {
    const changes = this.#membership.become(pool);
    if (changes.length > 0) this.#arrange(changes);
    if (this.#picks >= picksMax) this.#countAnew();
    this.#picks++;
    let best: Turn | undefined;
    let most = -Infinity;
    for (const [weight, heap] of this.#heaps) {
      const top = heap[0]!;
      const credit = top.offset + this.#picks * weight;
      if (credit > most || (credit === most && top.order < best!.order)) {
        best = top;
        most = credit;
      }
    }
    const { endpoint } = best!;
    best!.offset -= this.#total;
    sink(this.#heaps.get(endpoint.weight)!, best!);
    return endpoint;
  }

  #enter(endpoint: Endpoint): Turn {
    const credit = this.#departed.get(endpoint.key) ?? 0;
    this.#departed.delete(endpoint.key);
    this.#total += endpoint.weight;
    // It joins its heap once its place in the list is known.
    return { endpoint, offset: credit - this.#picks * endpoint.weight, order: 0, at: -1 };
  }

  #leave(turn: Turn): void {
    const { key, weight } = turn.endpoint;
    const credit = turn.offset + this.#picks * weight;
    this.#departed.delete(key);
    this.#departed.set(key, credit);
    this.#total -= weight;
    const heap = this.#heaps.get(weight)!;
    const last = heap.pop()!;
    if (heap.length === 0) this.#heaps.delete(weight);
    if (last === turn) return;
    heap[turn.at] = last;
    last.at = turn.at;
    rise(heap, last);
    sink(heap, last);
  }

  /** Gives those that entered their places: between their neighbours', whose own stay as they are. */
  #arrange(changes: readonly Splice[]): void {
    const { members } = this.#membership;
    for (const { at, added } of changes) {
      const first = members[at - 1]?.order ?? (members[at + added]?.order ?? 0) - added - 1;
      const last = members[at + added]?.order ?? first + added + 1;
      const step = (last - first) / (added + 1);
      // Between two neighbours there is no room for numbers any more: everybody gets a new one.
      if (step <= stepMin * Math.max(Math.abs(first), Math.abs(last))) {
        for (let index = 0; index < members.length; index++) members[index]!.order = index;
      } else {
        for (let index = 0; index < added; index++) members[at + index]!.order = first + (index + 1) * step;
      }
    }
    for (const { at, added } of changes) {
      for (let index = at; index < at + added; index++) this.#join(members[index]!);
    }
    // Four times the largest list: a subset's picker never makes the others forget where they stood.
    this.#departedMax = Math.max(this.#departedMax, 4 * members.length);
    for (const key of this.#departed.keys()) {
      if (this.#departed.size <= this.#departedMax) break;
      this.#departed.delete(key);
    }
  }

  #join(turn: Turn): void {
    const { weight } = turn.endpoint;
    let heap = this.#heaps.get(weight);
    if (heap === undefined) this.#heaps.set(weight, (heap = []));
    turn.at = heap.push(turn) - 1;
    rise(heap, turn);
  }

  #countAnew(): void {
    for (const turn of this.#membership.members) turn.offset += this.#picks * turn.endpoint.weight;
    this.#picks = 0;
  }
}

/** Of one weight: who has more credit, and of equals who stands first in the list. */
const isAhead = (a: Turn, b: Turn): boolean => a.offset > b.offset || (a.offset === b.offset && a.order < b.order);

function rise(heap: Turn[], turn: Turn): void {
  let { at } = turn;
  while (at > 0) {
    const above = heap[(at - 1) >> 1]!;
    if (!isAhead(turn, above)) break;
    heap[at] = above;
    [above.at, at] = [at, (at - 1) >> 1];
  }
  heap[at] = turn;
  turn.at = at;
}

function sink(heap: Turn[], turn: Turn): void {
  let { at } = turn;
  for (let child = 2 * at + 1; child < heap.length; child = 2 * at + 1) {
    if (child + 1 < heap.length && isAhead(heap[child + 1]!, heap[child]!)) child++;
    const below = heap[child]!;
    if (!isAhead(below, turn)) break;
    heap[at] = below;
    [below.at, at] = [at, child];
  }
  heap[at] = turn;
  turn.at = at;
}
