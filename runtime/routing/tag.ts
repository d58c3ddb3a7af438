import { requestTag } from "../call/travelling.ts";
import { readDocument, type Field } from "../configuration/document.ts";
import { addressMatch } from "../configuration/match.ts";
import { paramMatch } from "../configuration/override.ts";
import type { Endpoint } from "../discovery/endpoint.ts";
import type { RouterPolicy } from "./router.ts";
import { staticTag, subset } from "./subset.ts";

/** Which instances belong to which tag, beside those that registered with one. */
export interface TagRule {
  readonly enabled: boolean;
  /** A tagged call whose group is empty gets nothing, instead of an instance outside all lanes. */
  readonly force: boolean;
  readonly groups: readonly TagGroup[];
}

export interface TagGroup {
  readonly tag: string;
  readonly contains: (endpoint: Endpoint) => boolean;
}

/**
 * Tag routing as in Dubbo (v3.0 rules, `{provider application}.tag-router`): lanes of instances that calls enter by their tag.
 *
 * An instance has a static tag (`dubbo.tag` in its metadata) or belongs to dynamic groups of the rule; a call has the tag in its metadata
 * (`dubbo.tag`), or in its baggage under the same name. A call with a tag gets the tag's dynamic group if that has members (or the rule
 * says `force`), else the instances with that static tag (or nothing, if the call's `dubbo.force.tag` is "true"), else those in no lane
 * at all. A call without a tag gets those in no dynamic group and without a static tag; as in Dubbo for Java, a rule opens a static lane
 * that it doesn't name to them. Without a document, or with `enabled: false`, static tags alone count.
 *
 *     configVersion: v3.0
 *     force: false                 # default
 *     enabled: true                # default
 *     key: orders
 *     tags:
 *       - name: gray
 *         addresses: ["10.0.0.3:20880", "10.0.1.*:*"]
 *       - name: eu
 *         match: [ { key: zone, value: { prefix: eu- } } ]
 */
export const tag: RouterPolicy<TagRule> = {
  keys: ({ service }) => [`${service}.tag-router`],
  parse: readTagRule,
  compile: (rules, endpoints) => {
    const rule = rules.find(({ enabled }) => enabled) ?? { enabled: true, force: false, groups: [] };
    const lanes = lanesOf(rule, endpoints);
    const none: readonly Endpoint[] = [];
    return (call) => {
      const wanted = requestTag(call);
      if (wanted === undefined) return lanes.untagged;
      const group = lanes.groups.get(wanted);
      if (group !== undefined && (group.length > 0 || rule.force)) return group;
      const registered = lanes.registered.get(wanted);
      if (registered !== undefined) return registered;
      return call.metadata.get("dubbo.force.tag") === "true" ? none : lanes.outside;
    };
  },
};

function lanesOf(rule: TagRule, endpoints: readonly Endpoint[]) {
  const groups = new Map<string, readonly Endpoint[]>();
  for (const { tag: name } of rule.groups) {
    if (groups.has(name)) continue;
    const same = rule.groups.filter((group) => group.tag === name);
    groups.set(
      name,
      subset(endpoints, (endpoint) => same.some((group) => group.contains(endpoint))),
    );
  }
  const grouped = new Set([...groups.values()].flat());
  const registered = new Map<string, Endpoint[]>();
  for (const endpoint of endpoints) {
    const own = staticTag(endpoint);
    if (own === undefined) continue;
    const lane = registered.get(own);
    if (lane === undefined) registered.set(own, [endpoint]);
    else lane.push(endpoint);
  }
  const outside = subset(endpoints, (endpoint) => !grouped.has(endpoint) && staticTag(endpoint) === undefined);
  const untagged = subset(endpoints, (endpoint) => {
    if (grouped.has(endpoint)) return false;
    const own = staticTag(endpoint);
    return own === undefined || (groups.size > 0 && !groups.has(own));
  });
  return { groups, registered, outside, untagged: untagged.length === outside.length ? outside : untagged };
}

function readTagRule(content: string): TagRule {
  const document = readDocument(content);
  // Dubbo writes the others too, and no longer uses them.
  const fields = document.fields(
    ...["configVersion", "scope", "key", "enabled", "force", "tags", "priority", "runtime", "dynamic", "valid"],
  );
  fields["configVersion"]?.oneOf("v3.0");
  fields["scope"]?.oneOf("application", "service");
  fields["key"]?.text();
  return {
    enabled: fields["enabled"]?.boolean() ?? true,
    force: fields["force"]?.boolean() ?? false,
    groups: document.required(fields, "tags").list().map(readGroup),
  };
}

function readGroup(group: Field): TagGroup {
  const fields = group.fields("name", "addresses", "match");
  const { addresses, match } = fields;
  const byAddress = addresses?.list().map(addressMatch);
  const byLabel = match?.list().map(paramMatch);
  return {
    tag: group.required(fields, "name").label(),
    // Dubbo: one address is enough; labels must all fit.
    contains: (endpoint) =>
      (byAddress?.some((matches) => matches(endpoint.address)) ?? false) ||
      (byLabel?.every((matches) => matches(endpoint)) ?? false),
  };
}
