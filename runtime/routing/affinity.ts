import { readDocument } from "../configuration/document.ts";
import { scopedKeys, type RouterPolicy } from "./router.ts";
import { callerValues, instanceValue } from "./sides.ts";
import { subset } from "./subset.ts";

/** Which instances a caller prefers. */
export interface AffinityRule {
  readonly enabled: boolean;
  /** The label in which caller and instance must agree: "zone". */
  readonly key: string;
  /** A percentage of the candidates. */
  readonly ratio: number;
}

/**
 * Affinity as in Dubbo 3.3 (same zone, same region), `{service | application}.affinity-router`: a caller's calls stay with the
 * instances whose label `key` equals its own, as long as those are at least `ratio` % of the candidates; else its calls overflow
 * to all of them. With ratio 0 they never do: a caller without any instance of its own kind, or without the label, gets nobody.
 * Of several documents each narrows what the one before has left.
 *
 *     configVersion: v3.1
 *     scope: application
 *     key: orders
 *     enabled: true                # default
 *     runtime: true                # read, and not used
 *     affinityAware:
 *       key: zone
 *       ratio: 30                  # 0..100
 */
export const affinity: RouterPolicy<AffinityRule> = {
  keys: (target) => scopedKeys(target, "affinity-router"),
  parse: readAffinityRule,
  compile: (rules, endpoints, { target }) => {
    const caller = callerValues(target);
    const { service, interfaceName } = target;
    let left = endpoints;
    for (const { enabled, key, ratio } of rules) {
      if (!enabled || left.length === 0) continue;
      const own = caller(key);
      const near = subset(
        left,
        (endpoint) => own !== undefined && instanceValue(endpoint, key, service, interfaceName) === own,
      );
      if (near.length * 100 >= ratio * left.length) left = near;
    }
    return () => left;
  },
};

function readAffinityRule(content: string): AffinityRule {
  const document = readDocument(content);
  const fields = document.fields("configVersion", "scope", "key", "enabled", "runtime", "affinityAware");
  fields.configVersion?.oneOf("v3.1");
  fields.scope?.oneOf("service", "application");
  fields.key?.label();
  fields.runtime?.boolean();
  const aware = document.required(fields, "affinityAware");
  const inner = aware.fields("key", "ratio");
  return {
    enabled: fields.enabled?.boolean() ?? true,
    key: aware.required(inner, "key").label(),
    ratio: aware.required(inner, "ratio").integer({ min: 0, max: 100 }),
  };
}
