import { trimBlanks } from "../../blanks.ts";
import { nameForm, valueTrouble } from "./field-form.ts";
import type { Fields } from "./hpack/field-list.ts";

/** What a field section is the beginning or the end of. */
export type FieldsRole = "request" | "response" | "trailers";

/**
 * Why a field section is malformed (RFC 9113 sections 8.2 and 8.3), which ends its stream with a PROTOCOL_ERROR; undefined where it is
 * well-formed. Answered once for each section, because the decoder hands out the same one for the same bytes.
 */
export function troubleOf(fields: Fields, role: FieldsRole): string | undefined {
  if (fields.checked?.role !== role) fields.checked = { role, trouble: check(fields, role) };
  return fields.checked.trouble;
}

/** Section 8.3: how often each may come; those that aren't here may not. */
const pseudo: Readonly<Record<FieldsRole, readonly string[]>> = {
  request: [":method", ":scheme", ":path"],
  response: [":status"],
  trailers: [],
};
const optional = ":authority";

/** Section 8.2.2: what belongs to a connection of HTTP/1.1. */
export const ofConnections: ReadonlySet<string> = new Set([
  "connection",
  "proxy-connection",
  "keep-alive",
  "transfer-encoding",
  "upgrade",
]);

function check({ list, isWellFormed = false }: Fields, role: FieldsRole): string | undefined {
  const wanted = pseudo[role];
  let found = 0;
  let hasAuthority = false;
  let isPseudo = true;
  for (let at = 0; at < list.length; at += 2) {
    const name = list[at]!;
    const value = list[at + 1]!;
    if (!isWellFormed) {
      if (!nameForm.test(name)) return "a field name that is none";
      if (valueTrouble.test(value)) return `a value of ${name} that is none`;
    }
    if (name.charCodeAt(0) !== colon) {
      isPseudo = false;
      if (ofConnections.has(name)) return `${name} doesn't belong in HTTP/2`;
      if (name === "te" && value !== "trailers") return `te: ${value}`;
      continue;
    }
    if (!isPseudo) return `${name} after other fields`;
    if (name === optional && role === "request" && !hasAuthority) {
      hasAuthority = true;
      continue;
    }
    const bit = 1 << wanted.indexOf(name);
    if (!wanted.includes(name)) return `${name} has no place in ${role}`;
    if (found & bit) return `${name} twice`;
    if (value === "") return `${name} is empty`;
    found |= bit;
  }
  return found === (1 << wanted.length) - 1 ? undefined : `not all of ${wanted.join(", ")}`;
}

const colon = 0x3a;

/**
 * A response's or trailers' fields without spaces at the edges of their values. Section 8.2.1 has them malformed, but gRPC's encoding of a
 * message leaves spaces as they are, and grpc-go sends them: the whole status would be lost for one. Requests are taken at their word.
 */
export function trimValues(fields: Fields): Fields {
  if (fields.isWellFormed === true) return fields;
  const trim = (text: string, at: number): string => (at % 2 === 1 ? trimBlanks(text) : text);
  return { list: fields.list.map(trim), isTooLarge: fields.isTooLarge };
}

/** The value of the first field of this name. */
export function valueOf(list: readonly string[], name: string): string | undefined {
  for (let at = 0; at < list.length; at += 2) if (list[at] === name) return list[at + 1];
  return undefined;
}
