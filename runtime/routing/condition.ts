import type { Call } from "../call/call.ts";
import { readDocument, type Field } from "../configuration/document.ts";
import { parseExpression, termMatcher, type Expression } from "../configuration/expression.ts";
import type { Endpoint } from "../discovery/endpoint.ts";
import { mix } from "../numbers.ts";
import { scopedKeys, type RouteContext, type RouterPolicy, type RouteTarget } from "./router.ts";
import { callerValues, callKey, callValue, instanceValue } from "./sides.ts";
import { subset } from "./subset.ts";

/** Which calls may go to which instances. */
export interface ConditionRule {
  readonly version: "v3.0" | "v3.1";
  readonly enabled: boolean;
  /** A document says `runtime: false`: kept for `preflight`; as in Dubbo 3 each call is looked at all the same. */
  readonly runtime: boolean;
  /** In the order in which they are applied. */
  readonly conditions: readonly Condition[];
}

export interface Condition {
  /** Where it stands in its document. */
  readonly line: number;
  readonly text: string;
  /** The calls that are meant; no terms: all of them. */
  readonly from: Expression;
  /** Where they go; none: nowhere. */
  readonly to: readonly Destination[];
  /** Nobody fits: the call gets nobody (true), or the condition is passed over. */
  readonly force: boolean;
  /** v3.1: a destination counts only when it is more than this percentage of the candidates. */
  readonly ratio: number | undefined;
}

export interface Destination {
  readonly line: number;
  readonly match: Expression;
  readonly weight: number;
}

/** Larger weights say nothing more. */
export const destinationWeightMax = 1_000_000;
/** Endpoints in the lists that one compiled rule keeps: a bound on what a document of many conditions can take. */
const keptMax = 4_000_000;

/**
 * Condition routing as in Dubbo 3.3, `{interface:version:group | provider's application | caller's application}.condition-router`.
 *
 * The left side (`from`) asks about the call (`method`, `arguments[0]`, `attachments[k]`) and its caller (host, application, any
 * label), the right side (`to`) about each instance (host, port, address, any label). The conditions of a document are applied one
 * after the other, each to what the one before has left; the documents likewise, the narrowest scope first. How sides are written:
 * `Expression`. A field of the request message, `arguments[0].user.id`, and `instance` are Flyball's own.
 *
 *     configVersion: v3.0
 *     scope: service               # service | application
 *     key: flyball.worker.v1.Worker::orders
 *     enabled: true                # default
 *     force: false                 # default; nobody fits: true leaves nobody, false ignores the condition
 *     runtime: true                # default
 *     conditions:
 *       - method=get* & attachments[gray]=true => env=gray
 *       - => host != 172.22.3.91
 *       - application=crawler =>   # nothing on the right: nobody, whatever `force` says
 *
 * v3.1 splits between destinations. Conditions of a higher `priority` come first. Of the destinations that have instances one is
 * drawn by weight, once for each call: its retries stay there. It is taken when it is more than `ratio` % of the candidates, else
 * the call gets nobody.
 *
 *     configVersion: v3.1
 *     conditions:
 *       - priority: 10             # default 0
 *         from: { match: "env=gray & method=get*" }
 *         to: [ { match: "region=hangzhou", weight: 40 }, { match: "region=beijing", weight: 60 } ]   # default 100
 *         trafficDisable: false    # default; true, or no `to`: nobody
 *         ratio: 20                # default 0
 *         force: false             # default; the document's `force` counts as well
 */
export const condition: RouterPolicy<ConditionRule> = {
  keys: (target) => scopedKeys(target, "condition-router"),
  parse: readConditionRule,
  compile: (rules, endpoints, context) => {
    const conditions = rules.flatMap((rule) => (rule.enabled ? rule.conditions : []));
    if (conditions.length === 0) return () => endpoints;
    const steps = new Steps(conditions, context);
    return (call) => steps.narrow(call, endpoints);
  },
};

/** The conditions of all documents over one snapshot. */
class Steps {
  readonly #steps: readonly Step[];
  readonly #seed: number;
  #kept = 0;

