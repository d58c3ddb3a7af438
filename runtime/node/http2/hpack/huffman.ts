import { ConnectionError, errorCodes } from "../errors.ts";

/**
 * RFC 7541 appendix B: the length of each symbol's code in bits, symbols 0 to 255 and the end of a string. The code is canonical: in the
 * order of (length, symbol) each code is the one before plus 1, so that the lengths say it all.
 */
// prettier-ignore
const codeLengths = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
  6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
  15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
  20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
  22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
  26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
  20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
  30,
];
const endOfString = 256;

/**
 * Four bits at a time: a state is an inner node of the code's tree, and a step leads to the next one, past at most one symbol (the
 * shortest code has 5 bits). A step is `next | symbol << 8 | flags`.
 */
const steps = new Uint32Array(256 * 16);
const emits = 1 << 16;
const fails = 1 << 17;
/** States in which a string may end: less than a byte since the last symbol, all of it ones (section 5.2). */
const isEnd = new Uint8Array(256);

type Node = { readonly id: number; readonly next: [Node | number | undefined, Node | number | undefined] };

function build(): void {
  isBuilt = true;
  const nodes: Node[] = [];
  const node = (): Node => {
    const made: Node = { id: nodes.length, next: [undefined, undefined] };
    nodes.push(made);
    return made;
  };
  const root = node();
  const order = codeLengths.map((length, symbol) => ({ length, symbol }));
  order.sort((one, other) => one.length - other.length || one.symbol - other.symbol);
  let code = 0;
  let before = 0;
  for (const { length, symbol } of order) {
    code <<= length - before;
    before = length;
    let at = root;
    for (let bit = length - 1; bit > 0; bit--) {
      const side = ((code >> bit) & 1) as 0 | 1;
      at = (at.next[side] ??= node()) as Node;
    }
    at.next[(code & 1) as 0 | 1] = symbol;
    code++;
  }
  for (const from of nodes) {
    for (let nibble = 0; nibble < 16; nibble++) steps[from.id * 16 + nibble] = step(from, nibble, root);
  }
  let ones: Node | number | undefined = root;
  for (let bits = 0; bits < 8 && typeof ones === "object"; bits++) {
    isEnd[ones.id] = 1;
    ones = ones.next[1];
  }
}

function step(from: Node, nibble: number, root: Node): number {
  let at = from;
  let emitted = 0;
  for (let bit = 3; bit >= 0; bit--) {
    const next = at.next[((nibble >> bit) & 1) as 0 | 1];
    if (next === undefined || next === endOfString) return fails;
    if (typeof next === "number") {
      emitted = emits | (next << 8);
      at = root;
    } else at = next;
  }
  return emitted | at.id;
}

let isBuilt = false;
let scratch = Buffer.allocUnsafe(4096);

/** The text (one character a byte) that these bytes encode. Throws a COMPRESSION_ERROR where they are no Huffman code. */
export function huffmanText(bytes: Buffer, from: number, end: number): string {
  // By the first peer that encodes its texts so: Flyball's own doesn't.
  if (!isBuilt) build();
  const most = ((end - from) * 8) / 5;
  if (most > scratch.length) scratch = Buffer.allocUnsafe(2 * Math.ceil(most));
  let state = 0;
  let length = 0;
  for (let at = from; at < end; at++) {
    const byte = bytes[at]!;
    const first = steps[state * 16 + (byte >> 4)]!;
    if (first & emits) scratch[length++] = (first >> 8) & 0xff;
    const second = steps[(first & 0xff) * 16 + (byte & 15)]!;
    if (second & emits) scratch[length++] = (second >> 8) & 0xff;
    if ((first | second) & fails) throw new ConnectionError("no Huffman code", errorCodes.compressionError);
    state = second & 0xff;
  }
  if (isEnd[state] === 0) throw new ConnectionError("a Huffman code is cut off", errorCodes.compressionError);
  return scratch.toString("latin1", 0, length);
}
