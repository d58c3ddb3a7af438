const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const values = new Map([...alphabet].map((character, value) => [character, value]));
const codes = new TextEncoder().encode(alphabet);
const padding = "=".charCodeAt(0);
const decoder = new TextDecoder();
const scratch = new Uint8Array(16 * 1024);

/** Base64 with padding (RFC 4648 section 4), the same in every engine. */
export function toBase64(bytes: Uint8Array): string {
  // Written as bytes and read at once: a text that grows by a few characters at a time costs several times as much.
  const length = Math.ceil(bytes.length / 3) * 4;
  const text = length <= scratch.length ? scratch.subarray(0, length) : new Uint8Array(length);
  const left = bytes.length % 3;
  const whole = bytes.length - left;
  for (let from = 0, to = 0; from < whole; from += 3, to += 4) {
    const bits = (bytes[from]! << 16) | (bytes[from + 1]! << 8) | bytes[from + 2]!;
    text[to] = codes[bits >> 18]!;
    text[to + 1] = codes[(bits >> 12) & 63]!;
    text[to + 2] = codes[(bits >> 6) & 63]!;
    text[to + 3] = codes[bits & 63]!;
  }
  if (left > 0) {
    const bits = (bytes[whole]! << 16) | ((bytes[whole + 1] ?? 0) << 8);
    const last = [
      codes[bits >> 18]!,
      codes[(bits >> 12) & 63]!,
      left === 2 ? codes[(bits >> 6) & 63]! : padding,
      padding,
    ];
    text.set(last, length - 4);
  }
  return decoder.decode(text);
}

/** Throws for what is no base64. */
export function fromBase64(text: string): Uint8Array {
  if (text.length % 4 !== 0) throw new Error("base64 comes in fours");
  const missing = text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0;
  const bytes = new Uint8Array((text.length / 4) * 3 - missing);
  let bits = 0;
  let gathered = 0;
  let at = 0;
  for (let index = 0; index < text.length - missing; index++) {
    const value = values.get(text[index]!);
    if (value === undefined) throw new Error(`"${text[index]}" is no character of base64`);
    gathered = ((gathered << 6) | value) & 0xffffff;
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    bytes[at++] = (gathered >> bits) & 0xff;
  }
  return bytes;
}
