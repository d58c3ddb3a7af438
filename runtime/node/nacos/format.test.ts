import { expect, test } from "vitest";

import type { Instance } from "../../ports/registry.ts";
import {
  applicationMetadata,
  interfaceService,
  providersOf,
  registrationsOf,
  revisionOf,
  revisionsOf,
} from "./format.ts";
import { sightingOf, type NacosHost } from "./naming.ts";
import type { Offer } from "./offers.ts";

const interfaceName = "flyball.worker.v1.Worker";
const instance: Instance = {
  id: "orders/0",
  service: "orders",
  address: "10.0.0.1:20880",
  weight: 0,
  metadata: { "dubbo.tag": "gray", version: "2", id: "seven", "nacos.category": "mine" },
};
const options = { application: "orders", interfaceName, level: "all", timestampMs: 1_700_000_000_000 } as const;

/** What the server lists when that was registered, and what it adds. */
const hostsOf = (registration: object, extra: Record<string, string> = {}): readonly NacosHost[] => {
  const { metadata } = registration as { readonly metadata: Record<string, string> };
  const host = { ...registration, healthy: true, enabled: true, metadata: { ...metadata, ...extra } };
  return sightingOf({ hosts: [host], lastRefTime: 1 }, 0)!.hosts;
};

const notAsked = (revision: string): never => {
  throw new Error(`nobody has to look up ${revision}`);
};

test("an instance stands under both of Dubbo's names, and comes back from either as it was", () => {
  const registrations = registrationsOf(instance, options);
  expect(registrations.map(({ service }) => service)).toEqual(["providers:flyball.worker.v1.Worker::orders", "orders"]);
  for (const registration of registrations) {
    const hosts = hostsOf(registration, { "preserved.heart.beat.timeout": "3000" });
    expect(providersOf("orders", hosts, notAsked)).toEqual([{ instance, timestampMs: options.timestampMs }]);
  }
});

test("a level is one name", () => {
  const names = (level: "interface" | "application") =>
    registrationsOf(instance, { ...options, level }).map(({ service }) => service);
  expect(names("interface")).toEqual([interfaceService(interfaceName, "orders")]);
  expect(names("application")).toEqual(["orders"]);
});

test("Nacos's own weight is never 0, for its clients would take that for a mistake; the parameter says it", () => {
  const [registration] = registrationsOf(instance, options);
  expect(registration).toMatchObject({ weight: 1, metadata: { weight: "0" } });
});

test("at application level, where dubbo-go's consumers go by Nacos's weight, 100 is 1 as for its own providers", () => {
  const weights = (weight: number) => registrationsOf({ ...instance, weight }, options).map((each) => each.weight);
  expect([weights(100), weights(300), weights(20)]).toEqual([
    [100, 1],
    [300, 3],
    [20, 1],
  ]);
  expect(weights(1_000_000)).toEqual([10_000, 10_000]);
});

test("a foreign application's instance is called in the group that its metadata name, once they are known", () => {
  const foreign = {
    ...{ "dubbo.endpoints": '[{"port":20101,"protocol":"tri"}]', "registry.id": "nacos", id: "10.0.0.9:20101" },
    ...{ "dubbo.metadata.storage-type": "remote", "dubbo.metadata.revision": "abc" },
  };
  const hosts = hostsOf({ ip: "10.0.0.9", port: 20_101, weight: 1, metadata: foreign });
  expect([...revisionsOf([...hosts, ...hosts])]).toEqual(["abc"]);
  const groups = (offer: Offer | undefined) =>
    providersOf("orders", hosts, (revision) => (revision === "abc" ? offer : notAsked(revision))).map(
      (provider) => provider.instance.metadata["group"] ?? "",
    );
  expect(groups(["orders"])).toEqual(["orders"]);
  expect(groups(["gray", "orders"])).toEqual(["orders"]);
  expect(groups(["gray"])).toEqual(["gray"]);
  expect(groups([""])).toEqual([""]);
  expect(groups([])).toEqual([]);
  expect(groups("unwritten")).toEqual([""]);
  expect(groups("unreachable")).toEqual([]);
  expect(groups(undefined)).toEqual([]);
  const weighed = (weight: number) =>
    providersOf("orders", hostsOf({ ip: "h", port: 1, weight, metadata: foreign }), () => [""])[0]!.instance.weight;
  expect([weighed(1), weighed(3), weighed(0.5), weighed(0)]).toEqual([100, 300, 50, 0]);
  // Only the process itself could tell: nobody looks for it.
  const local = hostsOf({ ip: "h", port: 1, metadata: { ...foreign, "dubbo.metadata.storage-type": "local" } });
  expect([...revisionsOf(local)]).toEqual([]);
  expect(providersOf("orders", local, notAsked)).toHaveLength(1);
});

