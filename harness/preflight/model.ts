import {
  patternMatches,
  termMatcher,
  type Expression,
  type Pattern,
  type Term,
  type Values,
} from "../../runtime/configuration/expression.ts";
import { applyOverrides, type OverrideRule } from "../../runtime/configuration/override.ts";
import type { Endpoint } from "../../runtime/discovery/endpoint.ts";
import { affinity, type AffinityRule } from "../../runtime/routing/affinity.ts";
import { chainRoutes } from "../../runtime/routing/chain.ts";
import type { Condition } from "../../runtime/routing/condition.ts";
import type { Route } from "../../runtime/routing/router.ts";
import { callerValues, callKey, instanceValue } from "../../runtime/routing/sides.ts";
import { tag, type TagRule } from "../../runtime/routing/tag.ts";
import { addAll, addBit, allBits, both, countOf, isEmpty, noBits, without, type Bits } from "./bits.ts";
import type { RuleDocument } from "./documents.ts";
import type { Caller, FleetService } from "./fleet.ts";
import { callOf, quickTerms, requestValue, targetOf, type ProbeRequest, type QuickTerm } from "./request.ts";

/** A condition, and where it stands. */
export interface PlacedCondition {
  readonly document: RuleDocument;
  readonly condition: Condition;
  readonly quick: readonly QuickTerm[];
  /** `said`: what its caller says of itself. */
  readonly isMeant: (request: ProbeRequest, said: Values) => boolean;
}

/** The rules that hold for a caller of a service. */
export interface RuleSet {
  readonly overrides: readonly OverrideRule[];
  readonly tags: readonly TagRule[];
  readonly affinities: readonly AffinityRule[];
  readonly conditions: readonly PlacedCondition[];
}

/** Where a request goes: each branch with its share; a branch without instances is a request that gets nobody. */
export interface Outcome {
  readonly branches: readonly Branch[];
  /** What became of each condition that means the request, in order. */
  readonly steps: readonly { readonly placed: PlacedCondition; readonly effect: Effect }[];
}

export interface Branch {
  readonly share: number;
  readonly bits: Bits;
}

/**
 * `narrowed`: instances were taken out, or could have been; `passed-over`: nobody fits, and it isn't forced; `emptied`: nobody fits,
 * or its ratio isn't reached; `denied`: it says so; `too-late`: nobody was left before.
 */
export type Effect = "narrowed" | "passed-over" | "emptied" | "denied" | "too-late";

export function placed(document: RuleDocument, condition: Condition): PlacedCondition {
  const asked = condition.from.terms.map((term) => ({
    key: term.key,
    found: callKey(term.key),
    matches: termMatcher(term),
  }));
  return {
    document,
    condition,
    quick: quickTerms(condition.from),
    isMeant: (request, said) =>
      asked.every(({ key, found, matches }) => matches(requestValue(request, said, key, found))),
  };
}

/** What a caller's conditions begin with. */
interface Ground {
  readonly endpoints: readonly Endpoint[];
  readonly route: Route;
}

/** Splits of splits of one request: more than these are no use to anybody, and the rest counts with the first. */
const branchesMax = 64;

/**
 * One service under rules: what the runtime's routers would answer, worked out over sets of instances so that thousands of requests can
 * be asked about. That it answers as they do is a property that its tests hold.
 */
export class ServiceModel {
  readonly service: FleetService;
  readonly size: number;
  readonly all: Bits;
  readonly #indexes = new Map<string, ReadonlyMap<string, Bits>>();
  readonly #numbers = new Map<string, number>();
  readonly #terms = new Map<Term, Bits>();
  readonly #lists = new Map<readonly Endpoint[], Bits>();
  readonly #grounds = new Map<RuleSet, Map<string, Ground>>();

  constructor(service: FleetService) {
    this.service = service;
    this.size = service.endpoints.length;
    this.all = allBits(this.size);
    service.endpoints.forEach(({ key }, index) => this.#numbers.set(key, index));
  }

  /** The instances that are left by overrides: those that aren't disabled, with the weights that they have then. */
  callable(rules: RuleSet, caller: Caller): readonly Endpoint[] {
    return this.#ground(rules, caller).endpoints;
  }

  #ground(rules: RuleSet, caller: Caller): Ground {
    let byCaller = this.#grounds.get(rules);
    if (byCaller === undefined) this.#grounds.set(rules, (byCaller = new Map<string, Ground>()));
    // Where nothing asks who calls, all callers share one.
    const key = rules.overrides.length + rules.affinities.length === 0 ? "" : JSON.stringify(caller);
    let ground = byCaller.get(key);
    if (ground === undefined) {
      const target = targetOf(this.service, caller);
      const { endpoints } = applyOverrides(this.service.endpoints, rules.overrides, target);
      const routers = [
        { policy: tag, rules: rules.tags },
        { policy: affinity, rules: rules.affinities },
      ];
      ground = { endpoints, route: chainRoutes(routers, endpoints, { seed: 0, target }) };
      byCaller.set(key, ground);
    }
    return ground;
  }

