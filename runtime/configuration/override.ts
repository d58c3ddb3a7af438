import { balancers as builtInBalancers, dubboBalancers } from "../balancing/table.ts";
import { clusters as builtInClusters } from "../cluster/table.ts";
import type { Endpoint } from "../discovery/endpoint.ts";
import { scopedKeys, type RouteTarget } from "../routing/router.ts";
import { callerValues, instanceValue } from "../routing/sides.ts";
import { readDocument, type Field } from "./document.ts";
import { addressMatch, networkMatch, textMatch, type TextMatch } from "./match.ts";
import type { RulePolicy } from "./rules.ts";

/** Dubbo's configurators: what an operator sets for running instances and callers, without restarting them. */
export interface OverrideRule {
  /** In the order in which they are applied; a later one wins. */
  readonly overrides: readonly Override[];
}

export interface Override {
  readonly line: number;
  /** Whether the caller is meant, with what it says of itself alone. */
  readonly isForCaller: (target: RouteTarget) => boolean;
  /** Whether only some instances can be meant: it asks something of them. */
  readonly asksInstances: (target: RouteTarget) => boolean;
  readonly isForInstance: (endpoint: Endpoint, target: RouteTarget) => boolean;
  readonly parameters: OverrideParameters;
}

export interface OverrideParameters {
  /** The weight to balance by, instead of the registered one. */
  readonly weight?: number;
  /** True takes the instance out of every list, false brings it back. */
  readonly disabled?: boolean;
  /** Time for a call with all its attempts; of an override that asks something of instances: for an attempt at them. */
  readonly timeoutMs?: number;
  readonly retries?: number;
  /** An entry of the table of balancers. */
  readonly balancer?: string;
  /** An entry of the table of clusters. */
  readonly cluster?: string;
  /** By the method's name on the wire: "Do". */
  readonly methods?: ReadonlyMap<string, MethodParameters>;
  /** Whether instances write an access log. */
  readonly accessLog?: boolean;
}

export interface MethodParameters {
  readonly timeoutMs?: number;
  readonly retries?: number;
}

/** What the rules change of how a caller calls a service. */
export type CallerOverrides = Pick<OverrideParameters, "timeoutMs" | "retries" | "balancer" | "cluster" | "methods">;

/** Larger weights say nothing more, and their sums stay exact. */
export const weightMax = 1_000_000;
const timeoutMsMax = 3_600_000;
const retriesMax = 100;

/** Dubbo's names of policies that have another name here. */
const dubboNames: Readonly<Record<string, string>> = {
  ...dubboBalancers,
  zoneAware: "zone-aware",
};

/** The policies that a rule may name. */
export interface OverrideNames {
  readonly balancers: Readonly<Record<string, unknown>>;
  readonly clusters: Readonly<Record<string, unknown>>;
}

/**
 * `{caller's application | provider's application | interface:version:group}.configurators`, configVersion v3.0; the narrower scope
 * wins, and in a document the later entry.
 *
 * `side: provider` (default) is about instances: `addresses` and `match.address` are theirs, as `match.app`, `services` and
 * `match.param` are. `side: consumer` is about callers: `addresses` without a port and `match.address` are the caller's host (with
 * a port, as in Dubbo 2 and dubbo-go, the provider's address), `applications` and `match.app` its application, and `match.param`
 * asks for its label or, where it has none of that name, for the instance's. `providerAddresses` and `match.providerAddress` are
 * always the instance's. An address of `match` is `exact`, `wildcard` or `cird` (Dubbo's spelling: "10.0.0.0/8"). In `param` the key
 * `instance` is the instance's id ("orders/1"). A parameter that begins with a tilde is a condition too, as in Dubbo 2: `~region: r2` asks
 * what `match.param` would, `*` stands for any value. Conditions are AND-ed.
 *
 * Parameters: `weight` and `disabled` of instances; `timeout` (ms), `retries`, `loadbalance`, `cluster` of a caller's calls, the
 * first two also for one method (`Do.timeout`). `timeout` with a condition on instances is the time of an attempt at them; the
 * other three can't differ between instances. `accesslog` is read by the instances themselves (`isAccessLogged`): true, default or false;
 * the path of a file switches it on, too, and changes no more than that, as with Dubbo's own `accesslog.fixed.path`. Numbers may be
 * texts. What isn't known is refused, never ignored.
 *
 *     configVersion: v3.0
 *     scope: service
 *     key: orders
 *     enabled: true                # default
 *     configs:
 *       - side: provider
 *         match: { param: [ { key: instance, value: { exact: orders/1 } } ] }
 *         parameters: { weight: 50 }
 *       - side: consumer
 *         parameters: { timeout: 500, retries: 0, Do.timeout: 200 }
 */
