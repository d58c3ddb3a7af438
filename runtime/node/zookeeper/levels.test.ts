import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { escape, parseUrl, unescape } from "../../discovery/dubbo.ts";
import { groupsOf } from "../../discovery/dubbo-application.ts";
import type { Instance } from "../../ports/registry.ts";
import {
  applicationInstanceOf,
  applicationsOf,
  instanceContent,
  offerOf,
  providerOfApplication,
} from "./application-level.ts";
import { consumerNode, providerNode, providerOfNode } from "./interface-level.ts";

const interfaceName = "flyball.worker.v1.Worker";
const instance: Instance = {
  id: "orders/0",
  service: "orders",
  address: "10.0.0.1:20880",
  weight: 50,
  metadata: { "dubbo.tag": "gray", version: "2", zone: "杭州 a&b" },
};
const asked = { interfaceName, service: "orders", acceptsAnyGroup: false };

describe("interface level", () => {
  test("a provider's node is its URL, as Dubbo writes it, with our labels", () => {
    const url = parseUrl(unescape(providerNode(instance, interfaceName, 1_700_000_000_000)))!;
    expect(url).toMatchObject({ protocol: "tri", address: "10.0.0.1:20880", path: interfaceName });
    expect(Object.fromEntries(url.parameters)).toEqual({
      application: "orders",
      group: "orders",
      interface: interfaceName,
      side: "provider",
      timestamp: "1700000000000",
      weight: "50",
      "dubbo.tag": "gray",
      zone: "杭州 a&b",
      "flyball.id": "orders/0",
      "flyball.version": "2",
    });
  });

  test("a provider of ours is read as it was registered, and only by those who ask for its service", () => {
    const name = providerNode(instance, interfaceName, 1_700_000_000_000);
    expect(providerOfNode(name, asked)).toEqual({ instance, timestampMs: 1_700_000_000_000 });
    expect(providerOfNode(name, { ...asked, service: "payments" })).toBeUndefined();
    expect(providerOfNode(name, { ...asked, service: "payments", acceptsAnyGroup: true })).toBeUndefined();
    expect(providerOfNode(name, { ...asked, interfaceName: "other.Interface" })).toBeUndefined();
  });

  test("of a node's names there is none with a slash", () => {
    expect(providerNode(instance, interfaceName, 1_700_000_000_000)).not.toContain("/");
    const consumer = { host: "[::1]", application: "shop", service: "orders", timestampMs: 7 };
    const name = consumerNode(consumer, interfaceName);
    expect(name).not.toContain("/");
    expect(unescape(name)).toBe(
      "consumer://[::1]/flyball.worker.v1.Worker?application=shop&category=consumers&check=false&group=orders" +
        "&interface=flyball.worker.v1.Worker&protocol=tri&side=consumer&timestamp=7",
    );
  });

  // What a dubbo-go consumer makes of such nodes was measured; ours agrees, where not said otherwise.
  test.each([
    ["tri://h:1/I?group=orders", "found"],
    ["tri://h:1/?interface=I&group=orders", "found"],
    ["tri://h:1/other/path?interface=I&group=orders", "found"],
    ["tri://h:1/I?application=orders", "found"],
    ["tri://h:1/I?group=orders&methods=Foo&side=provider&category=providers", "found"],
    ["tri://h:1/I", "with any group"],
    ["tri://h:1/I?application=go-prov", "with any group"],
    ["tri://h:1/I?group=payments", "never"],
    ["tri://h:1?group=orders", "never"],
    ["tri://h:1/J?group=orders", "never"],
    ["tri://h/I?group=orders", "never"],
    ["tri://h:0/I?group=orders", "never"],
    ["dubbo://h:1/I?group=orders", "never"],
    ["consumer://h:1/I?group=orders", "never"],
    ["empty://h:1/I?group=orders&category=configurators", "never"],
    // Java consumers leave a disabled provider out, dubbo-go ones don't: we do as Java does.
    ["tri://h:1/I?group=orders&enabled=false", "never"],
    ["nonsense", "never"],
    ["", "never"],
  ])("%s is found: %s", (url, when) => {
    const find = (acceptsAnyGroup: boolean) =>
      providerOfNode(escape(url), { interfaceName: "I", service: "orders", acceptsAnyGroup });
    expect(find(false) !== undefined).toBe(when === "found");
    expect(find(true) !== undefined).toBe(when !== "never");
  });
});

