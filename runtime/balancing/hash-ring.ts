import type { Endpoint } from "../discovery/endpoint.ts";
import { md5 } from "../md5.ts";
import { Membership, type Member } from "./membership.ts";
import type { splices } from "./splices.ts";

/** How much of the largest array of points the smaller ones may be, and how much they may be in any case. */
const shares = [Infinity, 1 / 64, 1 / 1024];
const pointsMin = 1024;

/**
 * Dubbo's ring: `nodes` points for each endpoint, four words of md5(address + i). The bulk of the points is one sorted array; those of
 * instances that came later are in two more, each a fraction of the one before and merged into it when it is full; those of instances that
 * left stay, and are stepped over until there are more of them than others. So a change costs the points of what changed and its
 * share of the merges.
 */
export class HashRing {
  readonly #nodes: number;
  readonly #membership: Membership<Owner>;
  /** By identity, also those that left as long as their points stand. */
  readonly #owners = new Map<string, Owner>();
  /** A slot is somebody else's once no point is its owner's any more. */
  readonly #bySlot: Owner[] = [];
  readonly #free: number[] = [];
  /** The largest first, the freshest last. */
  readonly #runs: Points[] = shares.map(() => noPoints);
  #waiting: Owner[] = [];
  #absent = 0;

  constructor(nodes: number, differences?: typeof splices) {
    this.#nodes = nodes;
    this.#membership = new Membership<Owner>(
      { enter: (endpoint) => this.#enter(endpoint), leave: (owner) => this.#leave(owner) },
      differences,
    );
  }

  /** Calls in flight at those on the ring. */
  inFlight = 0;

  become(list: readonly Endpoint[]): void {
    if (this.#membership.become(list).length === 0) return;
    if (this.#waiting.length > 0) {
      this.#merge(this.#runs.length - 1, pointsOf(this.#waiting, this.#nodes));
      this.#waiting = [];
    }
    const isStale = this.#absent > 16 && this.#absent > this.#membership.members.length;
    for (let level = this.#runs.length - 1; level > 0; level--) {
      const run = this.#runs[level]!;
      const most = Math.max(pointsMin, this.#runs[0]!.hashes.length * shares[level]!);
      if (!isStale && run.hashes.length <= most) break;
      this.#runs[level] = noPoints;
      this.#merge(level - 1, run);
    }
    if (isStale) this.#forgetAbsent();
  }

  /** The owner of the first point at or behind `hash` which fits, going round once; undefined when none does. */
  first(hash: number, fits?: (endpoint: Endpoint) => boolean): Endpoint | undefined {
    if (this.#membership.members.length === 0) return undefined;
    const places = this.#runs.map(({ hashes }) => lowerBound(hashes, hash));
    const size = this.#runs.reduce((sum, { hashes }) => sum + hashes.length, 0);
    for (let steps = size; steps > 0; steps--) {
      let next = 0;
      let nearest = Infinity;
      for (let level = 0; level < places.length; level++) {
        const at = pointAt(this.#runs[level]!.hashes, places[level]!);
        if (at < nearest) [next, nearest] = [level, at];
      }
      const { slots } = this.#runs[next]!;
      const owner = this.#bySlot[slots[places[next]!++ % slots.length]!]!;
      if (owner.isIn && (fits === undefined || fits(owner.endpoint))) return owner.endpoint;
    }
    return undefined;
  }

  #merge(level: number, points: Points): void {
    this.#runs[level] = merged(this.#runs[level]!, points);
  }

  /** All points are in one array: those of owners that left go, and so do these. */
  #forgetAbsent(): void {
    const { hashes, slots } = this.#runs[0]!;
    const isKept = (_: number, point: number): boolean => this.#bySlot[slots[point]!]!.isIn;
    this.#runs[0] = { hashes: hashes.filter(isKept), slots: slots.filter(isKept) };
    for (const [key, owner] of this.#owners) {
      if (owner.isIn) continue;
      owner.isForgotten = true;
      this.#free.push(owner.slot);
      this.#owners.delete(key);
    }
    this.#absent = 0;
  }

  #enter(endpoint: Endpoint): Owner {
    this.inFlight += endpoint.stats.inFlight;
    let owner = this.#owners.get(endpoint.key);
    if (owner === undefined) {
      owner = { endpoint, slot: this.#free.pop() ?? this.#bySlot.length, isIn: true, isForgotten: false };
      this.#owners.set(endpoint.key, owner);
      this.#bySlot[owner.slot] = owner;
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
  readonly slot: number;
  isIn: boolean;
  isForgotten: boolean;
}

/** Sorted by hash. */
interface Points {
  readonly hashes: Uint32Array;
  /** Whose each is, by its owner's slot. */
  readonly slots: Uint32Array;
}

const noPoints: Points = { hashes: new Uint32Array(0), slots: new Uint32Array(0) };

/** The hash at a place; beyond the end it goes on at the beginning, one turn later, and ends after the second one. */
function pointAt(hashes: Uint32Array, place: number): number {
  const { length } = hashes;
  if (place < length) return hashes[place]!;
  return place - length < length ? hashes[place - length]! + 0x100000000 : Infinity;
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
    hashes: order.map((point) => hashes[point]!),
    slots: order.map((point) => owners[Math.floor(point / nodes)]!.slot),
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

/** Both in one; of equal hashes those of `a` stand first. What lies between two points of the smaller one is copied as a block. */
function merged(a: Points, b: Points): Points {
  if (a.hashes.length === 0) return b;
  const hashes = new Uint32Array(a.hashes.length + b.hashes.length);
  const slots = new Uint32Array(hashes.length);
  let from = 0;
  for (let index = 0; index < b.hashes.length; index++) {
    const hash = b.hashes[index]!;
    const to = firstAbove(a.hashes, hash, from);
    hashes.set(a.hashes.subarray(from, to), from + index);
    slots.set(a.slots.subarray(from, to), from + index);
    hashes[to + index] = hash;
    slots[to + index] = b.slots[index]!;
    from = to;
  }
  hashes.set(a.hashes.subarray(from), from + b.hashes.length);
  slots.set(a.slots.subarray(from), from + b.hashes.length);
  return { hashes, slots };
}

/** The first place from `from` on with a hash above this one: in steps that double, because it isn't far as a rule. */
function firstAbove(hashes: Uint32Array, hash: number, from: number): number {
  let step = 1;
  let low = from;
  while (low + step <= hashes.length && hashes[low + step - 1]! <= hash) {
    low += step;
    step *= 2;
  }
  let high = Math.min(hashes.length, low + step);
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (hashes[middle]! <= hash) low = middle + 1;
    else high = middle;
  }
  return low;
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