  outcome(request: ProbeRequest, rules: RuleSet): Outcome {
    const target = targetOf(this.service, request.caller);
    const said = callerValues(target);
    const before = this.#ground(rules, request.caller).route(callOf(request, target));
    let branches: readonly Branch[] = [{ share: 1, bits: this.#bitsOfList(before) }];
    const steps: { placed: PlacedCondition; effect: Effect }[] = [];
    for (const one of rules.conditions) {
      if (!one.isMeant(request, said)) continue;
      const effects = new Set<Effect>();
      const next: Branch[] = [];
      for (const branch of branches) next.push(...this.#narrowed(branch, one.condition, request.caller, effects));
      branches = joint(next);
      steps.push({ placed: one, effect: worstOf(effects) });
    }
    return { branches, steps };
  }

  /** The instances that a right side means. */
  bitsOf(side: Expression, caller: Caller): Bits {
    let bits = this.all;
    for (const term of side.terms) bits = both(bits, this.#termBits(term, caller));
    return bits;
  }

  /** Each value that a label has, with its instances. */
  index(key: string): ReadonlyMap<string, Bits> {
    let index = this.#indexes.get(key);
    if (index !== undefined) return index;
    const { endpoints, name, interfaceName } = this.service;
    const made = new Map<string, Bits>();
    endpoints.forEach((endpoint, number) => {
      const value = instanceValue(endpoint, key, name, interfaceName);
      if (value === undefined) return;
      let bits = made.get(value);
      if (bits === undefined) made.set(value, (bits = noBits(this.size)));
      addBit(bits, number);
    });
    index = made;
    this.#indexes.set(key, index);
    return index;
  }

  #narrowed(
    { share, bits }: Branch,
    { to, force, ratio }: Condition,
    caller: Caller,
    effects: Set<Effect>,
  ): readonly Branch[] {
    const nobody = [{ share, bits: noBits(this.size) }];
    if (isEmpty(bits)) {
      effects.add("too-late");
      return nobody;
    }
    if (to.length === 0) {
      effects.add("denied");
      return nobody;
    }
    const able = to.flatMap(({ match, weight }) => {
      const found = weight === 0 ? undefined : both(bits, this.bitsOf(match, caller));
      return found === undefined || isEmpty(found) ? [] : [{ weight, bits: found }];
    });
    if (able.length === 0) {
      effects.add(force ? "emptied" : "passed-over");
      return force ? nobody : [{ share, bits }];
    }
    const sum = able.reduce((total, { weight }) => total + weight, 0);
    const count = countOf(bits);
    return able.map((one) => {
      const isEnough = ratio === undefined || Math.floor((countOf(one.bits) * 100) / count) > ratio;
      effects.add(isEnough ? "narrowed" : "emptied");
      return { share: (share * one.weight) / sum, bits: isEnough ? one.bits : noBits(this.size) };
    });
  }

  #termBits(term: Term, caller: Caller): Bits {
    const isCallers = [...term.matches, ...term.mismatches].some(({ kind }) => kind === "caller");
    const known = isCallers ? undefined : this.#terms.get(term);
    if (known !== undefined) return known;
    const index = this.index(term.key);
    let bits: Bits;
    if (term.matches.length > 0) bits = this.#union(index, term.matches, caller);
    else {
      bits = noBits(this.size);
      for (const some of index.values()) addAll(bits, some);
    }
    if (term.mismatches.length > 0) bits = without(bits, this.#union(index, term.mismatches, caller));
    if (!isCallers) this.#terms.set(term, bits);
    return bits;
  }

  #union(index: ReadonlyMap<string, Bits>, patterns: readonly Pattern[], caller: Caller): Bits {
    const bits = noBits(this.size);
    const said = callerValues(targetOf(this.service, caller));
    for (const pattern of patterns) {
      const text = pattern.kind === "exact" ? pattern.text : pattern.kind === "caller" ? said(pattern.name) : undefined;
      if (pattern.kind === "exact" || pattern.kind === "caller") {
        const found = text === undefined ? undefined : index.get(text);
        if (found !== undefined) addAll(bits, found);
        continue;
      }
      for (const [value, some] of index) if (patternMatches(pattern, value)) addAll(bits, some);
    }
    return bits;
  }

  #bitsOfList(endpoints: readonly Endpoint[]): Bits {
    let bits = this.#lists.get(endpoints);
    if (bits === undefined) {
      bits = noBits(this.size);
      for (const { key } of endpoints) addBit(bits, this.#numbers.get(key)!);
      this.#lists.set(endpoints, bits);
    }
    return bits;
  }
}

const order: readonly Effect[] = ["narrowed", "denied", "too-late", "passed-over", "emptied"];

function worstOf(effects: ReadonlySet<Effect>): Effect {
  return order.findLast((effect) => effects.has(effect)) ?? "narrowed";
}

/** Branches that hold the same instances as one. */
function joint(branches: readonly Branch[]): readonly Branch[] {
  if (branches.length < 2) return branches;
  const byBits = new Map<string, Branch>();
  for (const { share, bits } of branches) {
    const key = bits.join();
    const same = byBits.get(key);
    byBits.set(key, { share: share + (same?.share ?? 0), bits });
  }
  return [...byBits.values()].slice(0, branchesMax);
}
