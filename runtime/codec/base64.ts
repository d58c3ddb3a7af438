const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const values = new Map([...alphabet].map((character, value) => [character, value]));

/** Base64 with padding (RFC 4648 section 4), the same in every engine. */
export function toBase64(bytes: Uint8Array): string {
  const parts: string[] = [];
  for (let at = 0; at < bytes.length; at += 3) {
    const [a, b = 0, c = 0] = [bytes[at]!, bytes[at + 1], bytes[at + 2]];
    const left = bytes.length - at;
    parts.push(
      alphabet[a >> 2]! + alphabet[((a & 3) << 4) | (b >> 4)]!,
      left > 1 ? alphabet[((b & 15) << 2) | (c >> 6)]! : "=",
      left > 2 ? alphabet[c & 63]! : "=",
    );
  }
  return parts.join("");
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
