import { parse as parseYaml } from "yaml";

import { RuleError, type RuleErrorCode } from "../../runtime/configuration/document.ts";
import { overrideRules, type OverrideRule } from "../../runtime/configuration/override.ts";
import { affinity, type AffinityRule } from "../../runtime/routing/affinity.ts";
import { canary, type CanaryRule } from "../../runtime/routing/canary.ts";
import { condition, type ConditionRule } from "../../runtime/routing/condition.ts";
import { tag, type TagRule } from "../../runtime/routing/tag.ts";
import { PreflightError } from "./error.ts";

/** A rule document, and the key under which it is, or would be, in the config centre. */
export interface RuleDocument {
  /** Where it was read: "rules/orders.condition-router.yaml". */
  readonly source: string;
  /** "orders.condition-router" */
  readonly key: string;
  /** What it is about: "orders", "flyball.worker.v1.Worker::orders". */
  readonly scope: string;
  readonly content: string;
  readonly rule: ReadRule;
  /** The document as plain values: for what is or isn't said in it. Empty for one that can't be read. */
  readonly said: Readonly<Record<string, unknown>>;
}

export type ReadRule =
  | { readonly kind: "condition"; readonly rule: ConditionRule }
  | { readonly kind: "affinity"; readonly rule: AffinityRule }
  | { readonly kind: "tag"; readonly rule: TagRule }
  | { readonly kind: "canary"; readonly rule: CanaryRule }
  | { readonly kind: "override"; readonly rule: OverrideRule }
  | {
      readonly kind: "malformed";
      readonly code: RuleErrorCode;
      readonly line: number;
      readonly reason: string;
      readonly hint: string | undefined;
    }
  /** One of Dubbo's kinds that Flyball doesn't have. */
  | { readonly kind: "unread"; readonly what: string };

const kinds: readonly {
  readonly suffix: string;
  /** The field that only this kind of document has. Undefined: it has to be named as its key. */
  readonly field?: string;
  readonly read: (content: string) => ReadRule;
}[] = [
  {
    suffix: ".condition-router",
    field: "conditions",
    read: (content) => ({ kind: "condition", rule: condition.parse(content) }),
  },
  {
    suffix: ".affinity-router",
    field: "affinityAware",
    read: (content) => ({ kind: "affinity", rule: affinity.parse(content) }),
  },
  { suffix: ".tag-router", field: "tags", read: (content) => ({ kind: "tag", rule: tag.parse(content) }) },
  { suffix: ".canary-router", field: "split", read: (content) => ({ kind: "canary", rule: canary.parse(content) }) },
  {
    suffix: ".configurators",
    field: "configs",
    read: (content) => ({ kind: "override", rule: overrideRules.parse(content) }),
  },
  // Dubbo's, and not ours: a production folder may hold them, and the rest of it is looked at all the same.
  { suffix: ".script-router", field: "script", read: () => ({ kind: "unread", what: "script routers" }) },
  { suffix: ".MESHAPPRULE", read: () => ({ kind: "unread", what: "mesh rules" }) },
];

/**
 * Reads a document. Its key is its file's name ("orders.tag-router.yaml"), else what it says itself: its `key`, and the field that
 * only its kind has. Throws a `PreflightError` UNKNOWN_KIND for a file that could be anything.
 */
export function readRuleDocument(source: string, content: string): RuleDocument {
  const name = (source.split("/").at(-1) ?? "").replace(/\.(ya?ml|json)$/, "");
  const byName = kinds.find(({ suffix }) => name.endsWith(suffix) && name.length > suffix.length);
  const said = byName === undefined || content.length <= 300_000 ? plainly(content) : {};
  const kind = byName ?? kinds.find(({ field }) => field !== undefined && Object.hasOwn(said, field));
  const scope = byName === undefined ? scopeOf(said) : name.slice(0, -byName.suffix.length);
  if (kind === undefined || typeof scope !== "string" || scope === "") {
    throw new PreflightError(`${source}: nothing says where in the config centre this document belongs`, {
      code: "UNKNOWN_KIND",
      hint: `name the file as its key, such as orders${kinds[0]!.suffix}.yaml; there is ${kinds.map(({ suffix }) => suffix).join(", ")}`,
    });
  }
  return { source, key: scope + kind.suffix, scope, content, rule: readRule(kind.read, content), said };
}

/**
 * What a document says of itself: "orders"; of an interface also its version and group, which may be empty and are in its key all the same.
 */
function scopeOf({ key, scope }: Readonly<Record<string, unknown>>): unknown {
  if (scope !== "service" || typeof key !== "string" || !isInterface(key.split(":")[0]!)) return key;
  return key + ":".repeat(Math.max(0, 3 - key.split(":").length));
}

/** "org.apache.demo.OrderService" */
export const isInterface = (name: string): boolean => /^[\w.]+\.[A-Z]\w*$/.test(name);

function readRule(read: (content: string) => ReadRule, content: string): ReadRule {
  try {
    return read(content);
  } catch (error) {
    if (!(error instanceof RuleError)) throw error;
    const reason = error.message.replace(/^line \d+: /, "");
    return { kind: "malformed", code: error.code, line: error.line, reason, hint: error.hint };
  }
}

/** For looking only: what a rule is, its own strict reader decides. */
function plainly(content: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = parseYaml(content, { logLevel: "error", uniqueKeys: false });
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : {};
  } catch {
    return {};
  }
}
