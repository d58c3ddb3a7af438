import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { RuleError } from "../configuration/rules.ts";
import type { Endpoint } from "../discovery/endpoint.ts";
import { call, client, endpoint } from "../fixtures.ts";
import { chainRoutes } from "./chain.ts";
import { tag } from "./tag.ts";

const fleet: readonly Endpoint[] = [
  endpoint({ id: "orders/0", address: "10.0.0.1:20880" }),
  endpoint({ id: "orders/1", address: "10.0.0.2:20880" }),
  endpoint({ id: "orders/2", address: "10.0.1.3:20880", tag: "gray" }),
  endpoint({ id: "orders/3", address: "10.0.1.4:20881", tag: "blue", metadata: { zone: "eu-1" } }),
];

function ids(content: string | undefined, metadata: Readonly<Record<string, string>> = {}): readonly string[] {
  const rules = content === undefined ? [] : [tag.parse(content)];
  return chainRoutes([{ policy: tag, rules }], fleet, client())(call({ metadata })).map(({ id }) => id.slice(-1));
}

const gray = { "dubbo.tag": "gray" };

describe("tag router", () => {
  // https://github.com/apache/dubbo-go/issues/3203: whether static tags and dynamic groups work, each by itself and together, was left open there.
  test("without a document static tags alone count", () => {
    expect(ids(undefined)).toEqual(["0", "1"]);
    expect(ids(undefined, gray)).toEqual(["2"]);
    expect(ids(undefined, { "dubbo.tag": "red" })).toEqual(["0", "1"]);
    expect(ids(undefined, { "dubbo.tag": "red", "dubbo.force.tag": "true" })).toEqual([]);
    expect(ids(undefined, { "dubbo.tag": "" })).toEqual(["0", "1"]);
  });

  test("a disabled document counts as none", () => {
    expect(ids("enabled: false\ntags: [{ name: gray, addresses: ['10.0.0.1:20880'] }]", gray)).toEqual(["2"]);
  });

  test("a dynamic group takes its members away from calls without the tag", () => {
    const rule = "tags: [{ name: gray, addresses: ['10.0.0.2:*'] }, { name: blue, addresses: [] }]";
    expect(ids(rule, gray)).toEqual(["1"]);
    expect(ids(rule)).toEqual(["0"]);
  });

  test("addresses may have wildcards, no port, any port, any host", () => {
    expect(ids("tags: [{ name: x, addresses: ['10.0.1.*:*'] }]", { "dubbo.tag": "x" })).toEqual(["2", "3"]);
    expect(ids("tags: [{ name: x, addresses: ['10.0.1.*:20881'] }]", { "dubbo.tag": "x" })).toEqual(["3"]);
    expect(ids("tags: [{ name: x, addresses: ['10.0.0.1'] }]", { "dubbo.tag": "x" })).toEqual(["0"]);
    expect(ids("tags: [{ name: x, addresses: ['10.0.0.1:0'] }]", { "dubbo.tag": "x" })).toEqual(["0"]);
    expect(ids("tags: [{ name: x, addresses: ['0.0.0.0:20881'] }]", { "dubbo.tag": "x" })).toEqual(["3"]);
  });

  test("a group may be described by labels, all of which must fit", () => {
    const match = (value: string): string => `tags: [{ name: eu, match: [{ key: zone, value: { ${value} } }] }]`;
    expect(ids(match("prefix: eu-"), { "dubbo.tag": "eu" })).toEqual(["3"]);
    expect(ids(match("noempty: true"), { "dubbo.tag": "eu" })).toEqual(["3"]);
    const two = "match: [{ key: zone, value: { exact: eu-1 } }, { key: instance, value: { exact: orders/1 } }]";
    expect(ids(`force: true\ntags: [{ name: eu, ${two} }]`, { "dubbo.tag": "eu" })).toEqual([]);
  });

  test("an empty group falls back to the static tag, then out of all lanes; with force to nobody", () => {
    const rule = "tags: [{ name: gray, addresses: ['10.9.9.9:1'] }, { name: red, addresses: ['10.0.0.1:20880'] }]";
    expect(ids(rule, gray)).toEqual(["2"]);
    expect(ids(rule, { "dubbo.tag": "white" })).toEqual(["1"]);
    expect(ids(`force: true\n${rule}`, gray)).toEqual([]);
  });

  test("as in Dubbo for Java, a rule opens the static lanes that it doesn't name", () => {
    expect(ids("tags: [{ name: gray, addresses: [] }]")).toEqual(["0", "1", "3"]);
  });

  test("with every address in some group an untagged call gets nothing", () => {
    expect(ids("tags: [{ name: x, addresses: ['*'] }]")).toEqual([]);
  });

  test("without a restriction it is the very same array", () => {
    const plain = fleet.slice(0, 2);
    const route = chainRoutes([{ policy: tag, rules: [] }], plain, client());
    expect(route(call())).toBe(plain);
    expect(route(call({ metadata: gray }))).toBe(plain);
  });

  test.each([
    ["tags:\n  - nam: gray", "UNKNOWN_KEY", 2, /did you mean "name"/],
    ["tags: []\nforce: 1", "WRONG_TYPE", 2, /true or false/],
    ["enabled: true", "MISSING_KEY", 1, undefined],
    ["tags:\n  - name: gray\n    addresses: ['10.0.0.0/8']", "WRONG_VALUE", 3, /host:port/],
    ["configVersion: v9.0\ntags: []", "WRONG_VALUE", 1, /v3\.0/],
  ])("%j is refused with its line", (content, code, line, hint) => {
    const error = thrown(() => tag.parse(content));
    expect(error).toMatchObject({ code, line });
    if (hint !== undefined) expect(error.hint).toMatch(hint);
  });

  test("says the same as the prose of Dubbo's rule format, read instance by instance", () => {
    const names = fc.constantFrom("gray", "blue", "red");
    const instances = fc.array(fc.record({ tag: fc.option(names, { nil: undefined }), host: fc.nat({ max: 4 }) }), {
      maxLength: 8,
    });
    const document = fc.record({
      enabled: fc.boolean(),
      force: fc.boolean(),
      tags: fc.uniqueArray(fc.record({ name: names, hosts: fc.array(fc.nat({ max: 4 }), { maxLength: 2 }) }), {
        selector: ({ name }) => name,
      }),
    });
    fc.assert(
      fc.property(
        instances,
        fc.option(document, { nil: undefined }),
        fc.option(names, { nil: undefined }),
        fc.boolean(),
        (inits, rule, wanted, isForced) => {
          const endpoints = inits.map(({ tag, host }, index) =>
            endpoint({ id: `orders/${index}`, address: `10.0.0.${host}:1`, tag }),
          );
          const rules = rule === undefined ? [] : [tag.parse(asDocument(rule))];
          const metadata = { ...(wanted && { "dubbo.tag": wanted }), ...(isForced && { "dubbo.force.tag": "true" }) };
          const routed = chainRoutes([{ policy: tag, rules }], endpoints, client())(call({ metadata }));
          expect(routed).toEqual(byTheBook(endpoints, rule?.enabled === true ? rule : undefined, wanted, isForced));
        },
      ),
      { numRuns: 500 },
    );
  });
});

