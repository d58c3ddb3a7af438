import { expect, test } from "vitest";

import type { RuntimeEvent } from "../../runtime/telemetry/events.ts";
import { HistoryCollector } from "./collector.ts";

const begin = (call: number, atUs: number, service = "orders"): RuntimeEvent => ({
  type: "call.begin",
  atUs,
  call,
  service,
  method: "/flyball.worker.v1.Worker/Do",
  dueUs: atUs,
});
const end = (call: number, atUs: number, code: "OK" | "UNAVAILABLE" = "OK"): RuntimeEvent => ({
  type: "call.end",
  atUs,
  call,
  code,
  attempts: [{ instance: "orders/0", beginUs: atUs - 1, endUs: atUs, code }],
});

function collected(...events: readonly (readonly [node: string, event: RuntimeEvent])[]): HistoryCollector {
  const collector = new HistoryCollector();
  for (const [node, event] of events) collector.add({ type: "event", node, event });
  return collector;
}

test("puts a call's beginning and end together, by node and number", () => {
  const { calls } = collected(
    ["a/0", begin(1, 10)],
    ["b/0", begin(1, 11)],
    ["b/0", end(1, 21, "UNAVAILABLE")],
    ["a/0", end(1, 30)],
  ).history();
  expect(
    calls.map(({ node, beginUs, endUs, code, attempts }) => [node, beginUs, endUs, code, attempts.length]),
  ).toEqual([
    ["a/0", 10, 30, "OK", 1],
    ["b/0", 11, 21, "UNAVAILABLE", 1],
  ]);
});

test("a call without an end has no outcome, and an end without a beginning is no call", () => {
  const { calls } = collected(["a/0", begin(1, 10)], ["a/0", end(2, 20)]).history();
  expect(calls).toMatchObject([{ call: 1, endUs: -1, code: undefined, attempts: [] }]);
});

test("a restarted node numbers its calls anew: an end belongs to its latest life", () => {
  const { calls } = collected(
    ["a/0", begin(1, 10)],
    ["a/0", { type: "node", atUs: 50, phase: "listening" }],
    ["a/0", begin(1, 60)],
    ["a/0", end(1, 70)],
  ).history();
  expect(calls.map(({ beginUs, code }) => [beginUs, code])).toEqual([
    [10, undefined],
    [60, "OK"],
  ]);
});

test("calls that a node began before it said that it listens keep their ends", () => {
  const { calls } = collected(
    ["a/0", begin(1, 10)],
    ["a/0", { type: "node", atUs: 11, phase: "listening" }],
    ["a/0", end(1, 12)],
  ).history();
  expect(calls[0]!.code).toBe("OK");
});

test("orders calls by when they began, whichever node's batch came first", () => {
  const collector = collected(
    ["b/0", begin(1, 15)],
    ["b/0", begin(2, 40)],
    ["a/0", begin(1, 10)],
    ["a/0", begin(2, 40)],
  );
  const seen = collector.history().calls.map(({ node, beginUs }) => `${node} ${beginUs}`);
  expect(seen).toEqual(["a/0 10", "b/0 15", "b/0 40", "a/0 40"]);
  collector.add({ type: "event", node: "c/0", event: begin(1, 1) });
  expect(collector.history().calls[0]!.node).toBe("c/0");
});

test("keeps calls to the infrastructure apart, with their ends", () => {
  const { calls, infrastructureCalls } = collected(
    ["a/0", begin(1, 10, "registry")],
    ["a/0", begin(2, 5, "coordinator")],
    ["a/0", begin(3, 20)],
    ["a/0", end(1, 30, "UNAVAILABLE")],
  ).history();
  expect(calls.map(({ call }) => call)).toEqual([3]);
  expect(infrastructureCalls.map(({ call, service, code }) => [call, service, code])).toEqual([
    [1, "registry", "UNAVAILABLE"],
    [2, "coordinator", undefined],
  ]);
});

test("counts as it goes what ended and what failed, without warm-up and infrastructure", () => {
  const { counts } = collected(
    ["a/0", begin(1, -10)],
    ["a/0", end(1, 5, "UNAVAILABLE")],
    ["a/0", begin(2, 10, "registry")],
    ["a/0", end(2, 20, "UNAVAILABLE")],
    ["a/0", begin(3, 10)],
    ["a/0", end(3, 20, "UNAVAILABLE")],
    ["a/0", begin(4, 10)],
    ["a/0", end(4, 20)],
    ["a/0", begin(5, 30)],
  );
  expect(counts).toEqual({ ended: 2, failed: 1 });
});

test("keeps everything else with the node that reported it", () => {
  const collector = collected(
    ["a/0", { type: "rule", atUs: 1, key: "k", version: 1, outcome: "applied" }],
    ["a/0", { type: "registry", atUs: 2, state: "connected" }],
    ["a/0", { type: "lag", atUs: 3, maxUs: 4 }],
    [
      "a/0",
      { type: "membership", atUs: 5, service: "orders", version: 1, instances: [], removed: [], source: "registry" },
    ],
  );
  collector.add({ type: "harness.lag", atUs: 6, maxUs: 7 });
  collector.add({ type: "gap", node: "a/0", fromUs: 8, toUs: 9 });
  collector.add({ type: "load", node: "a/0", planned: 12 });
  const history = collector.history();
  expect(history.rules).toMatchObject([{ node: "a/0", key: "k" }]);
  expect(history.registryStates).toMatchObject([{ node: "a/0", state: "connected" }]);
  expect(history.memberships).toMatchObject([{ node: "a/0", service: "orders" }]);
  expect(history.lags).toEqual([
    { node: "a/0", atUs: 3, maxUs: 4 },
    { node: "harness", atUs: 6, maxUs: 7 },
  ]);
  expect(history.gaps).toHaveLength(1);
  expect(history.planned.get("a/0")).toBe(12);
  expect(history.end).toBeUndefined();
});
