/**
 * A running hash over everything that happens, in order: two 32-bit words, each mixed with its own constants. Not
 * cryptographic; made to notice the slightest difference between two runs at a few nanoseconds an event.
 */
export class Digest {
  #a = 0x243f6a88;
  #b = 0x85a308d3 | 0;

  /** Mixes in one event. All four are integers; `tick` may be up to 2^53. */
  event(tick: number, kind: number, node: number, payload: number): void {
    const where = Math.imul(kind, 0x9e3779b1) ^ node;
    let a = Math.imul(this.#a ^ tick, 0x85ebca6b);
    let b = Math.imul(this.#b ^ where, 0xc2b2ae35);
    a = ((a << 13) | (a >>> 19)) ^ where;
    b = ((b << 15) | (b >>> 17)) ^ tick;
    a = Math.imul(a ^ payload, 0x27d4eb2f);
    b = Math.imul(b ^ payload, 0x165667b1);
    // Each word takes in the other, and what lies above the lower 32 bits of the tick.
    this.#a = (a ^ (a >>> 15)) + b;
    this.#b = (b ^ (b >>> 13)) + this.#a + (tick > 0xffffffff ? Math.floor(tick / 0x100000000) : 0);
    this.#a |= 0;
    this.#b |= 0;
  }

  /** 16 hexadecimal digits. */
  toString(): string {
    return hex(this.#a) + hex(this.#b);
  }
}

/** A 32-bit hash of a value as it crosses the network: of content, never of identity. */
export function hashValue(value: unknown, seed = 0): number {
  switch (typeof value) {
    case "string":
      return hashText(value, seed);
    case "number":
      return hashNumber(value, seed);
    case "boolean":
      return Math.imul(seed ^ (value ? 1 : 2), 0x85ebca6b);
    case "bigint":
      return hashText(String(value), seed);
    case "object":
      return value === null ? Math.imul(seed ^ 3, 0x85ebca6b) : hashObject(value, seed);
    case "undefined":
    case "function":
    case "symbol":
      return Math.imul(seed ^ 4, 0x85ebca6b);
  }
}

function hashObject(value: object, seed: number): number {
  let hash = seed;
  if (value instanceof Uint8Array) {
    for (const byte of value) hash = Math.imul(hash ^ byte, 0x01000193);
  } else if (Array.isArray(value)) {
    hash = Math.imul(hash ^ value.length, 0x85ebca6b);
    for (const item of value) hash = hashValue(item, hash);
  } else if (value instanceof Map) {
    for (const [key, item] of value) hash = hashValue(item, hashValue(key, hash));
  } else {
    // Every property counts, in the order of the schema; names are left out, the order stands for them.
    const fields = value as Readonly<Record<string, unknown>>;
    for (const name in fields) hash = (hashValue(fields[name], hash) + 0x9e3779b9) | 0;
  }
  return hash;
}

function hashText(text: string, seed: number): number {
  let hash = Math.imul(seed ^ text.length, 0x85ebca6b);
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  return hash ^ (hash >>> 15);
}

const bits = new DataView(new ArrayBuffer(8));

function hashNumber(value: number, seed: number): number {
  if ((value | 0) === value) return Math.imul(seed ^ value, 0x85ebca6b) ^ (seed >>> 13);
  bits.setFloat64(0, value);
  return Math.imul(Math.imul(seed ^ bits.getInt32(0), 0x85ebca6b) ^ bits.getInt32(4), 0xc2b2ae35);
}

function hex(word: number): string {
  return (word >>> 0).toString(16).padStart(8, "0");
}
