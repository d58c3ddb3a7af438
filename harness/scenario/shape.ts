import type { z } from "zod";

/** A schema as it is walked: what zod keeps of it (zod 4 documents `_zod.def` for libraries that introspect). */
type Schema = z.core.$ZodType;
type Def = z.core.$ZodTypes["_zod"]["def"];

export type Key = string | number;

/** What a schema allows at one place of a value. */
export interface Place {
  /** The keys that an object may have here; undefined where names are free (a record) or counted (an array). */
  readonly keys: readonly string[] | undefined;
  readonly isArray: boolean;
  /** A record: any name is a key. */
  readonly isRecord: boolean;
  /** Whether values here have keys of their own. */
  readonly hasKeys: boolean;
  /** May be left out. */
  readonly isOptional: boolean;
  /** Whether a value is allowed here. */
  accepts(value: unknown): boolean;
  /** The place one step down; undefined where there is no such key. `value` is what is there now, if anything. */
  child(key: Key, value: unknown): Place | undefined;
}

/** The place at the top of a schema. `value` chooses between the alternatives of a union: those that it could be. */
export function placeOf(schema: Schema, value: unknown): Place {
  const alternatives = alternativesOf(schema, value).map((alternative) => ({ alternative, def: defOf(alternative) }));
  const shapes = alternatives.flatMap(({ def }) => (def.type === "object" ? [def.shape] : []));
  const isArray = alternatives.some(({ def }) => def.type === "array");
  const isRecord = alternatives.some(({ def }) => def.type === "record");
  return {
    keys: shapes.length === 0 ? undefined : [...new Set(shapes.flatMap((shape) => Object.keys(shape)))],
    isArray,
    isRecord,
    hasKeys: shapes.length > 0 || isArray || isRecord,
    isOptional: defOf(schema).type === "optional" || defOf(schema).type === "default",
    accepts: (candidate) => (schema as z.ZodType).safeParse(candidate).success,
    child: (key, inner) => {
      for (const { def } of alternatives) {
        const found = childOf(def, key);
        if (found !== undefined) return placeOf(found, inner);
      }
      return undefined;
    },
  };
}

function childOf(def: Def, key: Key): Schema | undefined {
  if (def.type === "object") return Object.hasOwn(def.shape, key) ? def.shape[key] : undefined;
  if (def.type === "array") return /^\d+$/.test(String(key)) ? def.element : undefined;
  return def.type === "record" ? def.valueType : undefined;
}

function alternativesOf(schema: Schema, value: unknown): readonly Schema[] {
  const def = defOf(schema);
  if (def.type === "optional" || def.type === "default") return alternativesOf(def.innerType, value);
  if (def.type !== "union") return [schema];
  const options = def.options.flatMap((option) => alternativesOf(option, value));
  if (typeof value !== "object" || value === null) return options;
  const possible = options.filter((option) => couldBe(option, value));
  return possible.length === 0 ? options : possible;
}

/** An object with none of an alternative's keys, or another `kind`, isn't meant to be it. */
function couldBe(schema: Schema, value: object): boolean {
  const def = defOf(schema);
  if (def.type === "array") return Array.isArray(value);
  if (def.type !== "object") return def.type === "record";
  const entries = Object.entries(value) as [string, unknown][];
  if (entries.length > 0 && !entries.some(([key]) => Object.hasOwn(def.shape, key))) return false;
  return entries.every(([key, inner]) => {
    const field = def.shape[key];
    const fieldDef = field === undefined ? undefined : defOf(field);
    return fieldDef?.type !== "literal" || (fieldDef.values as readonly unknown[]).includes(inner);
  });
}

const defOf = (schema: Schema): Def => (schema as z.core.$ZodTypes)._zod.def;

/** What a value has at a path; undefined where it has nothing. */
export function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  let found = value;
  for (const key of path) {
    if (typeof found !== "object" || found === null || !Object.hasOwn(found, key)) return undefined;
    found = (found as Record<PropertyKey, unknown>)[key];
  }
  return found;
}

/** The place at a path of a value; undefined where the schema has none. */
export function placeAt(schema: Schema, value: unknown, path: readonly PropertyKey[]): Place | undefined {
  let place: Place | undefined = placeOf(schema, value);
  for (const [index, key] of path.entries()) {
    place = place.child(key as Key, valueAt(value, path.slice(0, index + 1)));
    if (place === undefined) return undefined;
  }
  return place;
}
