import { expect, test } from "vitest";

import { builtInPolicies } from "../runtime/call/client.ts";
import type { ConfigCenter, ConfigDocument } from "../runtime/ports/config-center.ts";
import { ManualClock, settled } from "../runtime/testing/clock.ts";
import type { RuntimeEvent } from "../runtime/telemetry/events.ts";
import { AccessSwitch } from "./access-switch.ts";

const worker = "flyball.worker.v1.Worker";
const own = { id: "orders/1", service: "orders", address: "10.0.0.2:20880", weight: 100, metadata: {} };

/** A switch that follows documents which the test publishes; `isAnswering`: at once it hears that there are none. */
function following({ isAnswering = true }: { readonly isAnswering?: boolean } = {}) {
  const clock = new ManualClock();
  const events: RuntimeEvent[] = [];
  const watchers = new Map<string, (document: ConfigDocument) => void>();
  let version = 0;
  const unused = (): Promise<never> => Promise.reject(new Error("it only watches"));
  const group = "dubbo";
  const configCenter: ConfigCenter = {
    get: unused,
    publish: unused,
    remove: unused,
    watch: ({ key }, onChange) => {
      watchers.set(key, onChange);
      if (isAnswering) onChange({ key, group, exists: false, content: "", version: ++version });
      return { close: () => void watchers.delete(key) };
    },
    close: () => Promise.resolve(),
  };
  const telemetry = { emit: (event: RuntimeEvent) => void events.push(event) };
  const accesses = new AccessSwitch({ clock, telemetry, policies: builtInPolicies }, { application: "shop" });
  const followed = accesses.follow(own, [worker, "flyball.bank.v1.Account"], configCenter);
  const publish = (key: string, content: string | undefined): void =>
    watchers.get(key)!({ key, group, exists: content !== undefined, content: content ?? "", version: ++version });
  return { clock, events, watchers, accesses, followed, publish };
}

const says = (value: string, match = ""): string => `configs: [{ ${match} parameters: { accesslog: ${value} } }]`;

test("it follows its application, its service and each interface, and the narrower scope wins", async () => {
  const { accesses, followed, publish, watchers } = following();
  await followed;
  expect([...watchers.keys()].sort()).toEqual([
    "flyball.bank.v1.Account::orders.configurators",
    "flyball.worker.v1.Worker::orders.configurators",
    "orders.configurators",
    "shop.configurators",
  ]);
  expect(accesses.isOn(worker)).toBe(false);
  publish("shop.configurators", says("true"));
  expect([accesses.isOn(worker), accesses.isOn("flyball.bank.v1.Account")]).toEqual([true, true]);
  publish(`${worker}::orders.configurators`, says("false"));
  expect([accesses.isOn(worker), accesses.isOn("flyball.bank.v1.Account")]).toEqual([false, true]);
  publish(`${worker}::orders.configurators`, undefined);
  expect(accesses.isOn(worker)).toBe(true);
  publish("shop.configurators", undefined);
  expect(accesses.isOn(worker)).toBe(false);
  expect(accesses.isOn("grpc.health.v1.Health")).toBe(false);
});

test("an entry about another instance is none of its business", async () => {
  const { accesses, followed, publish } = following();
  await followed;
  const about = (id: string): string => `match: { param: [ { key: instance, value: { exact: ${id} } } ] },`;
  publish("orders.configurators", says("true", about("orders/0")));
  expect(accesses.isOn(worker)).toBe(false);
  publish("orders.configurators", says("true", about("orders/1")));
  expect(accesses.isOn(worker)).toBe(true);
});

test("a document that can't be read changes nothing, and is told with its line", async () => {
  const { accesses, followed, publish, events } = following();
  await followed;
  publish("orders.configurators", says("true"));
  publish("orders.configurators", "configs: [{ parameters: { acceslog: false } }]");
  expect(accesses.isOn(worker)).toBe(true);
  expect(events.at(-1)).toMatchObject({ type: "rule", key: "orders.configurators", outcome: "rejected" });
});

test("a config centre that says nothing holds the node up for a second; what it says later still counts", async () => {
  const { clock, accesses, followed, publish } = following({ isAnswering: false });
  let isThere = false;
  void followed.then(() => (isThere = true));
  await clock.advance(999_999);
  expect(isThere).toBe(false);
  await clock.advance(1);
  expect(isThere).toBe(true);
  publish("orders.configurators", says("true"));
  expect(accesses.isOn(worker)).toBe(true);
  accesses.close();
  await settled();
  expect(clock.pending).toBe(0);
});

test("closed, it follows nothing any more; a node without a config centre follows nothing at all", async () => {
  const { accesses, followed, watchers } = following();
  await followed;
  accesses.close();
  expect(watchers.size).toBe(0);
  const { accesses: alone } = following();
  await alone.follow(own, [worker], undefined);
  expect(alone.isOn(worker)).toBe(false);
});