describe("application level", () => {
  const offer = offerOf("orders", interfaceName, 20880);

  test("an instance's node has what Dubbo looks for", () => {
    const content = JSON.parse(instanceContent(instance, offer.revision, 1_700_000_000_000)) as object;
    expect(content).toMatchObject({
      name: "orders",
      id: "10.0.0.1:20880",
      address: "10.0.0.1",
      port: 20880,
      payload: {
        "@class": "org.apache.dubbo.registry.zookeeper.ZookeeperInstance",
        id: "10.0.0.1:20880",
        name: "orders",
        metadata: {
          "dubbo.endpoints": '[{"port":20880,"protocol":"tri"}]',
          "dubbo.metadata.revision": offer.revision,
          "dubbo.metadata.storage-type": "remote",
          "dubbo.tag": "gray",
          weight: "50",
        },
      },
    });
  });

  test("the metadata offers the interface in the service's group, and another content is another revision", () => {
    expect(groupsOf(offer.content, interfaceName)).toEqual(["orders"]);
    expect(groupsOf(offer.content, "other.Interface")).toEqual([]);
    const revisions = [
      offer,
      offerOf("orders", interfaceName, 20880),
      offerOf("orders", interfaceName, 20881),
      offerOf("payments", interfaceName, 20880),
    ].map(({ revision }) => revision);
    expect(revisions[1]).toBe(revisions[0]);
    expect(new Set(revisions).size).toBe(3);
  });

  test("an instance of ours is read as it was registered, and serves its service alone", () => {
    const read = applicationInstanceOf(instanceContent(instance, offer.revision, 1_700_000_000_000))!;
    expect(read).toMatchObject({ address: instance.address, revision: offer.revision });
    const find = (application: string, service: string) =>
      providerOfApplication(read, ["orders"], { application, service });
    expect(find("orders", "orders")).toEqual({ instance, timestampMs: 1_700_000_000_000 });
    expect(find("orders", "payments")).toBeUndefined();
  });

  // As dubbo-go 3.3.2 writes it by default, and the least that it needs of others.
  const local =
    '{"name":"go-prov","id":"127.0.0.1:20100","address":"127.0.0.1","port":20100,"payload":{"@class":"org.apache.dubbo.registry.zookeeper.ZookeeperInstance","id":"127.0.0.1:20100","metadata":{"dubbo.endpoints":"[{\\"port\\":20100,\\"protocol\\":\\"tri\\"}]","dubbo.metadata-service.url-params":"{}","dubbo.metadata.revision":"8fdfd002","dubbo.metadata.storage-type":"local","meta-v":"1.0.0","registry.id":"zookeeper"},"name":"go-prov"}}';
  const remote =
    '{"name":"ts-app","address":"127.0.0.1","port":20302,"payload":{"metadata":{"dubbo.metadata.revision":"r1","dubbo.metadata.storage-type":"remote"}}}';

  test("a foreign instance is read: with metadata of its own, or with such that only it could tell", () => {
    const [own, other] = [applicationInstanceOf(local)!, applicationInstanceOf(remote)!];
    expect(own).toMatchObject({ address: "127.0.0.1:20100", revision: undefined });
    expect(other).toMatchObject({ address: "127.0.0.1:20302", revision: "r1" });
    const found = providerOfApplication(own, undefined, { application: "orders", service: "orders" });
    expect(found).toEqual({
      instance: { id: "127.0.0.1:20100", service: "orders", address: "127.0.0.1:20100", weight: 100, metadata: {} },
      timestampMs: 0,
    });
  });

  test.each([
    ["orders", ["orders"], true],
    ["orders", ["blue"], true],
    ["orders", [], false],
    ["go-prov", [""], true],
    ["go-prov", ["orders"], true],
    ["go-prov", ["payments"], false],
    ["go-prov", [], false],
    ["go-prov", undefined, true],
  ])("an instance of %s that offers the interface in %j serves orders: %s", (application, groups, isFound) => {
    const found = providerOfApplication(applicationInstanceOf(remote)!, groups, { application, service: "orders" });
    expect(found !== undefined).toBe(isFound);
  });

  test.each([
    [["orders", ""], { group: "orders" }],
    [["", "blue"], {}],
    [["blue"], { group: "blue" }],
    [undefined, {}],
  ])("one that offers the interface in %j is called in the group %j", (groups, metadata) => {
    const options = { application: "orders", service: "orders" };
    expect(providerOfApplication(applicationInstanceOf(remote)!, groups, options)?.instance.metadata).toEqual(metadata);
  });

  test.each([
    '{"address":"h","port":1,"payload":{"metadata":{"dubbo.endpoints":"[{\\"port\\":2,\\"protocol\\":\\"dubbo\\"}]"}}}',
    '{"address":"h","port":0}',
    '{"address":"h","port":"1"}',
    '{"address":7,"port":1}',
    '{"address":"h h","port":1}',
    "[]",
    "null",
    "7",
    "{",
    "",
  ])("%s is no instance", (content) => {
    expect(applicationInstanceOf(content)).toBeUndefined();
  });

  test("a revision that would lead elsewhere isn't followed", () => {
    for (const revision of ["../config", "..", "a/b", ""]) {
      const content = remote.replace("r1", revision);
      expect(applicationInstanceOf(content)?.revision).toBeUndefined();
    }
  });

  test("no content makes the readers throw", () => {
    const value = fc.letrec<{ value: unknown }>((tie) => ({
      value: fc.oneof(
        fc.jsonValue({ maxDepth: 2 }),
        fc.dictionary(
          fc.constantFrom("address", "port", "payload", "metadata", "services", "name", "group", "dubbo.endpoints"),
          tie("value"),
        ),
      ),
    })).value;
    const content = fc.oneof(
      fc.string(),
      value.map((each) => JSON.stringify(each) ?? ""),
    );
    fc.assert(
      fc.property(content, (each) => {
        const read = applicationInstanceOf(each);
        groupsOf(each, interfaceName);
        applicationsOf(each);
        if (read !== undefined) providerOfApplication(read, [""], { application: "orders", service: "orders" });
      }),
      { numRuns: 500 },
    );
  });

  test("a mapping lists each application once", () => {
    expect(applicationsOf("go-prov, ts-app,,go-prov,a/b")).toEqual(["go-prov", "ts-app"]);
    expect(applicationsOf("")).toEqual([]);
  });
});
