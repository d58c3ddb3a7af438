import fc from "fast-check";
import { describe, expect, test } from "vitest";

import type { Instance } from "../ports/registry.ts";
import {
  checkInstance,
  escape,
  formatUrl,
  instanceParameters,
  merged,
  parseUrl,
  providerOf,
  unescape,
  type Provider,
} from "./dubbo.ts";

const text = fc.string({ unit: "grapheme", maxLength: 40 });
const key = fc.oneof(
  text.filter((each) => each !== ""),
  fc.constantFrom("version", "group", "weight", "timestamp", "dubbo.tag", "flyball.id", "flyball.version", "id", "pid"),
);
const instance: fc.Arbitrary<Instance> = fc.record({
  id: text.filter((each) => each !== ""),
  service: fc.constant("orders"),
  address: fc.tuple(fc.ipV4(), fc.integer({ min: 1, max: 65_535 })).map(([host, port]) => `${host}:${port}`),
  weight: fc.integer({ min: 0, max: 1_000_000 }),
  metadata: fc.dictionary(key, text, { noNullPrototype: true, maxKeys: 10 }),
});

describe("an instance of ours", () => {
  test("comes back as it was, whatever its labels are called", () => {
    fc.assert(
      fc.property(instance, fc.nat(), (sent, timestampMs) => {
        const provider = providerOf(sent.address, "orders", instanceParameters(sent, timestampMs));
        expect(provider?.instance).toEqual(sent);
      }),
    );
  });

  test("comes back from a URL in a node's name", () => {
    fc.assert(
      fc.property(instance, (sent) => {
        const parameters = instanceParameters(sent, 1);
        const url = formatUrl({ protocol: "tri", address: sent.address, path: "a.B", parameters });
        const read = parseUrl(unescape(escape(url)));
        expect(read).toMatchObject({ protocol: "tri", address: sent.address, path: "a.B" });
        expect(providerOf(sent.address, "orders", read!.parameters)?.instance).toEqual(sent);
      }),
    );
  });

  test("doesn't hide from those who ask for Dubbo's version, because it has a label of that name", () => {
    const parameters = instanceParameters(
      { id: "orders/0", service: "orders", address: "h:1", weight: 1, metadata: { version: "2" } },
      1,
    );
    expect([...parameters.keys()]).toEqual(["flyball.id", "timestamp", "weight", "flyball.version"]);
  });

  test.each([
    [{ address: "nowhere" }, /"host:port"/],
    [{ address: "h:0" }, /"host:port"/],
    [{ weight: 1.5 }, /integer from 0/],
    [{ weight: -1 }, /integer from 0/],
    [{ service: "a/b" }, /without "\/"/],
    [{ service: ".." }, /without "\/"/],
    [{ id: "" }, /short text/],
    [{ id: "a\nb" }, /short text/],
    [{ metadata: { "": "x" } }, /a label has a key/],
    [{ metadata: { x: "y".repeat(1025) } }, /at most 1024 characters/],
    [{ metadata: Object.fromEntries(Array.from({ length: 65 }, (_, index) => [`k${index}`, ""])) }, /at most 64/],
  ])("that can't be registered is refused: %j", (wrong, message) => {
    const right = { id: "orders/0", service: "orders", address: "h:1", weight: 1, metadata: {} };
    expect(() => checkInstance({ ...right, ...(wrong as Partial<Instance>) })).toThrow(message);
    expect(() => checkInstance(right)).not.toThrow();
  });
});

