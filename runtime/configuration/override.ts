import type { Endpoint } from "../discovery/endpoint.ts";
import { readDocument, type Field } from "./document.ts";
import { addressMatch, textMatch } from "./match.ts";
import type { RulePolicy } from "./rules.ts";

/** Dubbo's configurators: what an operator sets for running instances, without restarting them. */
export interface OverrideRule {
  /** In the document's order; a later one wins. */
  readonly overrides: readonly Override[];
}

export interface Override {
  /** Whether the instance is meant. */
  readonly matches: (endpoint: Endpoint) => boolean;
  /** The weight to balance by, instead of the registered one. */
  readonly weight: number | undefined;
  /** True takes the instance out of every list, false brings it back. */
  readonly disabled: boolean | undefined;
}

export const noOverrides: OverrideRule = { overrides: [] };

/** Larger weights say nothing more, and their sums stay exact. */
export const weightMax = 1_000_000;

/**
 * `{service}.configurators`, configVersion v3.0. Of Dubbo's parameters `weight` and `disabled` exist so far; others are refused,
 * never ignored. `match` narrows by `address` or `providerAddress` ({ wildcard | exact }) and by `param`: `instance` is the
 * instance's id ("orders/1"), any other key a label of its metadata. Conditions are AND-ed; without any all instances are meant.
 *
 *     configVersion: v3.0
 *     scope: service
 *     key: orders
 *     enabled: true                # default
 *     configs:
 *       - side: provider
 *         match: { param: [ { key: instance, value: { exact: orders/1 } } ] }
 *         parameters: { weight: 50 }
 */
export const overrideRules: RulePolicy<OverrideRule> = {
  keys: ({ service }) => [`${service}.configurators`],
  parse: (content) => {
    const document = readDocument(content);
    const fields = document.fields("configVersion", "scope", "key", "enabled", "configs");
    fields.configVersion?.oneOf("v3.0");
    fields.scope?.oneOf("service", "application");
    fields.key?.text();
    const overrides = document.required(fields, "configs").list().map(readConfig);
    const isEnabled = fields.enabled?.boolean() ?? true;
    return { overrides: isEnabled ? overrides.filter((override) => override !== undefined) : [] };
  },
};

function readConfig(config: Field): Override | undefined {
  const fields = config.fields("side", "enabled", "match", "parameters");
  fields.side?.oneOf("provider", "consumer");
  const matches = fields.match === undefined ? () => true : readMatch(fields.match);
  const { weight, disabled } = config.required(fields, "parameters").fields("weight", "disabled");
  const override = {
    matches,
    weight: weight?.integer({ min: 0, max: weightMax }),
    disabled: disabled?.boolean(),
  };
  return (fields.enabled?.boolean() ?? true) ? override : undefined;
}

function readMatch(match: Field): (endpoint: Endpoint) => boolean {
  const { address, providerAddress, param } = match.fields("address", "providerAddress", "param");
  const conditions: ((endpoint: Endpoint) => boolean)[] = [];
  for (const field of [address, providerAddress]) if (field !== undefined) conditions.push(readAddress(field));
  if (param !== undefined) conditions.push(...param.list().map(paramMatch));
  return (endpoint) => conditions.every((condition) => condition(endpoint));
}

function readAddress(field: Field): (endpoint: Endpoint) => boolean {
  const { wildcard, exact } = field.fields("wildcard", "exact");
  const pattern = wildcard ?? exact;
  if (pattern === undefined || (wildcard !== undefined && exact !== undefined)) {
    throw field.error("WRONG_VALUE", "an address match has one condition", "one of: wildcard, exact");
  }
  const matches = addressMatch(pattern);
  return ({ address }) => matches(address);
}

/** `{ key, value: StringMatch }`: a condition on the instance's id (`instance`) or on a label of its metadata. */
export function paramMatch(field: Field): (endpoint: Endpoint) => boolean {
  const fields = field.fields("key", "value");
  const key = field.required(fields, "key").text();
  const matches = textMatch(field.required(fields, "value"));
  return (endpoint) => matches(key === "instance" ? endpoint.id : endpoint.metadata[key]);
}

/** The endpoints as the rule wants them: the same array, and the same objects, where nothing changes. */
export function withOverrides(endpoints: readonly Endpoint[], rule: OverrideRule): readonly Endpoint[] {
  if (rule.overrides.length === 0) return endpoints;
  const changed: Endpoint[] = [];
  let isSame = true;
  for (const endpoint of endpoints) {
    let { weight } = endpoint;
    let isDisabled = false;
    for (const override of rule.overrides) {
      if (!override.matches(endpoint)) continue;
      weight = override.weight ?? weight;
      isDisabled = override.disabled ?? isDisabled;
    }
    if (isDisabled) {
      isSame = false;
    } else if (weight === endpoint.weight) {
      changed.push(endpoint);
    } else {
      isSame = false;
      // Key and statistics stay: balancing goes on where it was.
      changed.push({ ...endpoint, weight });
    }
  }
  return isSame ? endpoints : changed;
}
