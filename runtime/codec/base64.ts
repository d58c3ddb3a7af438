const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const values = new Map([...alphabet].map((character, value) => [character, value]));

/** Two characters for each 12 bits: half the steps. */
const pairs = Array.from({ length: 4096 }, (_, bits) => alphabet[bits >> 6]! + alphabet[bits & 63]!);

/** Base64 with padding (RFC 4648 section 4), the same in every engine. */
export function toBase64(bytes: Uint8Array): string {
  let text = "";
  const whole = bytes.length - (bytes.length % 3);
  for (let at = 0; at < whole; at += 3) {
    const bits = (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!;
    text += pairs[bits >> 12]! + pairs[bits & 0xfff]!;
  }
  const left = bytes.length - whole;
  if (left === 1) text += `${pairs[bytes[whole]! << 4]!}==`;
  if (left === 2) {
    const bits = (bytes[whole]! << 16) | (bytes[whole + 1]! << 8);
    text += `${pairs[bits >> 12]!}${alphabet[(bits >> 6) & 63]!}=`;
  }
  return text;
}

/** Throws for what is no base64. */
export function fromBase64(text: string): Uint8Array {
  if (text.length % 4 !== 0) throw new Error("base64 comes in fours");
  const padding = text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0;
  const bytes = new Uint8Array((text.length / 4) * 3 - padding);
  let bits = 0;
  let gathered = 0;
  let at = 0;
  for (let index = 0; index < text.length - padding; index++) {
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
