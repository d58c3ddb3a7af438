import { expect, test } from "vitest";

import { replayCommand } from "./replay.ts";
import { samplePlan } from "./report/samples.ts";

test("a run's own command names its scenario and its options as a shell takes them", () => {
  const options = { sets: ["fleet.orders.weight=3", "title.en=It's mine"] };
  expect(replayCommand(samplePlan("local"), { ...options, pack: 4, reference: "./my scenarios/one.yaml" })).toBe(
    "npm run scenario -- './my scenarios/one.yaml' --world local --seed 1 --pack 4 --set fleet.orders.weight=3 --set 'title.en=It'\\''s mine'",
  );
  expect(replayCommand(samplePlan("sim"), { ...options, sets: [], pack: 4 })).toBe(
    "npm run scenario -- node-loss --world sim --seed 1",
  );
});
