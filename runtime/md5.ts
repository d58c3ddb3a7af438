/** MD5 (RFC 1321) of the text's UTF-8 bytes, as its four words in little-endian order. For placing keys as others do, never for secrets. */
export function md5(text: string): readonly [number, number, number, number] {
  const bytes = new TextEncoder().encode(text);
  const blocks = ((bytes.length + 8) >> 6) + 1;
  const message = new Uint32Array(blocks * 16);
  for (let index = 0; index < bytes.length; index++) message[index >> 2]! |= bytes[index]! << ((index & 3) << 3);
  message[bytes.length >> 2]! |= 0x80 << ((bytes.length & 3) << 3);
  message[blocks * 16 - 2] = bytes.length << 3;
  message[blocks * 16 - 1] = Math.floor(bytes.length / 0x20000000);
  let [a, b, c, d] = [0x67452301, 0xefcdab89 | 0, 0x98badcfe | 0, 0x10325476];
  for (let block = 0; block < message.length; block += 16) {
    let [w, x, y, z] = [a, b, c, d];
    for (let step = 0; step < 64; step++) {
      const round = step >> 4;
      let mixed: number;
      let word: number;
      if (round === 0) [mixed, word] = [(x & y) | (~x & z), step];
      else if (round === 1) [mixed, word] = [(x & z) | (y & ~z), (5 * step + 1) & 15];
      else if (round === 2) [mixed, word] = [x ^ y ^ z, (3 * step + 5) & 15];
      else [mixed, word] = [y ^ (x | ~z), (7 * step) & 15];
      const sum = (w + mixed + sines[step]! + message[block + word]!) | 0;
      const by = shifts[round * 4 + (step & 3)]!;
      [w, z, y, x] = [z, y, x, (x + ((sum << by) | (sum >>> (32 - by)))) | 0];
    }
    [a, b, c, d] = [(a + w) | 0, (b + x) | 0, (c + y) | 0, (d + z) | 0];
  }
  return [a >>> 0, b >>> 0, c >>> 0, d >>> 0];
}

const shifts = [7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21];

/** floor(2^32 · |sin(i + 1)|), as the RFC lists them. */
const sines = new Uint32Array([
  0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501, 0x698098d8,
  0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821, 0xf61e2562, 0xc040b340,
  0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8, 0x21e1cde6, 0xc33707d6, 0xf4d50d87,
  0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a, 0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c,
  0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70, 0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039,
  0xe6db99e5, 0x1fa27cf8, 0xc4ac5665, 0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92,
  0xffeff47d, 0x85845dd1, 0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb,
  0xeb86d391,
]);