describe("a foreign provider", () => {
  // As dubbo-go 3.3.2 writes it.
  const dubboGo =
    "tri://127.0.0.1:20100/testbed.echo.v1.EchoService?IDL-mode=IDL&anyhost=true&application=go-prov&bean.name=EchoImpl" +
    "&cluster=failover&dubbo.tag=gray&export=true&interface=testbed.echo.v1.EchoService&loadbalance=random&methods=Echo,echo" +
    "&module=sample&name=go-prov&organization=dubbo-go&owner=dubbo-go&pid=1672&region=hz&registry=zookeeper&registry.role=3" +
    "&registry.type=interface&release=dubbo-golang-3.3.2&service.filter=echo,token&side=provider&timestamp=1795410749&weight=0";

  test("of dubbo-go is read: its weight 0 is a mistake of its own, its time is in seconds, its useful keys are labels", () => {
    const url = parseUrl(dubboGo)!;
    expect(url).toMatchObject({ protocol: "tri", address: "127.0.0.1:20100", path: "testbed.echo.v1.EchoService" });
    expect(providerOf(url.address, "echo", url.parameters)).toEqual({
      instance: {
        id: "127.0.0.1:20100",
        service: "echo",
        address: "127.0.0.1:20100",
        weight: 100,
        metadata: { "dubbo.tag": "gray", region: "hz" },
      },
      timestampMs: 1_795_410_749_000,
    });
  });

  test("that warms up keeps since when, whoever else doesn't say how long he takes", () => {
    const metadataOf = (more: string) => {
      const { parameters } = parseUrl(`${dubboGo}${more}`)!;
      return providerOf("h:1", "orders", parameters)?.instance.metadata;
    };
    expect(metadataOf("&warmup=60000")).toMatchObject({ warmup: "60000", timestamp: "1795410749" });
    expect(metadataOf("&warmup=")).not.toHaveProperty("timestamp");
  });

  test("keeps the group and version by which it wants to be called as labels", () => {
    const { parameters } = parseUrl(`${dubboGo}&group=orders&version=1.0.0&category=providers`)!;
    expect(providerOf("h:1", "orders", parameters)?.instance.metadata).toEqual({
      "dubbo.tag": "gray",
      region: "hz",
      group: "orders",
      version: "1.0.0",
    });
  });

  test.each([
    ["weight=0&release=dubbo-golang-3.3.1", 100],
    ["weight=0&release=dubbo-golang-3.30", 0],
    ["weight=0&release=3.3.2", 0],
    ["weight=0&flyball.id=x", 0],
    ["weight=7&release=dubbo-golang-3.3.2", 7],
    ["weight=-3", 100],
    ["weight=many", 100],
    ["", 100],
  ])("with ?%s has weight %i", (query, weight) => {
    const { parameters } = parseUrl(`tri://h:1/a?${query}`)!;
    expect(providerOf("h:1", "a", parameters)?.instance.weight).toBe(weight);
  });

  test("is read or left, but never throws, whatever it wrote", () => {
    const anything = fc.oneof(
      fc.string({ unit: "grapheme" }),
      fc
        .array(fc.constantFrom("tri://", "h:1", "/a", "?", "&", "=", "%", "%2", "%zz", "+", ":", "@", "#", "0", "中"))
        .map((parts) => parts.join("")),
    );
    fc.assert(
      fc.property(anything, (name) => {
        const url = parseUrl(unescape(name));
        if (url === undefined) return;
        const provider = providerOf(url.address, "orders", url.parameters);
        if (provider !== undefined) expect(() => checkInstance(provider.instance)).not.toThrow();
      }),
      { numRuns: 500 },
    );
  });
});

describe("merging", () => {
  const provider = (id: string, address: string, timestampMs: number): Provider => ({
    instance: { id, service: "orders", address, weight: timestampMs, metadata: {} },
    timestampMs,
  });

  test("leaves one entry per address and one per id, the later one, in the order of ids, whatever the order was", () => {
    const providers = [
      provider("b", "h:1", 1),
      provider("b", "h:2", 2),
      provider("h:2", "h:2", 0),
      provider("a", "h:3", 3),
      provider("c", "h:3", 9),
    ];
    fc.assert(
      fc.property(fc.shuffledSubarray(providers, { minLength: providers.length }), (shuffled) => {
        expect(merged(shuffled).map(({ id, address }) => `${id} ${address}`)).toEqual(["b h:2", "c h:3"]);
      }),
    );
  });
});
