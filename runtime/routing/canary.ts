import type { Call } from "../call/call.ts";
import { requestTag } from "../call/travelling.ts";
import { readDocument, type Field } from "../configuration/document.ts";
import type { Endpoint } from "../discovery/endpoint.ts";
import { mix, murmur3 } from "../numbers.ts";
import type { RouterPolicy } from "./router.ts";
import { staticTag, subset } from "./subset.ts";

/** How traffic without a request tag is split between versions. */
export interface CanaryRule {
  readonly enabled: boolean;
  /** The metadata key whose value decides; undefined draws for each call. */
  readonly hashKey: string | undefined;
  /** Rules with different salts decide independently; the same salt makes steps of one rollout monotone. */
  readonly salt: string;
  readonly split: readonly CanaryShare[];
}

export interface CanaryShare {
  readonly tag: string;
  /** Hundredths of a percent, as many as the tag has buckets. */
  readonly buckets: number;
}

/** A bucket is 0.01 %. */
export const canaryBuckets = 10_000;

/**
 * A weighted split between versions (governance of a canary release), `{service}.canary-router`.
 *
 * It decides about calls **without** a request tag, among all instances of the service; a call with one goes by the tag router
 * alone. A call's bucket is murmur3(salt + ":" + value) mod 10000, `value` being the metadata under `hashKey`; a call without it
 * draws one bucket, which its retries keep. The tags own the buckets from 0 on in the order of `split`: while a tag's
 * percentage grows, nobody who has reached it leaves it, and with a single tag nobody else moves.
 *
 * A tag's instances are those with that static tag (`dubbo.tag` in the metadata) and a weight above 0; when there are none its
 * calls go to the baseline. The baseline is what the tag router leaves for calls without a tag, minus the tags named here; if
 * that is empty, the instances with none of these tags; if that is empty too, all.
 *
 *     configVersion: v1.0
 *     scope: service
 *     key: orders
 *     enabled: true                # default
 *     hashKey: user-id             # default: draw for each call
 *     salt: orders-v2              # default: key
 *     split:
 *       - tag: v2
 *         percent: 10              # 0..100 in steps of 0.01; the rest goes to the baseline
 */
export const canary: RouterPolicy<CanaryRule> = {
  keys: ({ service }) => [`${service}.canary-router`],
  parse: readCanaryRule,
  stickyKey: (rule) => (rule.enabled ? rule.hashKey : undefined),
  compile: (rules, endpoints, { all, seed }) => {
    const rule = rules.find(({ enabled }) => enabled);
    if (rule === undefined) return () => endpoints;
    const bucketOf = bucketer(rule, seed);
    const split = lanes(rule, all, endpoints);
    return (call) => {
      if (requestTag(call) !== undefined) return endpoints;
      const bucket = bucketOf(call);
      const lanes = split();
      for (const lane of lanes.shares) if (bucket < lane.end) return lane.endpoints;
      return lanes.baseline;
    };
  },
};

function bucketer({ hashKey, salt }: CanaryRule, seed: number): (call: Call) => number {
  const prefix = `${salt}:`;
  const client = murmur3(prefix, seed);
  return (call) => {
    const value = hashKey === undefined ? undefined : call.metadata.get(hashKey);
    // A hash of client and call is as good as a die, and a retry finds the same number again.
    const hash = value === undefined ? mix(client ^ mix(call.id)) >>> 0 : murmur3(prefix + value);
    return hash % canaryBuckets;
  };
}

interface Lanes {
  readonly shares: readonly { readonly end: number; readonly endpoints: readonly Endpoint[] }[];
  readonly baseline: readonly Endpoint[];
}

/** Who gets which buckets; worked out for the first call without a tag, because tagged candidates never need it. */
function lanes(rule: CanaryRule, all: readonly Endpoint[], candidates: readonly Endpoint[]): () => Lanes {
  let lanes: Lanes | undefined;
  return () => (lanes ??= lanesOf(rule, all, candidates));
}

function lanesOf(rule: CanaryRule, all: readonly Endpoint[], candidates: readonly Endpoint[]): Lanes {
  const named = new Set(rule.split.map(({ tag }) => tag));
  const isBaseline = (endpoint: Endpoint): boolean => !named.has(staticTag(endpoint) ?? "");
  const baseline = [subset(candidates, isBaseline), subset(all, isBaseline)].find(isUsable) ?? all;
  let end = 0;
  const shares = rule.split.map(({ tag, buckets }) => {
    end += buckets;
    const own = subset(all, (endpoint) => staticTag(endpoint) === tag);
    return { end, endpoints: isUsable(own) ? own : baseline };
  });
  return { shares, baseline };
}

function isUsable(endpoints: readonly Endpoint[]): boolean {
  return endpoints.some(({ weight }) => weight > 0);
}

function readCanaryRule(content: string): CanaryRule {
  const document = readDocument(content);
  const fields = document.fields("configVersion", "scope", "key", "enabled", "hashKey", "salt", "split");
  fields.configVersion?.oneOf("v1.0");
  fields.scope?.oneOf("service");
  const key = document.required(fields, "key").text();
  const split = document.required(fields, "split");
  const hashKey = fields.hashKey?.text();
  if (hashKey === "") {
    throw fields.hashKey!.error(
      "WRONG_VALUE",
      "the hash key is empty",
      "the metadata key that users are known by: hashKey: user",
    );
  }
  return {
    enabled: fields.enabled?.boolean() ?? true,
    // Metadata keys are lower-case, as on the wire.
    hashKey: hashKey?.toLowerCase(),
    salt: fields.salt?.label() ?? key,
    split: readSplit(split),
  };
}

function readSplit(split: Field): readonly CanaryShare[] {
  const shares: CanaryShare[] = [];
  let left = canaryBuckets;
  for (const entry of split.list()) {
    const fields = entry.fields("tag", "percent");
    const tag = entry.required(fields, "tag");
    const name = tag.label();
    if (name === "") throw tag.error("WRONG_VALUE", "a tag is empty");
    if (shares.some((share) => share.tag === name)) {
      throw tag.error("WRONG_VALUE", `the tag "${name}" is named twice`);
    }
    const percent = entry.required(fields, "percent");
    const buckets = readPercent(percent);
    left -= buckets;
    if (left < 0) throw percent.error("WRONG_VALUE", "the percentages add up to more than 100");
    shares.push({ tag: name, buckets });
  }
  return shares;
}

function readPercent(field: Field): number {
  const percent = field.number({ min: 0, max: 100 });
  const buckets = Math.round(percent * 100);
  // 0.07 * 100 isn't 7 in binary, but nearly.
  if (Math.abs(percent * 100 - buckets) > 1e-6) {
    throw field.error("WRONG_VALUE", `${percent} % can't be split exactly`, "steps of 0.01");
  }
  return buckets;
}
