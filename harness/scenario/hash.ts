import { murmur3 } from "../../runtime/numbers.ts";

/** Names a value: equal values have equal hashes whatever the order of their keys. 128 bits in hexadecimal. */
export function hashOf(value: unknown): string {
  const text = canonical(value);
  return [0, 1, 2, 3].map((seed) => murmur3(text, seed).toString(16).padStart(8, "0")).join("");
}

/** JSON with every object's keys in order, after RFC 8785 for the values that a scenario has. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const entries = Object.entries(value).filter(([, inner]) => inner !== undefined);
  entries.sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([key, inner]) => `${JSON.stringify(key)}:${canonical(inner)}`).join(",")}}`;
}
