/**
 * Arithmetic whose results are the same bits in every JavaScript engine. `+ - * /` and `Math.sqrt` are exact by IEEE 754;
 * the language leaves `Math.log`, `Math.exp` and `Math.pow` to the engine, so portable rooms take these.
 */

const bits = new Float64Array(1);
const words = new Uint32Array(bits.buffer);
// Which of the two 32-bit words is the upper one depends on the machine.
bits[0] = 1;
const upper = words[1] === 0x3ff00000 ? 1 : 0;

const ln2High = 6.9314718036912381649e-1;
const ln2Low = 1.90821492927058770002e-10;

/** The natural logarithm; -Infinity for 0, NaN below. After FreeBSD's e_log.c (error < 1 ulp). */
export function ln(x: number): number {
  if (x < 0 || x !== x) return NaN;
  if (x === 0) return -Infinity;
  if (x === Infinity) return Infinity;
  let exponent = 0;
  if (x < 2.2250738585072014e-308) {
    x *= 18014398509481984;
    exponent = -54;
  }
  bits[0] = x;
  const high = words[upper]!;
  exponent += (high >>> 20) - 1023;
  const mantissa = high & 0xfffff;
  // Brings the fraction into [sqrt(1/2), sqrt(2)).
  const shift = (mantissa + 0x95f64) & 0x100000;
  words[upper] = mantissa | (shift ^ 0x3ff00000);
  exponent += shift >>> 20;
  const f = bits[0] - 1;
  const s = f / (2 + f);
  const z = s * s;
  const w = z * z;
  const t1 = w * (0.3999999999940941908 + w * (0.2222219843214978396 + w * 0.1531383769920937332));
  const t2 =
    z * (0.666666666666673513 + w * (0.2857142874366239149 + w * (0.1818357216161805012 + w * 0.1479819860511658591)));
  const half = 0.5 * f * f;
  const r = t1 + t2;
  return exponent * ln2High - (half - (s * (half + r) + exponent * ln2Low) - f);
}

/** e^x. After FreeBSD's e_exp.c (error < 1 ulp). */
export function exp(x: number): number {
  if (x !== x) return NaN;
  if (x > 709.782712893383973096) return Infinity;
  if (x < -745.13321910194110842) return 0;
  const k = Math.round(x * 1.442695040888963387);
  const high = x - k * ln2High;
  const low = k * ln2Low;
  const r = high - low;
  const t = r * r;
  const c =
    r -
    t *
      (1.66666666666666019037e-1 +
        t *
          (-2.77777777770155933842e-3 +
            t * (6.61375632143793436117e-5 + t * (-1.6533902205465251539e-6 + t * 4.13813679705723846039e-8))));
  const y = 1 - (low - (r * c) / (2 - c) - high);
  return scale(y, k);
}

/** x^y for x ≥ 0, by e^(y·ln x): relative error about |y·ln x| ulps. */
export function pow(x: number, y: number): number {
  if (y === 0) return 1;
  if (x === 0) return y > 0 ? 0 : Infinity;
  return exp(y * ln(x));
}

/** y·2^k without losing subnormal results. */
function scale(y: number, k: number): number {
  if (k > 1023) return y * 2 * powerOfTwo(k - 1);
  if (k < -1022) return y * powerOfTwo(k + 54) * 5.551115123125783e-17;
  return y * powerOfTwo(k);
}

function powerOfTwo(k: number): number {
  words[upper] = (k + 1023) << 20;
  words[1 - upper] = 0;
  return bits[0]!;
}

/** MurmurHash3 x86 32-bit (Appleby 2011, public domain) of the text's UTF-8 bytes, as an unsigned 32-bit integer. */
export function murmur3(text: string, seed = 0): number {
  // A character is three bytes at most; a text that is longer than most has bytes of its own.
  const bytes = text.length * 3 <= scratch.byteLength ? scratch : new DataView(new ArrayBuffer(text.length * 3));
  const length = encoder.encodeInto(text, bytes === scratch ? scratchBytes : new Uint8Array(bytes.buffer)).written;
  return murmur3OfBytes(bytes, 0, length, seed);
}

/** The same of the bytes from `from` on, without `to`. */
export function murmur3OfBytes(bytes: DataView, from: number, to: number, seed = 0): number {
  const length = to - from;
  const whole = to - (length % 4);
  let hash = seed | 0;
  for (let at = from; at < whole; at += 4) {
    const mixed = hash ^ murmurBlock(bytes.getInt32(at, true));
    hash = (Math.imul((mixed << 13) | (mixed >>> 19), 5) + 0xe6546b64) | 0;
  }
  let last = 0;
  for (let at = whole; at < to; at++) last |= bytes.getUint8(at) << ((at - whole) * 8);
  if (whole < to) hash ^= murmurBlock(last);
  return mix(hash ^ length) >>> 0;
}

const encoder = new TextEncoder();
const scratchBytes = new Uint8Array(16 * 1024);
const scratch = new DataView(scratchBytes.buffer);

function murmurBlock(block: number): number {
  const k = Math.imul(block, 0xcc9e2d51);
  return Math.imul((k << 15) | (k >>> 17), 0x1b873593);
}

/** MurmurHash3's finalizer: every bit of the input changes half of the output's. */
export function mix(hash: number): number {
  hash ^= hash >>> 16;
  hash = Math.imul(hash, 0x85ebca6b);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
