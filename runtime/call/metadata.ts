/**
 * What travels beside a message: lower-case keys, text values. As on gRPC's wire a key that ends in `-bin` holds base64, and a
 * repeated key's values are joined by ",".
 */
export type Metadata = ReadonlyMap<string, string>;

export const noMetadata: Metadata = new Map();

/** Metadata from a plain object; keys become lower-case. */
export function metadata(entries: Readonly<Record<string, string>>): Metadata {
  return new Map(Object.entries(entries).map(([key, value]) => [key.toLowerCase(), value]));
}