interface Book {
  readonly enabled: boolean;
  readonly force: boolean;
  readonly tags: readonly { readonly name: string; readonly hosts: readonly number[] }[];
}

/** JSON is YAML too. */
function asDocument({ enabled, force, tags }: Book): string {
  const groups = tags.map(({ name, hosts }) => ({ name, addresses: hosts.map((host) => `10.0.0.${host}:*`) }));
  return JSON.stringify({ configVersion: "v3.0", enabled, force, key: "orders", tags: groups });
}

function byTheBook(
  endpoints: readonly Endpoint[],
  rule: Book | undefined,
  wanted: string | undefined,
  isForced: boolean,
): readonly Endpoint[] {
  const host = ({ address }: Endpoint): number => Number(address.split(/[.:]/)[3]);
  const isIn = (group: Book["tags"][number], candidate: Endpoint): boolean => group.hosts.includes(host(candidate));
  const isGrouped = (candidate: Endpoint): boolean => rule?.tags.some((group) => isIn(group, candidate)) ?? false;
  const own = (candidate: Endpoint): string | undefined => candidate.metadata["dubbo.tag"];
  if (wanted === undefined) {
    return endpoints.filter((candidate) => {
      if (isGrouped(candidate)) return false;
      if (own(candidate) === undefined) return true;
      return rule !== undefined && rule.tags.length > 0 && !rule.tags.some(({ name }) => name === own(candidate));
    });
  }
  const group = rule?.tags.find(({ name }) => name === wanted);
  if (group !== undefined) {
    const members = endpoints.filter((candidate) => isIn(group, candidate));
    if (members.length > 0 || rule!.force) return members;
  }
  const registered = endpoints.filter((candidate) => own(candidate) === wanted);
  if (registered.length > 0 || isForced) return registered;
  return endpoints.filter((candidate) => own(candidate) === undefined && !isGrouped(candidate));
}

function thrown(work: () => unknown): RuleError {
  try {
    work();
  } catch (error) {
    if (error instanceof RuleError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}
