import { describe, expect, test } from "vitest";

import { analyse } from "./analyse.ts";
import { readRuleDocument } from "./documents.ts";
import type { PreflightError } from "./error.ts";
import { readFleet } from "./fleet.ts";

const fleetText = (more = ""): string => `
services:
  orders:
    instances:
      - { id: orders/0, address: 10.0.0.1:20880, labels: { region: r1 } }
      - { id: orders/1, address: 10.0.0.2:20880, labels: { region: r1, env: gray } }
      - { id: orders/2, address: 10.0.0.3:20880, labels: { region: r2 } }
${more}`;
const rule = (conditions: readonly string[], head = "force: true"): string =>
  `configVersion: v3.0\nenabled: true\n${head}\nconditions:\n${conditions.map((text) => `  - ${text}\n`).join("")}`;

function looked(documents: Readonly<Record<string, string>>, fleet = fleetText()) {
  const read = Object.entries(documents).map(([name, content]) => readRuleDocument(`${name}.yaml`, content));
  return analyse(read, readFleet("fleet.yaml", fleet));
}
const errors = (...given: Parameters<typeof looked>) =>
  looked(...given)
    .findings.filter(({ level }) => level === "error")
    .map(({ kind, key, line, message, request }) => ({
      kind,
      key,
      line,
      message,
      request: request?.text,
      to: request?.to.map(({ share, instances }) => [share, instances.map((id) => id.slice(-1)).join("")] as const),
    }));
const orders = "orders.condition-router";

