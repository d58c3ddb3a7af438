import type { Call } from "./call.ts";

/**
 * An argument of a call as text, for rules and balancers that read it. What Dubbo calls arguments is one here, the request message:
 * "0" is all of it, and "0.user.id" a field of it by its local (camelCase) names; Dubbo knows only whole arguments, the rest is
 * Flyball's. Texts, numbers and Booleans are as they are, bytes and messages as JSON writes them. Undefined when there is no such
 * argument or field.
 */
export function argumentOf(call: Call, path: string): string | undefined {
  const [index, ...fields] = path.split(".");
  if (index !== "0") return undefined;
  let value = call.request;
  for (const field of fields) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, field)) return undefined;
    value = (value as Readonly<Record<string, unknown>>)[field];
  }
  return textOf(value);
}

/** A value as an argument is read. */
export function textOf(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  if (typeof value === "number" || typeof value === "boolean" || typeof value === "bigint") return String(value);
  return typeof value === "object" && value !== null ? JSON.stringify(value, plain) : undefined;
}

/** Without what only the library needs ("$typeName", "$unknown"); what JSON lacks becomes text. */
function plain(key: string, value: unknown): unknown {
  if (key.startsWith("$")) return undefined;
  if (typeof value === "bigint") return String(value);
  return value instanceof Uint8Array ? [...value] : value;
}