export function overridePolicy(names: OverrideNames): RulePolicy<OverrideRule> {
  return {
    keys: (target) => scopedKeys(target, "configurators").toReversed(),
    parse: (content) => {
      const document = readDocument(content);
      const fields = document.fields("configVersion", "scope", "key", "enabled", "runtime", "configs");
      fields.configVersion?.oneOf("v3.0");
      fields.scope?.oneOf("service", "application");
      fields.key?.label();
      // As in Dubbo's samples, where it does nothing here.
      fields.runtime?.boolean();
      const overrides = document
        .required(fields, "configs")
        .list()
        .map((config) => readConfig(config, names));
      const isEnabled = fields.enabled?.boolean() ?? true;
      return { overrides: isEnabled ? overrides.filter((override) => override !== undefined) : [] };
    },
  };
}

/** With the built-in policies. */
export const overrideRules: RulePolicy<OverrideRule> = overridePolicy({
  balancers: builtInBalancers,
  clusters: builtInClusters,
});

type CallerTest = (target: RouteTarget) => boolean;
type InstanceTest = (endpoint: Endpoint, target: RouteTarget) => boolean;

/** What an entry asks, of whom. */
class Conditions {
  readonly callers: CallerTest[] = [];
  readonly instances: InstanceTest[] = [];
  /** Keys that are the caller's where it has them, and else the instance's. */
  readonly either: { readonly key: string; readonly matches: TextMatch }[] = [];
}

function readConfig(config: Field, names: OverrideNames): Override | undefined {
  const fields = config.fields(
    ...["side", "enabled", "type", "match", "addresses", "providerAddresses", "services", "applications", "parameters"],
  );
  const isConsumer = fields["side"]?.oneOf("provider", "consumer") === "consumer";
  fields["type"]?.label();
  const conditions = new Conditions();
  const addresses = fields["addresses"]?.list() ?? [];
  if (addresses.length > 0) readAddresses(addresses, isConsumer, conditions);
  const providers = (fields["providerAddresses"]?.list() ?? []).map(addressMatch);
  if (providers.length > 0) conditions.instances.push(({ address }) => providers.some((matches) => matches(address)));
  const services = fields["services"]?.list().map((field) => field.label()) ?? [];
  if (services.length > 0)
    conditions.callers.push((target) => namesOf(target).some((name) => includes(services, name)));
  const applications = fields["applications"]?.list().map((field) => field.label()) ?? [];
  if (applications.length > 0) {
    conditions.callers.push((target) => includes(applications, applicationOf(target, isConsumer)));
  }
  if (fields["match"] !== undefined) readMatch(fields["match"], isConsumer, conditions);
  const given = config.required(fields, "parameters");
  readTildes(given, isConsumer, conditions);
  const { callers, instances, either } = conditions;
  const parameters = readParameters(given, names, {
    asksInstances: instances.length > 0,
    isConsumer,
  });
  if (fields["enabled"]?.boolean() === false) return undefined;
  return {
    line: config.line,
    parameters,
    isForCaller: (target) => {
      const caller = callerValues(target);
      return (
        callers.every((fits) => fits(target)) &&
        either.every(({ key, matches }) => caller(key) === undefined || matches(caller(key)))
      );
    },
    asksInstances: (target) =>
      instances.length > 0 || either.some(({ key }) => callerValues(target)(key) === undefined),
    isForInstance: (endpoint, target) =>
      instances.every((fits) => fits(endpoint, target)) &&
      either.every(
        ({ key, matches }) =>
          callerValues(target)(key) !== undefined ||
          matches(instanceValue(endpoint, key, target.service, target.interfaceName)),
      ),
  };
}

