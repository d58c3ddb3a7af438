/** A set of instances of one service, by their numbers: as cheap as sets of ten thousand must be to meet half a million others. */
export type Bits = Uint32Array;

export const noBits = (size: number): Bits => new Uint32Array(Math.ceil(size / 32));

export function allBits(size: number): Bits {
  const bits = noBits(size).fill(0xffffffff);
  if (size % 32 !== 0) bits[bits.length - 1] = 2 ** (size % 32) - 1;
  return bits;
}

export function addBit(bits: Bits, index: number): void {
  bits[index >>> 5]! |= 1 << (index & 31);
}

export const hasBit = (bits: Bits, index: number): boolean => (bits[index >>> 5]! & (1 << (index & 31))) !== 0;

export function addAll(bits: Bits, more: Bits): void {
  for (let word = 0; word < bits.length; word++) bits[word]! |= more[word]!;
}

export const both = (a: Bits, b: Bits): Bits => a.map((word, index) => word & b[index]!);

export const without = (a: Bits, b: Bits): Bits => a.map((word, index) => word & ~b[index]!);

export function isDisjoint(a: Bits, b: Bits): boolean {
  for (let word = 0; word < a.length; word++) if ((a[word]! & b[word]!) !== 0) return false;
  return true;
}

export function isEmpty(bits: Bits): boolean {
  for (const word of bits) if (word !== 0) return false;
  return true;
}

export function countOf(bits: Bits): number {
  let count = 0;
  for (let word of bits) for (; word !== 0; word &= word - 1) count++;
  return count;
}

/** The numbers in the set, the smallest first, at most so many. */
export function firstOf(bits: Bits, most: number): readonly number[] {
  const found: number[] = [];
  for (let index = 0; index < bits.length * 32 && found.length < most; index++)
    if (hasBit(bits, index)) found.push(index);
  return found;
}