describe("preflight", () => {
  test("says where which requests go, and finds nothing where nothing is wrong", () => {
    const { services, findings, requests } = looked({
      [orders]: rule(["method=pay => region=r2", "attachments[gray]=true & method!=pay => env=gray"]),
    });
    expect(findings).toEqual([]);
    expect(requests).toBe(3);
    expect(
      services[0]!.routes.map(({ why, request }) => [why, request.text, request.to.map(({ instances }) => instances)]),
    ).toEqual([
      ["no condition means it", "any-caller → orders", [["orders/0", "orders/1", "orders/2"]]],
      [`${orders}:5`, "any-caller → orders.pay", [["orders/2"]]],
      [`${orders}:6`, "any-caller → orders.other  attachments[gray]=true", [["orders/1"]]],
    ]);
  });

  test("two conditions that no instance fits both, with the request that shows it", () => {
    expect(errors({ [orders]: rule(["method=pay => region=r2", "attachments[gray]=true => env=gray"]) })).toEqual([
      {
        kind: "contradiction",
        key: orders,
        line: 6,
        message: `"attachments[gray]=true => env=gray" and line 5, "method=pay => region=r2", leave such requests nobody`,
        request: "any-caller → orders.pay  attachments[gray]=true",
        to: [[1, ""]],
      },
    ]);
    const [passed] = errors({ [orders]: rule(["=> region=r2", "=> env=gray"], "force: false") });
    expect(passed).toMatchObject({ kind: "contradiction", to: [[1, "2"]] });
    expect(passed!.message).toMatch(/is passed over where line 5/);
  });

  test("a split of which a part meets nobody", () => {
    const split = JSON.stringify({
      configVersion: "v3.1",
      enabled: true,
      force: true,
      conditions: [
        {
          from: { match: "" },
          to: [
            { match: "region=r1", weight: 25 },
            { match: "region=r2", weight: 75 },
          ],
        },
        { from: { match: "method=pay" }, to: [{ match: "region=r2" }] },
      ],
    });
    const [found] = errors({ [orders]: split });
    expect(found).toMatchObject({ kind: "contradiction", request: "any-caller → orders.pay" });
    expect(found!.message).toMatch(/leave 25 % of such requests nobody/);
    expect(found!.to).toEqual([
      [0.25, ""],
      [0.75, "2"],
    ]);
  });

  test.each([
    ["attachments[a]=1 & attachments[a]!=1 => region=r1", /no value of attachments\[a\] fits/],
    ["attachments[a]!=* => region=r1", /no value of attachments\[a\] fits/],
    ["attachments[n]=5~1 => region=r1", /no value of attachments\[n\] fits/],
    ["side=provider => region=r1", /no caller of orders says of itself what side asks/],
  ])("a left side that means no request: %s", (text, message) => {
    expect(errors({ [orders]: rule([text]) })).toMatchObject([
      { kind: "never-matches", line: 5, message: expect.stringMatching(message) as string },
    ]);
  });

  test("a caller that isn't there, where it is said who calls", () => {
    const callers = "callers: { storefront: { labels: { zone: a } } }";
    const asked = {
      [orders]: rule(["application=crawler => region=r1", "zone=b => region=r1", "zone!=b => region=r2"]),
    };
    expect(errors(asked, fleetText(callers)).filter(({ kind }) => kind === "never-matches")).toMatchObject([
      { line: 5 },
      { line: 6 },
    ]);
    // Where nobody says so, anybody may call.
    expect(errors(asked).filter(({ kind }) => kind === "never-matches")).toEqual([]);
  });

  test("a right side that means no instance", () => {
    expect(errors({ [orders]: rule(["method=pay => region=r9"]) })).toMatchObject([
      {
        kind: "no-instance",
        line: 5,
        message: `"region=r9" means no instance of orders: such requests get nobody`,
        to: [[1, ""]],
      },
    ]);
    expect(looked({ [orders]: rule(["=> zone=a"], "force: false") }).findings[0]).toMatchObject({
      kind: "no-instance",
      hint: "no instance has the label zone",
    });
  });

  test("instances that no request reaches, by rules, weight or override", () => {
    const found = looked(
      {
        [orders]: rule(["=> region=r1"]),
        "orders.configurators":
          "configs: [{ match: { param: [{ key: instance, value: { exact: orders/1 } }] }, parameters: { disabled: true } }]",
      },
      fleetText("      - { id: orders/3, address: 10.0.0.4:20880, labels: { region: r1 }, weight: 0 }"),
    ).findings.filter(({ kind }) => kind === "unreachable");
    expect(found.map(({ level, message }) => [level, message])).toEqual([
      ["warning", "1 of 4 instances of orders are called by nobody, by an override: orders/1"],
      ["warning", "1 of 4 instances of orders are called by nobody, by weight 0: orders/3"],
      ["error", "1 of 4 instances of orders are called by nobody, by these rules: orders/2"],
    ]);
  });

  test("a caller without a zone, under an affinity that never overflows", () => {
    const found = errors({ "orders.affinity-router": "affinityAware: { key: region, ratio: 0 }" });
    expect(found).toMatchObject([{ kind: "nobody", request: "any-caller → orders", to: [[1, ""]] }]);
    expect(errors({ "orders.affinity-router": "affinityAware: { key: region, ratio: 20 }" })).toEqual([]);
  });

  test("a destination that is too small for its ratio", () => {
    const split = {
      configVersion: "v3.1",
      enabled: true,
      conditions: [{ from: { match: "" }, to: [{ match: "region=r2" }], ratio: 50 }],
    };
    expect(errors({ [orders]: JSON.stringify(split) })).toMatchObject([
      { kind: "nobody", key: orders },
      { kind: "unreachable" },
    ]);
  });

  test("what comes after a denial", () => {
    expect(
      errors({ [orders]: rule(["application=crawler =>", "application=crawler & method=pay => region=r1"]) }),
    ).toMatchObject([{ kind: "contradiction", line: 6, message: expect.stringMatching(/comes too late/) as string }]);
    // A denial by itself is what somebody wanted.
    expect(errors({ [orders]: rule(["application=crawler =>"]) })).toEqual([]);
  });

  test("lanes and versions without instances", () => {
    expect(
      errors({
        "orders.tag-router": "tags: [ { name: blue, addresses: ['10.9.9.9:1'] } ]",
        "orders.canary-router": "key: orders\nsplit: [ { tag: v2, percent: 10 }, { tag: v3, percent: 0 } ]",
      }).map(({ kind, message }) => [kind, message.split(":")[0]]),
    ).toEqual([
      ["no-instance", `no instance of orders is in "blue"`],
      ["no-instance", `no instance of orders is in "v2"`],
    ]);
  });

  test("what dubbo-go does with what it can't read is told of what it can't read, and of nothing else", () => {
    const told = (content: string): readonly string[] =>
      looked({ [orders]: content }).findings.flatMap(({ kind, message }) => (kind === "dubbo-go" ? [message] : []));
    expect(told("conditions: [")).toMatchObject([expect.stringMatching(/clears the rule/)]);
    expect(told("configVersion: 3.0\nconditions: []")).toMatchObject([expect.stringMatching(/clears the rule/)]);
    // Refused here, and read there.
    expect(told(rule(["=> region"]))).toEqual([]);
    expect(told(`${rule(["=> region=*"])}unknown: 1\n`)).toEqual([]);
  });

  test("a kind that Flyball doesn't have is left out, and the rest is looked at", () => {
    const { findings, services } = looked({
      "orders.script-router": "type: javascript",
      [orders]: rule(["=> region=r1"]),
    });
    const ofScript = findings.filter(({ key }) => key === "orders.script-router");
    expect(ofScript).toMatchObject([{ kind: "portability", level: "warning" }]);
    expect(services[0]!.routes.length).toBeGreaterThan(0);
  });

  test("an override by Dubbo's documented match.application works, and is warned of", () => {
    const { findings } = looked({
      "orders.configurators":
        "configs: [ { side: consumer, match: { application: { oneof: [ { exact: shop } ] } }, parameters: { retries: 0 } } ]",
    });
    expect(findings.filter(({ kind }) => kind === "portability")).toMatchObject([{ hint: "app", line: 1 }]);
  });

  test("documents that can't be read, and documents that nobody reads", () => {
    expect(
      errors({ [orders]: rule(["=> region"]), "flyball.worker.v1.Worker.condition-router": rule(["=> region=*"]) }),
    ).toMatchObject([
      { kind: "malformed", key: orders, line: 5 },
      { kind: "concerns-nobody", message: "nobody of this fleet reads flyball.worker.v1.Worker.condition-router" },
    ]);
    expect(errors({ "flyball.worker.v1.Worker::orders.condition-router": rule(["=> region=*"]) })).toEqual([]);
    expect(errors({ "payments.tag-router": "tags: []" })).toMatchObject([{ kind: "concerns-nobody" }]);
  });

  test.each([
    [{ [orders]: rule(["=> region=*"], "force: false") }, /ignores a rule that is enabled and not forced/],
    [{ [orders]: rule(["=> region=*"], "").replace("enabled: true", "") }, /dies of a rule without "enabled"/],
    [
      { [orders]: rule(["=> region=*"]).replace("enabled: true", "enabled: false") },
      /applies this rule although it is disabled/,
    ],
    [{ [orders]: rule(["=> region=*"]).replace("configVersion: v3.0\n", "") }, /without configVersion/],
    [{ [orders]: `configVersion: v3.1\nconditions: []` }, /doesn't say enabled/],
    [{ "orders.configurators": "configs: []" }, /and not live/],
    [{ "orders.affinity-router": "affinityAware: { key: region, ratio: 1 }" }, /imports it/],
    [
      { "orders.tag-router": "tags: [ { name: gray, match: [ { key: env, value: { exact: gray } } ] } ]" },
      /without a tag reach/,
    ],
  ])("dubbo-go 3.3.2 acts otherwise: %j", (documents, message) => {
    const found = looked(documents).findings.filter(({ kind }) => kind === "dubbo-go");
    expect(found).toMatchObject([{ level: "warning", message: expect.stringMatching(message) as string }]);
    expect(found[0]!.request).toBeDefined();
  });

  test("the application of a caller has documents of its own", () => {
    const { services } = looked({ "storefront.condition-router": rule(["=> region=r2"]) });
    expect(services[0]!.routes.map(({ request }) => [request.text, request.to[0]!.count])).toEqual([
      ["any-caller → orders", 3],
      ["storefront → orders", 1],
      ["storefront → orders", 1],
    ]);
  });

  test("a thousand mistakes of one kind are told in part", () => {
    const { findings } = looked({
      [orders]: rule(Array.from({ length: 300 }, (_, index) => `method=m${index} => region=r${index + 9}`)),
    });
    const kinds = findings.filter(({ kind }) => kind === "no-instance");
    expect(kinds).toHaveLength(101);
    expect(kinds.at(-1)!.message).toBe("… and 200 more of this kind");
  });
});

describe("what is given", () => {
  const codeOf = (act: () => unknown): unknown => {
    try {
      return act();
    } catch (error) {
      return (error as PreflightError).code;
    }
  };

  test("a document is known by its file's name, else by what it says", () => {
    const key = (name: string, content: string) => codeOf(() => readRuleDocument(name, content).key);
    expect(key("a/b/x:1.0:g.condition-router.yml", "")).toBe("x:1.0:g.condition-router");
    expect(key("orders.tag-router", "")).toBe("orders.tag-router");
    expect(key("rule.yaml", "key: orders\ntags: []")).toBe("orders.tag-router");
    // An interface's key names version and group, also where they are empty.
    const ofInterface = (own: string) => key("rule.yaml", `scope: service\nkey: ${own}\nconditions: []`);
    expect(ofInterface("org.apache.demo.OrderService")).toBe("org.apache.demo.OrderService::.condition-router");
    expect(ofInterface("org.apache.demo.OrderService:1.0.0")).toBe(
      "org.apache.demo.OrderService:1.0.0:.condition-router",
    );
    expect(ofInterface("x.Y:1.0.0:g")).toBe("x.Y:1.0.0:g.condition-router");
    expect(ofInterface("orders")).toBe("orders.condition-router");
    expect(key("rule.yaml", "key: orders\ntype: javascript\nscript: |\n  x")).toBe("orders.script-router");
    expect(key("rule.yaml", "tags: []")).toBe("UNKNOWN_KIND");
    expect(key("rule.yaml", "key: orders")).toBe("UNKNOWN_KIND");
    expect(key("rule.yaml", "a: &a [*a]")).toBe("UNKNOWN_KIND");
  });

  test.each([
    [
      "services: { orders: { instances: [ { address: nowhere } ] } }",
      /services\.orders\.instances\.0\.address: an address/,
    ],
    ["[ { address: '10.0.0.1:1' } ]", /0\.service/],
    ["7", /Invalid input|expected/],
    ["a: [", /neither YAML nor JSON/],
    ["services: { orders: { instance: [] } }", /instance/],
  ])("instances that can't be read are refused: %s", (content, message) => {
    expect(() => readFleet("fleet.yaml", content)).toThrow(message);
    expect(codeOf(() => readFleet("fleet.yaml", content))).toBe("INVALID_INSTANCES");
  });

  test("instances may be a list that names their services", () => {
    const { services, callers } = readFleet(
      "f.json",
      JSON.stringify([
        { service: "a", address: "h:1" },
        { service: "b", address: "h:2", tag: "gray" },
      ]),
    );
    expect(services.map(({ name, endpoints }) => [name, endpoints[0]!.id, endpoints[0]!.metadata])).toEqual([
      ["a", "h:1", {}],
      ["b", "h:2", { "dubbo.tag": "gray" }],
    ]);
    expect(callers).toBeUndefined();
  });
});