/** What a service is called in `services`. */
function namesOf({ service, interfaceName }: RouteTarget): readonly string[] {
  return [service, interfaceName, `${service}/${interfaceName}`, `${interfaceName}::${service}`];
}

const applicationOf = ({ service, application }: RouteTarget, isConsumer: boolean): string =>
  isConsumer ? application : service;

const includes = (list: readonly string[], name: string): boolean => list.includes("*") || list.includes(name);

function readAddresses(addresses: readonly Field[], isConsumer: boolean, conditions: Conditions): void {
  const read = addresses.map((field) => ({ text: field.text(), matches: addressMatch(field) }));
  const isCaller = isConsumer && read.every(({ text }) => !/:(?!0$)[^:\]]+$/.test(text));
  if (isCaller) {
    conditions.callers.push(({ host }) =>
      read.some(({ text, matches }) => /^0\.0\.0\.0(:0)?$/.test(text) || (host !== undefined && matches(`${host}:0`))),
    );
  } else if (!read.some(({ text }) => /^0\.0\.0\.0(:0)?$/.test(text))) {
    conditions.instances.push(({ address }) => read.some(({ matches }) => matches(address)));
  }
}

function readMatch(match: Field, isConsumer: boolean, conditions: Conditions): void {
  const { address, providerAddress, service, app, application, param } = match.fields(
    ...(["address", "providerAddress", "service", "app", "application", "param"] as const),
  );
  if (address !== undefined) {
    const matches = readAddress(address);
    if (isConsumer) conditions.callers.push(({ host }) => host !== undefined && matches(`${host}:0`));
    else conditions.instances.push((endpoint) => matches(endpoint.address));
  }
  if (providerAddress !== undefined) {
    const matches = readAddress(providerAddress);
    conditions.instances.push((endpoint) => matches(endpoint.address));
  }
  if (service !== undefined) {
    const matches = readOneOf(service);
    conditions.callers.push((target) => namesOf(target).some(matches));
  }
  if (app !== undefined && application !== undefined) {
    throw application.error(
      "WRONG_VALUE",
      "app and application are two names of one condition",
      "leave out application",
    );
  }
  // Dubbo's code says `app`, its documentation `application`.
  const ofApplication = app ?? application;
  if (ofApplication !== undefined) {
    const matches = readOneOf(ofApplication);
    conditions.callers.push((target) => matches(applicationOf(target, isConsumer)));
  }
  for (const field of param?.list() ?? []) askFor(readParam(field), isConsumer, conditions);
}

/** The conditions among the parameters: `~region: r2`. */
function readTildes(parameters: Field, isConsumer: boolean, conditions: Conditions): void {
  for (const [name, value] of parameters.entries()) {
    if (!name.startsWith(tilde)) continue;
    const key = name.slice(tilde.length);
    if (key === "") throw value.error("WRONG_VALUE", "a tilde without a name asks for nothing", '"~region": r2');
    const text = value.label();
    if (text !== "*") askFor({ key, matches: (own) => own === text }, isConsumer, conditions);
  }
}

const tilde = "~";

function askFor(
  { key, matches }: { readonly key: string; readonly matches: TextMatch },
  isConsumer: boolean,
  conditions: Conditions,
): void {
  if (isConsumer && key !== "instance") conditions.either.push({ key, matches });
  else conditions.instances.push((endpoint) => matches(paramOf(endpoint, key)));
}

function readAddress(field: Field): (address: string) => boolean {
  const { wildcard, exact, cird } = field.fields("wildcard", "exact", "cird");
  const given = [wildcard, exact, cird].filter((one) => one !== undefined);
  if (given.length !== 1) {
    throw field.error("WRONG_VALUE", "an address match has one condition", "one of: wildcard, exact, cird");
  }
  return cird === undefined ? addressMatch(given[0]!) : networkMatch(cird);
}