  constructor(conditions: readonly Condition[], context: RouteContext) {
    this.#seed = context.seed;
    this.#steps = conditions.map((one, index) => stepOf(one, index, context.target));
  }

  narrow(call: Call, endpoints: readonly Endpoint[]): readonly Endpoint[] {
    let candidates = endpoints;
    for (const step of this.#steps) {
      if (candidates.length === 0) break;
      if (step.isMeant(call)) candidates = this.#outcome(step, candidates).choose(call, this.#seed);
    }
    return candidates;
  }

  #outcome(step: Step, candidates: readonly Endpoint[]): Outcome {
    let outcome = step.outcomes.get(candidates);
    if (outcome === undefined) {
      outcome = step.outcomeOf(candidates);
      // Which conditions meet each other depends on the calls: too many combinations are worked out again, not kept.
      if (this.#kept > keptMax) {
        for (const { outcomes } of this.#steps) outcomes.clear();
        this.#kept = 0;
      }
      this.#kept += outcome.size + 1;
      step.outcomes.set(candidates, outcome);
    }
    return outcome;
  }
}

interface Step {
  readonly isMeant: (call: Call) => boolean;
  readonly outcomeOf: (candidates: readonly Endpoint[]) => Outcome;
  readonly outcomes: Map<readonly Endpoint[], Outcome>;
}

/** What a condition makes of one list of candidates. */
interface Outcome {
  /** Endpoints in its lists. */
  readonly size: number;
  choose(call: Call, seed: number): readonly Endpoint[];
}

function stepOf(one: Condition, index: number, target: RouteTarget): Step {
  const destinations = one.to.map(({ match, weight }) => ({ fits: instanceMatcher(match, target), weight }));
  return {
    isMeant: callMatcher(one.from, target),
    outcomes: new Map(),
    outcomeOf: (candidates) => {
      if (destinations.length === 0) return certain(nobody);
      const able: { readonly endpoints: readonly Endpoint[]; readonly end: number }[] = [];
      let sum = 0;
      for (const { fits, weight } of destinations) {
        const endpoints = weight === 0 ? nobody : subset(candidates, fits);
        if (endpoints.length === 0) continue;
        sum += weight;
        const isEnough =
          one.ratio === undefined || Math.floor((endpoints.length * 100) / candidates.length) > one.ratio;
        able.push({ endpoints: isEnough ? endpoints : nobody, end: sum });
      }
      const [first] = able;
      if (first === undefined) return certain(one.force ? nobody : candidates);
      if (able.length === 1) return certain(first.endpoints);
      const salt = mix(index + 1);
      return {
        size: able.reduce((size, { endpoints }) => size + endpoints.length, 0),
        choose: ({ id }, seed) => {
          // As good as a die, and a retry finds the same number again.
          const draw = ((mix(seed ^ salt ^ mix(id)) >>> 0) / 0x100000000) * sum;
          for (const { endpoints, end } of able) if (draw < end) return endpoints;
          return first.endpoints;
        },
      };
    },
  };
}

/** For all conditions the same list: pickers are kept by it. */
const nobody: readonly Endpoint[] = [];

const certain = (endpoints: readonly Endpoint[]): Outcome => ({ size: endpoints.length, choose: () => endpoints });

/** Whether a left side means a call. What it asks of the caller is decided here, once. */
export function callMatcher({ terms }: Expression, target: RouteTarget): (call: Call) => boolean {
  const caller = callerValues(target);
  const asked: ((call: Call) => boolean)[] = [];
  for (const term of terms) {
    const key = callKey(term.key);
    const matches = termMatcher(term);
    if (key !== undefined) asked.push((call) => matches(callValue(call, key)));
    else if (!matches(caller(term.key))) return () => false;
  }
  const [first, second] = asked;
  if (first === undefined) return () => true;
  if (second === undefined) return first;
  return (call) => asked.every((matches) => matches(call));
}

