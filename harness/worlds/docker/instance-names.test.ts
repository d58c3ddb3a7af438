import { expect, test } from "vitest";

import type { RuntimeEvent } from "../../../runtime/telemetry/events.ts";
import { attribute, type Span } from "../../../runtime/telemetry/span.ts";
import { withName, withNames } from "./instance-names.ts";

const names = new Map([["10.0.0.1:20880", "orders/1"]]);

test("an instance that is known by its address gets its node's name, in attempts and in memberships", () => {
  const attempt = { beginUs: 1, endUs: 2, code: "OK" } as const;
  const events: readonly RuntimeEvent[] = [
    {
      type: "call.end",
      atUs: 2,
      call: 1,
      code: "OK",
      attempts: [
        { ...attempt, instance: "orders/0" },
        { ...attempt, instance: "10.0.0.1:20880" },
        { ...attempt, instance: "10.0.0.2:20880" },
      ],
    },
    {
      type: "membership",
      atUs: 3,
      service: "orders",
      version: 1,
      instances: ["10.0.0.1:20880", "orders/0"],
      removed: [{ id: "10.0.0.1:20880", reason: "expired" }],
      source: "registry",
    },
    { type: "lag", atUs: 4, maxUs: 5 },
  ];
  const [end, membership, lag] = withNames(events, names);
  expect(end).toMatchObject({
    attempts: [{ instance: "orders/0" }, { instance: "orders/1" }, { instance: "10.0.0.2:20880" }],
  });
  expect(membership).toMatchObject({
    instances: ["orders/1", "orders/0"],
    removed: [{ id: "orders/1", reason: "expired" }],
  });
  expect(lag).toBe(events[2]);
});

test("and in spans, wherever they come from", () => {
  const span = {
    type: "span",
    atUs: 2,
    traceId: "1".repeat(32),
    spanId: "2".repeat(16),
    name: "flyball.worker.v1.Worker/Do",
    kind: "client",
    beginUs: 1,
    status: "unset",
    attributes: { [attribute.instance]: "10.0.0.1:20880", other: "10.0.0.1:20880" },
    events: [],
  } as unknown as Span;
  const named = { [attribute.instance]: "orders/1", other: "10.0.0.1:20880" };
  expect(withName(span, names).attributes).toEqual(named);
  expect(withNames([span], names)).toMatchObject([{ attributes: named }]);
  const stranger = { ...span, attributes: {} };
  expect(withName(stranger, names)).toBe(stranger);
});