/** `{ oneof: [ StringMatch, … ] }` */
function readOneOf(field: Field): TextMatch {
  const all = field.required(field.fields("oneof"), "oneof").list().map(textMatch);
  return (value) => all.some((matches) => matches(value));
}

function readParam(field: Field): { readonly key: string; readonly matches: TextMatch } {
  const fields = field.fields("key", "value");
  return { key: field.required(fields, "key").text(), matches: textMatch(field.required(fields, "value")) };
}

const paramOf = (endpoint: Endpoint, key: string): string | undefined =>
  key === "instance" ? endpoint.id : endpoint.metadata[key];

/** `{ key, value: StringMatch }`: a condition on the instance's id (`instance`) or on a label of its metadata. */
export function paramMatch(field: Field): (endpoint: Endpoint) => boolean {
  const { key, matches } = readParam(field);
  return (endpoint) => matches(paramOf(endpoint, key));
}

const parameterNames = ["weight", "disabled", "timeout", "retries", "loadbalance", "cluster", "accesslog"] as const;

function readParameters(
  field: Field,
  names: OverrideNames,
  { asksInstances, isConsumer }: { readonly asksInstances: boolean; readonly isConsumer: boolean },
): OverrideParameters {
  const parameters: { -readonly [Key in keyof OverrideParameters]: OverrideParameters[Key] } = {};
  const methods = new Map<string, { -readonly [Key in keyof MethodParameters]: MethodParameters[Key] }>();
  const isCallers = (value: Field, name: string): Field => {
    if (!asksInstances) return value;
    const hint = "leave out the condition on instances: providerAddresses, or the provider's address or param";
    throw value.error("WRONG_VALUE", `"${name}" is the caller's, and can't differ between instances`, hint);
  };
  for (const [name, value] of field.entries()) {
    if (name.startsWith(tilde)) continue;
    const dot = name.lastIndexOf(".");
    const [method, kind] = [dot < 0 ? undefined : name.slice(0, dot), name.slice(dot + 1)];
    if (method !== undefined && (kind === "timeout" || kind === "retries")) {
      let own = methods.get(method);
      if (own === undefined) methods.set(method, (own = {}));
      isCallers(value, name);
      if (kind === "timeout") own.timeoutMs = readNumber(value, { min: 1, max: timeoutMsMax });
      else own.retries = readNumber(value, { min: 0, max: retriesMax });
      continue;
    }
    switch (name) {
      case "weight":
        parameters.weight = readNumber(value, { min: 0, max: weightMax });
        break;
      case "disabled":
        parameters.disabled = value.oneOf("true", "false") === "true";
        break;
      case "timeout":
        parameters.timeoutMs = readNumber(value, { min: 1, max: timeoutMsMax });
        break;
      case "retries":
        parameters.retries = readNumber(isCallers(value, name), { min: 0, max: retriesMax });
        break;
      case "loadbalance":
        parameters.balancer = readName(isCallers(value, name), names.balancers);
        break;
      case "cluster":
        parameters.cluster = readName(isCallers(value, name), names.clusters);
        break;
      case "accesslog":
        if (isConsumer) throw value.error("WRONG_VALUE", "callers have no access log", "side: provider");
        parameters.accessLog = value.label().toLowerCase() !== "false";
        break;
      default:
        throw value.unknownKey(name, [...parameterNames, "METHOD.timeout", "METHOD.retries"]);
    }
  }
  return methods.size === 0 ? parameters : { ...parameters, methods };
}

/** A whole number, also as a text: Dubbo's parameters are texts. */
function readNumber(field: Field, range: { readonly min: number; readonly max: number }): number {
  const text = field.label();
  const value = /^-?\d{1,15}$/.test(text) ? Number(text) : undefined;
  if (value === undefined) throw field.error("WRONG_VALUE", `"${text}" is no whole number`, "a whole number");
  if (value < range.min || value > range.max) {
    throw field.error("WRONG_VALUE", `${value} is out of range`, `from ${range.min} to ${range.max}`);
  }
  return value;
}

