import { staticTag } from "../../runtime/routing/subset.ts";
import { addAll, both, countOf, firstOf, isDisjoint, isEmpty, noBits, without, type Bits } from "./bits.ts";
import { isInterface, type RuleDocument } from "./documents.ts";
import { dubboGoFindings } from "./dubbo-go.ts";
import { findingsMax, type Finding, type FindingRequest, type RouteShare } from "./findings.ts";
import type { Caller, Fleet, FleetService } from "./fleet.ts";
import { placed, ServiceModel, type Outcome, type PlacedCondition, type RuleSet } from "./model.ts";
import {
  anyCaller,
  canMeet,
  plainRequest,
  requestText,
  seemingRequest,
  witnessOf,
  type ProbedBy,
  type ProbeRequest,
  type Witness,
} from "./request.ts";

/** What rules make of a fleet, without any traffic. */
export interface Preflight {
  readonly documents: readonly { readonly key: string; readonly source: string; readonly kind: string }[];
  readonly services: readonly ServiceRoutes[];
  readonly findings: readonly Finding[];
  /** Requests that were asked about. */
  readonly requests: number;
}

export interface ServiceRoutes {
  readonly service: string;
  readonly instances: number;
  /** Where which requests go: those that no condition means, then one for each condition and each lane. */
  readonly routes: readonly { readonly why: string; readonly request: FindingRequest }[];
}

/** Routes that are shown of one service; all are asked about. */
const routesMax = 2_000;
/** Pairs of conditions that are asked about, of those that may contradict one another. */
const pairsMax = 2_000;
/** Values of a label for which a caller is made up. */
const imaginedMax = 50;

/**
 * Holds rules against a fleet. Requests are made up from the rules themselves: one that nothing means, one for each condition, one for
 * each pair that might contradict, by every caller that is known or that a rule asks about, in every lane.
 */
export function analyse(documents: readonly RuleDocument[], fleet: Fleet): Preflight {
  const findings: Finding[] = [];
  const services: ServiceRoutes[] = [];
  let requests = 0;
  for (const document of documents) {
    if (document.rule.kind === "malformed") findings.push(malformed(document));
  }
  findings.push(...documents.flatMap(leftOut), ...strangers(documents, fleet));
  for (const service of fleet.services) {
    const own = new ServiceAnalysis(service, documents, fleet);
    const { routes } = own.run();
    findings.push(...own.findings);
    requests += own.requests;
    services.push({ service: service.name, instances: service.endpoints.length, routes });
  }
  const witnesses = services.flatMap(({ routes }) => routes);
  findings.push(...documents.flatMap((document) => dubboGoFindings(document, fleet, witnesses)));
  return {
    documents: documents.map(({ key, source, rule }) => ({ key, source, kind: rule.kind })),
    services,
    findings: limited(findings),
    requests,
  };
}

function malformed(document: RuleDocument): Finding {
  const { rule, key, source } = document;
  if (rule.kind !== "malformed") throw new Error("it can be read");
  return {
    kind: "malformed",
    level: "error",
    key,
    source,
    line: rule.line,
    message: `${rule.reason}: callers would refuse it, and go on by the version before`,
    ...(rule.hint !== undefined && { hint: rule.hint }),
  };
}

function leftOut({ rule, key, source }: RuleDocument): readonly Finding[] {
  if (rule.kind !== "unread") return [];
  const message = `Flyball has no ${rule.what}: this document is left out, and what it does is not in any answer here`;
  return [{ kind: "portability", level: "warning", key, source, line: 1, message }];
}

/** The scopes under which a service's documents are found. */
function scopesOf({ name, interfaceName, version, group }: FleetService): readonly string[] {
  return [`${interfaceName}:${version}:${group}`, name];
}

function strangers(documents: readonly RuleDocument[], { services, callers }: Fleet): readonly Finding[] {
  const known = new Set([...services.flatMap(scopesOf), ...(callers ?? []).map(({ application }) => application)]);
  return documents.flatMap((document): Finding[] => {
    const { scope, key, source, rule } = document;
    // Where nobody said who calls, an application that isn't there may be a caller.
    if (rule.kind === "unread") return [];
    const isOfInterface = isInterface(scope);
    const mayBeCaller =
      callers === undefined && !isOfInterface && !scope.includes(":") && rule.kind !== "tag" && rule.kind !== "canary";
    if (known.has(scope) || mayBeCaller) return [];
    const hint = isOfInterface
      ? `an interface's key has its version and group in it, both may be empty: ${scope}::`
      : `there is ${[...known].join(", ")}`;
    return [
      {
        kind: "concerns-nobody",
        level: "error",
        key,
        source,
        line: 1,
        message: `nobody of this fleet reads ${key}`,
        hint,
      },
    ];
  });
}

