/**
 * Something that is due at a tick. It is its own list node: scheduling allocates nothing. Extend it; `Wheel` owns the fields.
 */
export class Scheduled {
  /** A whole number of microseconds. */
  tick = 0;
  /** Where the wheel keeps it; -1 while it isn't scheduled. */
  slot = -1;
  next: Scheduled = this;
  previous: Scheduled = this;
}

const levelBits = 10;
const slotsPerLevel = 1024;
const mask = slotsPerLevel - 1;
/** Ticks that the three levels cover together: about 18 minutes. What is due later waits in one unsorted list. */
const horizon = 0x40000000;
const overflowSlot = 3 * slotsPerLevel;

/**
 * What is to happen later, in the order of (tick, insertion): a hierarchical timing wheel (Varghese, Lauck 1987) of three levels
 * with 1,024 slots each. Insertion and cancelling are O(1); a bitmap over the slots skips empty ones.
 *
 * A slot of a higher level is spread over the level below when its window begins, in list order and before anything can be
 * inserted there directly: so first in is first out within a tick, whatever way the entries took.
 */
export class Wheel<T extends Scheduled> {
  readonly #slots: Scheduled[] = Array.from({ length: overflowSlot + 1 }, () => new Scheduled());
  /** One bit for each slot, and for each 32 of them one in its level's summary. */
  readonly #bits = new Int32Array((3 * slotsPerLevel) / 32);
  readonly #summaries = new Int32Array(3);
  /** Where the 2^30 ticks that the levels cover begin, and how far in the last pop came. */
  #windowStart: number;
  #cursor: number;
  #size = 0;

  /** Nothing is due before `startTick`, an integer. */
  constructor(startTick = 0) {
    this.#cursor = startTick % horizon;
    this.#windowStart = startTick - this.#cursor;
  }

  get size(): number {
    return this.#size;
  }

  /** Schedules an entry that isn't. `tick` is an integer, not before the tick of the last pop. */
  insert(entry: T, tick: number): void {
    entry.tick = tick;
    this.#size++;
    this.#place(entry);
  }

  /** Takes an entry out; false when it isn't scheduled. */
  cancel(entry: T): boolean {
    if (entry.slot < 0) return false;
    this.#unlink(entry);
    this.#size--;
    return true;
  }

  /** Takes out the first entry that is due by then (default: the first of all); undefined when there is none. */
  pop(untilTick = Infinity): T | undefined {
    while (this.#size > 0) {
      const slot = this.#nextSlot(0, this.#cursor & mask);
      if (slot >= 0) {
        const entry = this.#slots[slot]!.next as T;
        if (entry.tick > untilTick) return undefined;
        this.#cursor = (this.#cursor & ~mask) | slot;
        this.#unlink(entry);
        this.#size--;
        return entry;
      }
      if (!this.#advance(untilTick)) return undefined;
    }
    return undefined;
  }

  /** When the first entry is due; Infinity when there is none. Looks through the slot that has it, unless all there are due at once. */
  get firstTick(): number {
    if (this.#size === 0) return Infinity;
    const slot = this.#nextSlot(0, this.#cursor & mask);
    return slot >= 0 ? this.#slots[slot]!.next.tick : this.#firstIn(this.#nextWindow());
  }

  /** The slot of a higher level whose entries come next; the overflow's where no level has any. */
  #nextWindow(): number {
    const middle = this.#nextSlot(1, ((this.#cursor >>> levelBits) & mask) + 1);
    if (middle >= 0) return slotsPerLevel + middle;
    const upper = this.#nextSlot(2, (this.#cursor >>> (2 * levelBits)) + 1);
    return upper >= 0 ? 2 * slotsPerLevel + upper : overflowSlot;
  }

  #firstIn(slot: number): number {
    const head = this.#slots[slot]!;
    let first = Infinity;
    for (let entry = head.next; entry !== head; entry = entry.next) if (entry.tick < first) first = entry.tick;
    return first;
  }

  /** Moves on to the next window that holds anything, and spreads its entries over the levels below; false: it begins after `untilTick`. */
  #advance(untilTick: number): boolean {
    const slot = this.#nextWindow();
    let [start, cursor] = [this.#windowStart, 0];
    if (slot === overflowSlot) {
      const first = this.#firstIn(slot);
      start = first - (first % horizon);
    } else if (slot < 2 * slotsPerLevel) cursor = (this.#cursor & ~0xfffff) | ((slot & mask) << levelBits);
    else cursor = (slot & mask) << (2 * levelBits);
    if (start + cursor > untilTick) return false;
    [this.#windowStart, this.#cursor] = [start, cursor];
    this.#spread(slot);
    return true;
  }

  #spread(slot: number): void {
    const head = this.#slots[slot]!;
    // What stays in the overflow list is appended to it again: stop at the last of today's entries.
    const last = head.previous;
    for (let entry = head.next; ;) {
      const following = entry.next;
      this.#unlink(entry);
      this.#place(entry);
      if (entry === last) return;
      entry = following;
    }
  }

  #place(entry: Scheduled): void {
    const offset = entry.tick - this.#windowStart;
    let slot = overflowSlot;
    if (offset < horizon) {
      const difference = offset ^ this.#cursor;
      if (difference <= mask) slot = offset & mask;
      else if (difference <= 0xfffff) slot = slotsPerLevel + ((offset >>> levelBits) & mask);
      else slot = 2 * slotsPerLevel + (offset >>> (2 * levelBits));
      this.#bits[slot >>> 5]! |= 1 << (slot & 31);
      this.#summaries[slot >>> levelBits]! |= 1 << ((slot >>> 5) & 31);
    }
    entry.slot = slot;
    const head = this.#slots[slot]!;
    const last = head.previous;
    entry.next = head;
    entry.previous = last;
    last.next = entry;
    head.previous = entry;
  }

  #unlink(entry: Scheduled): void {
    const { slot, next, previous } = entry;
    previous.next = next;
    next.previous = previous;
    entry.slot = -1;
    // Links to neighbours would keep them alive as long as this entry.
    entry.next = entry;
    entry.previous = entry;
    if (next !== previous || slot === overflowSlot || next !== this.#slots[slot]) return;
    const word = slot >>> 5;
    this.#bits[word]! &= ~(1 << (slot & 31));
    if (this.#bits[word] === 0) this.#summaries[slot >>> levelBits]! &= ~(1 << (word & 31));
  }

  /** The first used slot of a level from `from` on, counted within the level; -1 when there is none. */
  #nextSlot(level: number, from: number): number {
    if (from > mask) return -1;
    let word = from >>> 5;
    let bits = this.#bits[level * 32 + word]! & (-1 << (from & 31));
    if (bits === 0) {
      // A shift by 32 would be one by 0.
      const words = word === 31 ? 0 : this.#summaries[level]! & (-2 << word);
      if (words === 0) return -1;
      word = lowestBit(words);
      bits = this.#bits[level * 32 + word]!;
    }
    return word * 32 + lowestBit(bits);
  }
}

function lowestBit(bits: number): number {
  return 31 - Math.clz32(bits & -bits);
}
