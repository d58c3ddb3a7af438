import { expect, test } from "vitest";

import { ManualClock } from "../../runtime/testing/clock.ts";
import type { CallRecord } from "../history/history.ts";
import type { RolloutRecord } from "../history/record.ts";
import { call } from "../judge/fixtures.ts";
import type { Plan } from "../scenario/plan.ts";
import { playRollout, type RolloutPlan } from "./rollout.ts";

const what: RolloutPlan = {
  kind: "rollout",
  service: "orders",
  tag: "v2",
  key: "orders.canary-router",
  content: "percent: ${percent}",
  percents: [10, 50],
  everyUs: 1_000_000,
  acceptable: 0.01,
  unacceptable: 0.1,
  alpha: 1e-7,
  beta: 1e-3,
  nodes: [],
};
const plan = {
  nodes: [
    { id: "orders/0", service: "orders", tag: "v1" },
    { id: "orders/1", service: "orders", tag: "v2" },
  ],
} as unknown as Plan;

function played(publish: (content: string) => Promise<void> = () => Promise.resolve()) {
  const clock = new ManualClock();
  const published: string[] = [];
  const records: string[] = [];
  let hear: (call: CallRecord) => void = () => undefined;
  const rollout = playRollout({ index: 3, what }, plan, {
    clock,
    originUs: 0,
    publish: (_key, content) => {
      published.push(content);
      return publish(content);
    },
    write: (record) => {
      const { atUs, state, percent } = record as RolloutRecord;
      records.push(`${atUs / 1000} ${state} ${percent}`);
    },
    onCallEnd: (listener) => {
      hear = listener;
      return () => void (hear = () => undefined);
    },
  });
  const ends = (to: string, code: "OK" | "UNAVAILABLE", count = 1): void => {
    for (let index = 0; index < count; index++) hear(call({ dueUs: 1, to, code }));
  };
  return { clock, published, records, rollout, ends };
}

const settle = () => new Promise((resolve) => setImmediate(resolve));

test("a version that works is raised to the end", async () => {
  const { clock, published, records, rollout, ends } = played();
  ends("orders/1", "OK", 500);
  await settle();
  await clock.advance(1_000_000);
  await settle();
  ends("orders/1", "UNAVAILABLE", 2);
  ends("orders/1", "OK", 500);
  await clock.advance(1_000_000);
  await rollout.done;
  expect(published).toEqual(["percent: 10", "percent: 50"]);
  expect(records).toEqual(["0 raised 10", "1000 raised 50", "2000 passed 50"]);
});

test("one that fails is taken back within a look, and never raised again", async () => {
  const { clock, published, records, rollout, ends } = played();
  await rollout.begun;
  ends("orders/1", "UNAVAILABLE", 8);
  await clock.advance(50_000);
  await rollout.done;
  await clock.advance(5_000_000);
  await settle();
  expect(published).toEqual(["percent: 10", "percent: 0"]);
  expect(records).toEqual(["0 raised 10", "50 rolled-back 0"]);
});

test("what happens at other versions, or to retries, is no news of this one", async () => {
  const { clock, published, ends } = played();
  ends("orders/0", "UNAVAILABLE", 100);
  await clock.advance(500_000);
  await settle();
  expect(published).toEqual(["percent: 10"]);
});

test("a config centre that refuses breaks it", async () => {
  const { clock, rollout } = played((content) =>
    content === "percent: 50" ? Promise.reject(new Error("the centre is away")) : Promise.resolve(),
  );
  await rollout.begun;
  await clock.advance(1_000_000);
  await expect(rollout.done).rejects.toThrow("the centre is away");
});

test("stopped it does nothing more", async () => {
  const { clock, published, rollout, ends } = played();
  await rollout.begun;
  rollout.stop();
  ends("orders/1", "UNAVAILABLE", 100);
  await clock.advance(5_000_000);
  await rollout.done;
  expect(published).toEqual(["percent: 10"]);
});