test("who is unhealthy, disabled or doesn't speak Triple can't be called", () => {
  const host: NacosHost = { ip: "h", port: 1, weight: 1, isHealthy: true, isEnabled: true, metadata: new Map() };
  const metadata = (entries: Record<string, string>): NacosHost => ({
    ...host,
    metadata: new Map(Object.entries(entries)),
  });
  const addresses = (hosts: readonly NacosHost[]) =>
    providersOf("orders", hosts, notAsked).map(({ instance: { address } }) => address);
  expect(addresses([host, { ...host, port: 2, isHealthy: false }, { ...host, port: 3, isEnabled: false }])).toEqual([
    "h:1",
  ]);
  expect(addresses([metadata({ protocol: "dubbo" })])).toEqual([]);
  expect(
    addresses([metadata({ "dubbo.endpoints": '[{"port":7,"protocol":"dubbo"},{"port":8,"protocol":"tri"}]' })]),
  ).toEqual(["h:8"]);
  expect(addresses([metadata({ "dubbo.endpoints": '[{"port":7,"protocol":"dubbo"}]' })])).toEqual([]);
  expect(addresses([metadata({ "dubbo.endpoints": "nonsense" })])).toEqual([]);
});

test("a provider as dubbo-go 3.3.2 writes it is read: weight 0 is its way to say nothing", () => {
  const parameters = {
    ...{ application: "go-prov", interface: interfaceName, protocol: "tri", path: `/${interfaceName}` },
    ...{ "nacos.category": "providers", release: "dubbo-golang-3.3.2", side: "provider", timestamp: "1795410749" },
    ...{ weight: "0", "dubbo.tag": "gray", region: "east", group: "", version: "" },
  };
  const hosts = hostsOf({ ip: "10.0.0.9", port: 20_100, weight: 1, metadata: parameters });
  expect(providersOf("orders", hosts, notAsked)).toEqual([
    {
      instance: {
        ...{ id: "10.0.0.9:20100", service: "orders", address: "10.0.0.9:20100", weight: 100 },
        metadata: { "dubbo.tag": "gray", region: "east" },
      },
      timestampMs: 1_795_410_749_000,
    },
  ]);
});

test("another offer is another revision, and the metadata carry it", () => {
  const orders = { service: "orders", metadata: {} };
  const spoken = { ...orders, metadata: { protocol: "jsonrpc" } };
  const revision = revisionOf(orders, interfaceName);
  expect(revision).not.toBe(revisionOf(orders, "another.Interface"));
  expect(revision).not.toBe(revisionOf({ ...orders, service: "payments" }, interfaceName));
  expect(revision).not.toBe(revisionOf(spoken, interfaceName));
  expect(JSON.parse(applicationMetadata(orders, interfaceName))).toMatchObject({
    revision,
    services: { [`orders/${interfaceName}:tri`]: { name: interfaceName, group: "orders", protocol: "tri" } },
  });
  expect(JSON.parse(applicationMetadata(spoken, interfaceName))).toMatchObject({
    services: { [`orders/${interfaceName}:jsonrpc`]: { protocol: "jsonrpc" } },
  });
});

test("what is no list of instances is none, and hosts that make no sense are left out", () => {
  expect(sightingOf("caused: no", 1)).toBeUndefined();
  expect(sightingOf({ hosts: 7 }, 1)).toBeUndefined();
  expect(sightingOf({ hosts: [null, {}, { ip: "h", port: 1 }], lastRefTime: 5 }, 1)).toEqual({
    hosts: [{ ip: "h", port: 1, weight: 1, isHealthy: true, isEnabled: true, metadata: new Map() }],
    order: 5,
    incarnation: 1,
  });
});