class ServiceAnalysis {
  readonly findings: Finding[] = [];
  requests = 0;
  readonly #found = new Set<string>();
  readonly #service: FleetService;
  readonly #documents: readonly RuleDocument[];
  readonly #fleet: Fleet;
  readonly #model: ServiceModel;
  readonly #reached: Bits;
  readonly #routes: ServiceRoutes["routes"][number][] = [];
  #plain: FindingRequest | undefined;

  constructor(service: FleetService, documents: readonly RuleDocument[], fleet: Fleet) {
    this.#service = service;
    this.#documents = documents;
    this.#fleet = fleet;
    this.#model = new ServiceModel(service);
    this.#reached = noBits(this.#model.size);
  }

  run(): { readonly routes: ServiceRoutes["routes"] } {
    for (const [application, callers] of this.#callers()) this.#probe(application, callers);
    this.#emptyLanes();
    this.#unreachable();
    return { routes: this.#routes };
  }

  /** Who calls, by application: rules are found by it. */
  #callers(): ReadonlyMap<string, readonly Caller[]> {
    const { callers } = this.#fleet;
    const byApplication = new Map<string, Caller[]>();
    const all = callers ?? this.#imaginedCallers();
    for (const caller of all) {
      const same = byApplication.get(caller.application);
      if (same === undefined) byApplication.set(caller.application, [caller]);
      else same.push(caller);
    }
    return byApplication;
  }

  /** One caller of whom nothing is known, those whose own documents there are, and one for each value of a label that is compared. */
  #imaginedCallers(): readonly Caller[] {
    const serviceNames = new Set(this.#fleet.services.flatMap(scopesOf));
    const applications = new Set([anyCaller]);
    const compared = new Set<string>();
    for (const { scope, rule } of this.#documents) {
      if (!serviceNames.has(scope) && !scope.includes(":")) applications.add(scope);
      if (rule.kind === "affinity") compared.add(rule.rule.key);
      if (rule.kind !== "condition") continue;
      for (const { to } of rule.rule.conditions) {
        for (const { terms } of to.map(({ match }) => match)) {
          for (const pattern of terms.flatMap(({ matches, mismatches }) => [...matches, ...mismatches])) {
            if (pattern.kind === "caller") compared.add(pattern.name);
          }
        }
      }
    }
    return [...applications].flatMap((application) => [
      { application, labels: {} },
      ...[...compared].flatMap((label) =>
        [...this.#model.index(label).keys()]
          .slice(0, imaginedMax)
          .map((value) => ({ application, labels: { [label]: value } })),
      ),
    ]);
  }

  #probe(application: string, callers: readonly Caller[]): void {
    const rules = this.#rulesFor(application);
    const by: ProbedBy = { service: this.#service, callers, isKnown: this.#fleet.callers !== undefined };
    for (const caller of callers) {
      this.#ask(plainRequest(caller), rules, "no condition means it");
      for (const lane of this.#lanes(rules))
        this.#ask(plainRequest(caller, { "dubbo.tag": lane }), rules, `lane ${lane}`);
    }
    const meant = rules.conditions.flatMap((one) => {
      const witness = witnessOf([one.condition.from], by);
      if (witness.kind !== "found") {
        this.#neverMatches(one, witness, callers[0]!, rules);
        return [];
      }
      this.#lonely(one, witness.request, rules);
      return [one];
    });
    this.#pairs(meant, rules, by);
  }

  #rulesFor(application: string): RuleSet {
    const [narrow, wide] = scopesOf(this.#service);
    const scopes = [...new Set([narrow!, wide!, application])];
    const found = scopes.flatMap((scope) => this.#documents.filter((document) => document.scope === scope));
    const conditions: PlacedCondition[] = [];
    for (const document of found) {
      if (document.rule.kind !== "condition" || !document.rule.rule.enabled) continue;
      for (const condition of document.rule.rule.conditions) conditions.push(placed(document, condition));
    }
    const of = <K extends "affinity" | "tag" | "override">(kind: K) =>
      found.flatMap(({ rule }) => (rule.kind === kind ? [rule.rule as Extract<typeof rule, { kind: K }>["rule"]] : []));
    const own = this.#documents.filter(({ scope }) => scope === this.#service.name);
    return {
      conditions,
      affinities: of("affinity"),
      overrides: of("override").toReversed(),
      tags: own.flatMap(({ rule }) => (rule.kind === "tag" ? [rule.rule] : [])),
    };
  }

  #lanes({ tags }: RuleSet): readonly string[] {
    const lanes = new Set<string>();
    for (const { enabled, groups } of tags) if (enabled) for (const group of groups) lanes.add(group.tag);
    for (const endpoint of this.#service.endpoints) {
      const own = staticTag(endpoint);
      if (own !== undefined) lanes.add(own);
    }
    return [...lanes].slice(0, 1_000);
  }

  /** What becomes of a request; reported when it is left with nobody against everybody's will. */
  #ask(request: ProbeRequest, rules: RuleSet, why: string): Outcome {
    const outcome = this.#look(request, rules);
    const shown = this.#shown(request, outcome);
    this.#plain ??= shown;
    if (this.#routes.length < routesMax) this.#routes.push({ why, request: shown });
    const isEmptied = outcome.branches.some(({ bits }) => isEmpty(bits));
    const saidSo = outcome.steps.some(({ effect }) => effect !== "narrowed" && effect !== "passed-over");
    if (isEmptied && !saidSo && this.#model.size > 0) {
      this.#find({
        kind: "nobody",
        ...this.#blamed(request, rules),
        message: `such requests get none of ${this.#model.size} instances of ${this.#service.name}`,
        request: shown,
      });
    }
    return outcome;
  }

  #look(request: ProbeRequest, rules: RuleSet): Outcome {
    this.requests++;
    const outcome = this.#model.outcome(request, rules);
    for (const { bits } of outcome.branches) addAll(this.#reached, bits);
    return outcome;
  }

  /** The document that left a request with nobody before any condition. */
  #blamed(request: ProbeRequest, rules: RuleSet): Pick<Finding, "key" | "source" | "line" | "hint"> {
    const place = (kind: "tag" | "affinity" | "override") => {
      const document = this.#documents.find(({ rule }) => rule.kind === kind);
      return document === undefined ? {} : { key: document.key, source: document.source, line: 1 };
    };
    if (this.#model.callable(rules, request.caller).length === 0)
      return { ...place("override"), hint: "every instance is disabled" };
    if (
      rules.affinities.length > 0 &&
      this.#model.outcome(request, { ...rules, affinities: [] }).branches.every(({ bits }) => !isEmpty(bits))
    ) {
      return {
        ...place("affinity"),
        hint: "a ratio above 0 lets callers overflow that have no instance of their own kind",
      };
    }
    return { ...place("tag"), hint: "leave some instances outside all lanes, or let the calls have a tag" };
  }

  #neverMatches(
    { document: { key, source }, condition }: PlacedCondition,
    witness: Exclude<Witness, { kind: "found" }>,
    caller: Caller,
    rules: RuleSet,
  ): void {
    if (witness.kind === "unknown") return;
    const isImpossible = witness.kind === "impossible";
    const request = seemingRequest(condition.from, caller);
    this.#find({
      kind: "never-matches",
      key,
      source,
      line: condition.line,
      message: isImpossible
        ? `"${condition.text}" never matches: no value of ${witness.key} fits`
        : `"${condition.text}" never matches: no caller of ${this.#service.name} says of itself what ${witness.key} asks`,
      hint: isImpossible
        ? "a value that is wanted is unwanted as well"
        : "callers say it by their labels; see callers in the file of instances",
      request: this.#shown(request, this.#look(request, rules)),
    });
  }

  /** A condition by itself. */
  #lonely(one: PlacedCondition, request: ProbeRequest, rules: RuleSet): void {
    const { document, condition } = one;
    const { key, source } = document;
    const outcome = this.#ask(request, rules, `${key}:${condition.line}`);
    const shown = this.#shown(request, outcome);
    for (const { match, weight, line } of condition.to) {
      const asksCaller = match.terms.some((term) =>
        [...term.matches, ...term.mismatches].some(({ kind }) => kind === "caller"),
      );
      if (weight === 0 || asksCaller || !isEmpty(this.#model.bitsOf(match, request.caller))) continue;
      const then =
        condition.to.length > 1
          ? "its share goes to the other destinations"
          : condition.force
            ? "such requests get nobody"
            : "the condition is passed over, and such requests go anywhere";
      this.#find({
        kind: "no-instance",
        key,
        source,
        line,
        message: `"${match.text}" means no instance of ${this.#service.name}: ${then}`,
        hint: this.#nearMiss(match),
        request: shown,
      });
    }
    const step = outcome.steps.find((found) => found.placed === one);
    if (step?.effect === "too-late") {
      const earlier = outcome.steps.find(({ effect }) => effect === "denied" || effect === "emptied");
      this.#find({
        kind: "contradiction",
        key,
        source,
        line: condition.line,
        message: `"${condition.text}" comes too late for such requests: ${earlier === undefined ? "nobody is left" : `line ${earlier.placed.condition.line} of ${earlier.placed.document.key} leaves nobody`} before it`,
        request: shown,
      });
    } else if (
      step?.effect === "emptied" &&
      condition.ratio !== undefined &&
      outcome.branches.some(({ bits }) => !isEmpty(bits)) !== true
    ) {
      const hasInstances = condition.to.some(
        ({ match, weight }) => weight > 0 && !isEmpty(this.#model.bitsOf(match, request.caller)),
      );
      if (hasInstances) {
        this.#find({
          kind: "nobody",
          key,
          source,
          line: condition.line,
          message: `no destination of "${condition.text}" is more than ${condition.ratio} % of the candidates: such requests get nobody`,
          hint: "lower the ratio, or give the destination more instances",
          request: shown,
        });
      }
    }
  }

  /** The values that there are, where a right side names one that there isn't. */
  #nearMiss({ terms }: PlacedCondition["condition"]["from"]): string {
    const empty = terms.find((term) =>
      isEmpty(this.#model.bitsOf({ text: "", terms: [term] }, { application: "", labels: {} })),
    );
    if (empty === undefined) return "each of its terms means some instance, and no instance all of them";
    const values = [...this.#model.index(empty.key).keys()];
    if (values.length === 0) return `no instance has the label ${empty.key}`;
    return `${empty.key} is ${values.slice(0, 8).join(", ")}${values.length > 8 ? ", …" : ""}`;
  }

  /** Two conditions that mean one request and leave it nobody, or of which one is passed over. */
  #pairs(conditions: readonly PlacedCondition[], rules: RuleSet, by: ProbedBy): void {
    const [anyone = { application: anyCaller, labels: {} }] = by.callers;
    const sides = conditions.map(({ condition }) => {
      const some = condition.to
        .filter(({ weight }) => weight > 0)
        .map(({ match }) => this.#model.bitsOf(match, anyone));
      const union = noBits(this.#model.size);
      for (const bits of some) addAll(union, bits);
      return { some: some.filter((bits) => !isEmpty(bits)), union, isEmpty: isEmpty(union) };
    });
    let asked = 0;
    let found = 0;
    for (let second = 1; second < conditions.length; second++) {
      const late = conditions[second]!;
      if (sides[second]!.isEmpty) continue;
      for (let first = 0; first < second; first++) {
        const early = conditions[first]!;
        if (sides[first]!.isEmpty || !canMeet(early.quick, late.quick)) continue;
        if (!sides[first]!.some.some((bits) => isDisjoint(bits, sides[second]!.union))) continue;
        const witness = witnessOf([early.condition.from, late.condition.from], by);
        if (witness.kind !== "found") continue;
        if (this.#contradiction(early, late, witness.request, rules)) found++;
        // Whoever has so many has seen enough, and mends some before asking again.
        if (++asked >= pairsMax || found >= findingsMax) return;
      }
    }
  }

  #contradiction(early: PlacedCondition, late: PlacedCondition, request: ProbeRequest, rules: RuleSet): boolean {
    const outcome = this.#look(request, rules);
    const effectOf = (one: PlacedCondition) => outcome.steps.find((step) => step.placed === one)?.effect;
    const effect = effectOf(late);
    // Something else may have decided before them.
    if (effectOf(early) !== "narrowed" || (effect !== "emptied" && effect !== "passed-over")) return false;
    const lost = outcome.branches.filter(({ bits }) => isEmpty(bits)).reduce((sum, { share }) => sum + share, 0);
    const share = lost > 0 && lost < 0.999 ? `${Math.round(lost * 100)} % of such requests` : "such requests";
    const where =
      early.document === late.document
        ? `line ${early.condition.line}`
        : `${early.document.key}:${early.condition.line}`;
    this.#find({
      kind: "contradiction",
      key: late.document.key,
      source: late.document.source,
      line: late.condition.line,
      message:
        effect === "emptied"
          ? `"${late.condition.text}" and ${where}, "${early.condition.text}", leave ${share} nobody`
          : `"${late.condition.text}" is passed over where ${where}, "${early.condition.text}", holds: no instance fits both`,
      hint: "let their left sides exclude one another",
      request: this.#shown(request, outcome),
    });
    return true;
  }

  /** Lanes and versions that a document names, and no instance belongs to. */
  #emptyLanes(): void {
    const { name, endpoints } = this.#service;
    const registered = new Set(endpoints.map(staticTag));
    for (const { scope, key, source, rule } of this.#documents) {
      if (scope !== name) continue;
      const named =
        rule.kind === "tag" && rule.rule.enabled
          ? rule.rule.groups.filter(({ contains }) => !endpoints.some(contains)).map(({ tag }) => tag)
          : rule.kind === "canary" && rule.rule.enabled
            ? rule.rule.split.filter(({ buckets }) => buckets > 0).map(({ tag }) => tag)
            : [];
      for (const lane of named.filter((one) => !registered.has(one))) {
        const request = plainRequest({ application: anyCaller, labels: {} }, { "dubbo.tag": lane });
        const rules = this.#rulesFor(anyCaller);
        this.#find({
          kind: "no-instance",
          key,
          source,
          message: `no instance of ${name} is in "${lane}": its calls go elsewhere, or to nobody`,
          hint: `tags are ${[...registered].filter((one) => one !== undefined).join(", ") || "none"}`,
          request: this.#shown(request, this.#look(request, rules)),
        });
      }
    }
  }

  /** Instances that no request reached. */
  #unreachable(): void {
    const rules = this.#rulesFor([...this.#callers().keys()][0] ?? anyCaller);
    const { endpoints, name } = this.#service;
    const split = this.#canaryTags();
    const idle = noBits(this.#model.size);
    const left = without(this.#model.all, this.#reached);
    const callable = new Set(
      this.#model
        .callable(rules, { application: anyCaller, labels: {} })
        .map(({ key, weight }) => (weight > 0 ? key : "")),
    );
    const reasons = new Map<string, string[]>();
    const note = (reason: string, id: string): void =>
      void (reasons.get(reason) ?? reasons.set(reason, []).get(reason)!).push(id);
    endpoints.forEach((endpoint, number) => {
      const bit = noBits(this.#model.size);
      bit[number >>> 5]! |= 1 << (number & 31);
      if (!callable.has(endpoint.key)) return note(endpoint.weight === 0 ? "weight 0" : "an override", endpoint.id);
      if (isEmpty(both(left, bit)) || split.has(staticTag(endpoint) ?? "")) return;
      addAll(idle, bit);
    });
    if (!isEmpty(idle)) {
      const ids = firstOf(idle, 10).map((number) => endpoints[number]!.id);
      note("these rules", ids[0]!);
      reasons.set("these rules", [...ids, ...new Array<string>(countOf(idle) - ids.length).fill("")]);
    }
    for (const [reason, ids] of reasons) {
      const shown = ids.slice(0, 10).filter((id) => id !== "");
      this.#find({
        kind: "unreachable",
        message: `${ids.length} of ${endpoints.length} instances of ${name} are called by nobody, by ${reason}: ${shown.join(", ")}${ids.length > shown.length ? ", …" : ""}`,
        ...(reason !== "these rules" && { level: "warning" as const }),
        ...(this.#plain && { request: this.#plain }),
      });
    }
  }

  #canaryTags(): ReadonlySet<string> {
    const tags = this.#documents.flatMap(({ scope, rule }) =>
      scope === this.#service.name && rule.kind === "canary" && rule.rule.enabled
        ? rule.rule.split.filter(({ buckets }) => buckets > 0).map(({ tag }) => tag)
        : [],
    );
    return new Set(tags);
  }

  #find(finding: Omit<Finding, "level" | "service"> & { readonly level?: Finding["level"] }): void {
    // Callers of several applications meet the same mistakes.
    const { kind, key, line, message } = finding;
    const name = JSON.stringify([kind, key, line, message]);
    if (this.#found.has(name)) return;
    this.#found.add(name);
    this.findings.push({ level: "error", service: this.#service.name, ...finding });
  }

  #shown(request: ProbeRequest, { branches }: Outcome): FindingRequest {
    const { name, endpoints } = this.#service;
    return {
      text: requestText(request, name),
      ...request,
      to: branches.map(({ share, bits }): RouteShare => ({
        share: Math.round(share * 10_000) / 10_000,
        count: countOf(bits),
        instances: firstOf(bits, 10).map((number) => endpoints[number]!.id),
      })),
    };
  }
}

/** At most so many of a kind; the last of them says how many there are. */
function limited(findings: readonly Finding[]): readonly Finding[] {
  const counts = new Map<string, number>();
  const kept = findings.filter(({ kind }) => {
    const count = (counts.get(kind) ?? 0) + 1;
    counts.set(kind, count);
    return count <= findingsMax;
  });
  for (const [kind, count] of counts) {
    if (count <= findingsMax) continue;
    const first = findings.find((finding) => finding.kind === kind)!;
    kept.push({ kind: first.kind, level: first.level, message: `… and ${count - findingsMax} more of this kind` });
  }
  return kept;
}