/** Whether a right side means an instance. */
export function instanceMatcher({ terms }: Expression, target: RouteTarget): (endpoint: Endpoint) => boolean {
  const caller = callerValues(target);
  const { service, interfaceName } = target;
  const asked = terms.map((term) => ({ key: term.key, matches: termMatcher(term, caller) }));
  return (endpoint) => asked.every(({ key, matches }) => matches(instanceValue(endpoint, key, service, interfaceName)));
}

function readConditionRule(content: string): ConditionRule {
  const document = readDocument(content);
  const fields = document.fields(
    ...["configVersion", "scope", "key", "enabled", "force", "runtime", "priority", "conditions", "dynamic", "valid"],
  );
  const version = fields["configVersion"]?.oneOf("v3.0", "v3.1") ?? "v3.0";
  fields["scope"]?.oneOf("service", "application");
  fields["key"]?.label();
  // Between documents the order is that of their scopes; Dubbo reads this, and no longer uses it.
  fields["priority"]?.integer({ min: -1_000_000, max: 1_000_000 });
  fields["dynamic"]?.boolean();
  const isValid = fields["valid"]?.boolean() ?? true;
  const force = fields["force"]?.boolean() ?? false;
  const list = document.required(fields, "conditions").list();
  return {
    version,
    enabled: isValid && (fields["enabled"]?.boolean() ?? true),
    runtime: fields["runtime"]?.boolean() ?? true,
    conditions:
      version === "v3.0"
        ? list.map((field) => readCondition(field, force))
        : byPriority(list.map((field) => readSplit(field, force))),
  };
}

/** "from => to". Without "=>" the text is a right side, as in Dubbo. */
function readCondition(field: Field, force: boolean): Condition {
  const { line } = field;
  const text = field.label();
  const arrow = text.indexOf("=>");
  const left = arrow < 0 ? "" : text.slice(0, arrow).trim();
  const right = (arrow < 0 ? text : text.slice(arrow + 2)).trim();
  const from = parseExpression(left === "true" ? "" : left, field);
  const match = right === "" || right === "false" ? undefined : parseExpression(right, field);
  return {
    line,
    text: text.trim(),
    from,
    to: match === undefined ? [] : [{ line, match, weight: 100 }],
    force,
    ratio: undefined,
  };
}

function readSplit(field: Field, force: boolean): Condition & { readonly priority: number } {
  const fields = field.fields("priority", "from", "to", "trafficDisable", "ratio", "force", "disable");
  const left = fields.from?.fields("match").match?.label() ?? "";
  const isDisabled = (fields.trafficDisable ?? fields.disable)?.boolean() ?? false;
  const to = isDisabled ? [] : (fields.to?.list().map(readDestination) ?? []);
  if (to.length > 0 && to.every(({ weight }) => weight === 0)) {
    throw field.error(
      "WRONG_VALUE",
      "every destination has weight 0",
      "give one a weight, or set trafficDisable: true",
    );
  }
  const from = parseExpression(left === "true" ? "" : left, fields.from ?? field);
  const where = to.map(({ match, weight }) => `${match.text === "" ? "all" : match.text} (${weight})`).join(", ");
  return {
    line: field.line,
    text: `${from.text === "" ? "" : `${from.text} `}=> ${where}`.trim(),
    from,
    to,
    force: force || (fields.force?.boolean() ?? false),
    ratio: fields.ratio?.integer({ min: 0, max: 100 }) ?? 0,
    priority: fields.priority?.integer({ min: -1_000_000, max: 1_000_000 }) ?? 0,
  };
}

function readDestination(field: Field): Destination {
  const fields = field.fields("match", "weight");
  return {
    line: field.line,
    match: parseExpression(fields.match?.label() ?? "", fields.match ?? field),
    weight: fields.weight?.integer({ min: 0, max: destinationWeightMax }) ?? 100,
  };
}

/** Of equals the first stays first: sorting is stable. */
function byPriority(conditions: readonly (Condition & { readonly priority: number })[]): readonly Condition[] {
  return conditions.toSorted((a, b) => b.priority - a.priority);
}
