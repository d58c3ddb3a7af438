import type { Endpoint } from "../discovery/endpoint.ts";
import { md5 } from "../md5.ts";
import { Membership, type Member } from "./membership.ts";

/** Points of instances that came since the ring was last sorted as a whole: beyond this share of it, it is again. */
const freshShare = 1 / 64;

/**
 * Dubbo's ring: `nodes` points for each endpoint, four words of md5(address + i). The bulk of the points is one sorted array; those of
 * instances that came later are another, small one; those of instances that left stay, and are stepped over. Both are merged when that
 * pays, so a change costs the points of what changed and its share of a merge.
 */
export class HashRing {
  readonly #nodes: number;
  readonly #membership: Membership<Owner>;
  /** By identity, also those that left as long as their points stand. */
  readonly #owners = new Map<string, Owner>();
  #sorted: Points = { hashes: new Uint32Array(0), owners: [] };
  #fresh: Points = { hashes: new Uint32Array(0), owners: [] };
  #waiting: Owner[] = [];
  #absent = 0;

  constructor(nodes: number) {
    this.#nodes = nodes;
    this.#membership = new Membership<Owner>({
      enter: (endpoint) => this.#enter(endpoint),
      leave: (owner) => this.#leave(owner),
    });
  }

  /** Calls in flight at those on the ring. */
  inFlight = 0;

  become(list: readonly Endpoint[]): void {
    if (!this.#membership.become(list)) return;
    const { members } = this.#membership;
    if (this.#waiting.length > 0) {
      const points = pointsOf(this.#waiting, this.#nodes);
      this.#waiting = [];
      this.#fresh = merged(this.#fresh, points, false);
    }
    const isStale = this.#absent > 16 && this.#absent > members.length;
    if (isStale || this.#fresh.hashes.length > Math.max(1024, this.#sorted.hashes.length * freshShare)) {
      this.#sorted = merged(this.#sorted, this.#fresh, isStale);
      this.#fresh = { hashes: new Uint32Array(0), owners: [] };
      if (isStale) {
        for (const [key, owner] of this.#owners) {
          if (owner.isIn) continue;
          owner.isForgotten = true;
          this.#owners.delete(key);
        }
        this.#absent = 0;
      }
    }
  }

  /** The owner of the first point at or behind `hash` which fits, going round once; undefined when none does. */
  first(hash: number, fits?: (endpoint: Endpoint) => boolean): Endpoint | undefined {
    const { members } = this.#membership;
    if (members.length === 0) return undefined;
    const [a, b] = [this.#sorted, this.#fresh];
    const [sizeA, sizeB] = [a.hashes.length, b.hashes.length];
    let i = lowerBound(a.hashes, hash);
    let j = lowerBound(b.hashes, hash);
    // Beyond the end it goes on at the beginning, one turn later.
    for (let steps = sizeA + sizeB; steps > 0; steps--) {
      const atA = i < sizeA ? a.hashes[i]! : i - sizeA < sizeA ? a.hashes[i - sizeA]! + 0x100000000 : Infinity;
      const atB = j < sizeB ? b.hashes[j]! : j - sizeB < sizeB ? b.hashes[j - sizeB]! + 0x100000000 : Infinity;
      const owner = atA <= atB ? a.owners[i++ % sizeA]! : b.owners[j++ % sizeB]!;
      if (owner.isIn && (fits === undefined || fits(owner.endpoint))) return owner.endpoint;
    }
    return undefined;
  }

  #enter(endpoint: Endpoint): Owner {
    this.inFlight += endpoint.stats.inFlight;
    let owner = this.#owners.get(endpoint.key);
    if (owner === undefined) {
      owner = { endpoint, isIn: true, isForgotten: false };
      this.#owners.set(endpoint.key, owner);
      this.#waiting.push(owner);
      this.#listen(owner);
      return owner;
    }
    if (!owner.isIn) this.#absent--;
    // The statistics of an identity may have been lost in between.
    if (owner.endpoint.stats !== endpoint.stats) {
      owner.endpoint = endpoint;
      this.#listen(owner);
    }
    owner.endpoint = endpoint;
    owner.isIn = true;
    return owner;
  }

  #leave(owner: Owner): void {
    this.inFlight -= owner.endpoint.stats.inFlight;
    owner.isIn = false;
    this.#absent++;
  }

  #listen(owner: Owner): void {
    const { stats } = owner.endpoint;
    stats.watchers.push((change) => {
      if (owner.isIn && owner.endpoint.stats === stats && !owner.isForgotten) this.inFlight += change;
    });
  }
}

interface Owner extends Member {
  endpoint: Endpoint;
  isIn: boolean;
  isForgotten: boolean;
}

/** Sorted by hash. */
interface Points {
  readonly hashes: Uint32Array;
  readonly owners: readonly Owner[];
}

function pointsOf(owners: readonly Owner[], nodes: number): Points {
  const hashes = new Uint32Array(owners.length * nodes);
  let size = 0;
  for (const { endpoint } of owners) {
    for (let point = 0; point < nodes; point += 4) {
      hashes.set(md5(`${endpoint.address}${point / 4}`), size);
      size += 4;
    }
  }
  const order = sorted(hashes);
  return {
    hashes: Uint32Array.from(order, (point) => hashes[point]!),
    owners: Array.from(order, (point) => owners[Math.floor(point / nodes)]!),
  };
}

/** The indexes of the values in ascending order; equal ones stay in theirs. Radix sort: a large ring has millions of points. */
function sorted(values: Uint32Array): Uint32Array {
  let order = Uint32Array.from(values, (_, index) => index);
  let next = new Uint32Array(values.length);
  for (let shift = 0; shift < 32; shift += 8) {
    const starts = new Uint32Array(257);
    for (const value of values) starts[((value >>> shift) & 255) + 1]!++;
    for (let digit = 0; digit < 256; digit++) starts[digit + 1]! += starts[digit]!;
    for (const index of order) next[starts[(values[index]! >>> shift) & 255]!++] = index;
    [order, next] = [next, order];
  }
  return order;
}

function merged(a: Points, b: Points, forgetsAbsent: boolean): Points {
  if (a.hashes.length === 0 && !forgetsAbsent) return b;
  const size = a.hashes.length + b.hashes.length;
  const hashes = new Uint32Array(size);
  const owners: Owner[] = [];
  let [i, j] = [0, 0];
  while (i < a.hashes.length || j < b.hashes.length) {
    const takesA = j >= b.hashes.length || (i < a.hashes.length && a.hashes[i]! <= b.hashes[j]!);
    const [points, index] = takesA ? [a, i++] : [b, j++];
    const owner = points.owners[index]!;
    if (forgetsAbsent && !owner.isIn) continue;
    hashes[owners.length] = points.hashes[index]!;
    owners.push(owner);
  }
  return { hashes: hashes.subarray(0, owners.length), owners };
}

function lowerBound(hashes: Uint32Array, hash: number): number {
  let [low, high] = [0, hashes.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (hashes[middle]! < hash) low = middle + 1;
    else high = middle;
  }
  return low;
}