function readName(field: Field, table: Readonly<Record<string, unknown>>): string {
  const name = field.label();
  const own = Object.hasOwn(table, name) ? name : Object.hasOwn(dubboNames, name) ? dubboNames[name]! : name;
  if (Object.hasOwn(table, own)) return own;
  const dubbos = Object.entries(dubboNames).flatMap(([dubbo, here]) => (Object.hasOwn(table, here) ? [dubbo] : []));
  throw field.error("WRONG_VALUE", `there is no "${name}"`, `one of: ${[...Object.keys(table), ...dubbos].join(", ")}`);
}

/** Whether an instance writes an access log, by the documents that concern it: the last entry that says so. Default: it doesn't. */
export function isAccessLogged(own: Endpoint, rules: readonly OverrideRule[], target: RouteTarget): boolean {
  const last = rules
    .flatMap(({ overrides }) => overrides)
    .findLast(
      ({ parameters, isForCaller, isForInstance }) =>
        parameters.accessLog !== undefined && isForCaller(target) && isForInstance(own, target),
    );
  return last?.parameters.accessLog ?? false;
}

/** What documents make of a service, in the order of their keys. */
export interface Overridden {
  /** The same array, and the same objects, where nothing changes. */
  readonly endpoints: readonly Endpoint[];
  readonly caller: CallerOverrides;
}

export function applyOverrides(
  endpoints: readonly Endpoint[],
  rules: readonly OverrideRule[],
  target: RouteTarget,
): Overridden {
  const meant = rules.flatMap(({ overrides }) => overrides).filter((override) => override.isForCaller(target));
  if (meant.length === 0) return { endpoints, caller: {} };
  return { endpoints: overriddenEndpoints(endpoints, meant, target), caller: callerOverrides(meant, target) };
}

function overriddenEndpoints(
  endpoints: readonly Endpoint[],
  overrides: readonly Override[],
  target: RouteTarget,
): readonly Endpoint[] {
  const own = overrides
    .map((override) => ({ ...override, isNarrow: override.asksInstances(target) }))
    .filter(
      ({ parameters: { weight, disabled, timeoutMs }, isNarrow }) =>
        weight !== undefined || disabled !== undefined || (timeoutMs !== undefined && isNarrow),
    );
  if (own.length === 0) return endpoints;
  const changed: Endpoint[] = [];
  let isSame = true;
  for (const endpoint of endpoints) {
    let { weight, attemptTimeoutMs } = endpoint;
    let isDisabled = false;
    for (const { isForInstance, isNarrow, parameters } of own) {
      if (isNarrow && !isForInstance(endpoint, target)) continue;
      weight = parameters.weight ?? weight;
      isDisabled = parameters.disabled ?? isDisabled;
      if (isNarrow) attemptTimeoutMs = parameters.timeoutMs ?? attemptTimeoutMs;
    }
    if (isDisabled) {
      isSame = false;
    } else if (weight === endpoint.weight && attemptTimeoutMs === endpoint.attemptTimeoutMs) {
      changed.push(endpoint);
    } else {
      isSame = false;
      // Key and statistics stay: balancing goes on where it was.
      changed.push({ ...endpoint, weight, ...(attemptTimeoutMs !== undefined && { attemptTimeoutMs }) });
    }
  }
  return isSame ? endpoints : changed;
}

function callerOverrides(overrides: readonly Override[], target: RouteTarget): CallerOverrides {
  let all: CallerOverrides = {};
  const methods = new Map<string, MethodParameters>();
  for (const { parameters, asksInstances } of overrides) {
    if (asksInstances(target)) continue;
    const { timeoutMs, retries, balancer, cluster } = parameters;
    all = {
      ...all,
      ...(timeoutMs !== undefined && { timeoutMs }),
      ...(retries !== undefined && { retries }),
      ...(balancer !== undefined && { balancer }),
      ...(cluster !== undefined && { cluster }),
    };
    for (const [method, own] of parameters.methods ?? []) methods.set(method, { ...methods.get(method), ...own });
  }
  return methods.size === 0 ? all : { ...all, methods };
}
