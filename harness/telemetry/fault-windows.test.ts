import { expect, test } from "vitest";

import type { StepRecord } from "../history/record.ts";
import type { FaultSpec } from "../scenario/schema.ts";
import { faultWindows } from "./fault-windows.ts";

function step(index: number, phase: StepRecord["phase"], fault: FaultSpec, nodes: readonly string[]): StepRecord {
  const links = "link" in fault ? [{ from: "storefront/0", to: "orders/1" }] : [];
  return { type: "step", atUs: 0, index, phase, what: { kind: "fault", fault, forUs: undefined, nodes, links } };
}
const kill: FaultSpec = { kind: "kill", target: "orders/1" };
const series = async (windows: ReturnType<typeof faultWindows>): Promise<readonly string[]> =>
  (await windows.render()).split("\n").filter((line) => line !== "" && !line.startsWith("#"));

test("a fault is there from when it was applied until it was lifted", async () => {
  const windows = faultWindows("run-1");
  windows.hear(step(0, "apply", kill, ["orders/1"]));
  expect(await series(windows)).toEqual([]);
  windows.hear(step(0, "applied", kill, ["orders/1"]));
  expect(await series(windows)).toEqual(['flyball_fault_active{run="run-1",kind="kill",target="orders/1"} 1']);
  windows.hear(step(0, "lift", kill, ["orders/1"]));
  windows.hear(step(0, "lifted", kill, ["orders/1"]));
  expect(await series(windows)).toEqual(['flyball_fault_active{run="run-1",kind="kill",target="orders/1"} 0']);
});

test("one after the other at one place are one series, which is on while either is there", async () => {
  const windows = faultWindows("run-1");
  windows.hear(step(0, "applied", kill, ["orders/1"]));
  windows.hear(step(0, "lifted", kill, ["orders/1"]));
  windows.hear(step(1, "applied", kill, ["orders/1"]));
  expect(await series(windows)).toEqual(['flyball_fault_active{run="run-1",kind="kill",target="orders/1"} 1']);
});

test("what is over at once can be seen for a moment", async () => {
  let nowMs = 0;
  const windows = faultWindows("run-1", { now: () => nowMs });
  windows.hear(step(0, "applied", { kind: "reset", link: { to: "orders/1" } }, []));
  const labels = 'flyball_fault_active{run="run-1",kind="reset",target="storefront/0 → orders/1"}';
  expect(await series(windows)).toEqual([`${labels} 1`]);
  nowMs = 2_000;
  expect(await series(windows)).toEqual([`${labels} 0`]);
});

test("rules and restarts are no faults, and names are quoted", async () => {
  const windows = faultWindows('a"b\\c\nd');
  windows.hear({
    type: "step",
    atUs: 0,
    index: 0,
    phase: "applied",
    what: { kind: "publish", key: "k", content: undefined },
  });
  windows.hear({ type: "step", atUs: 0, index: 1, phase: "applied", what: { kind: "restart", nodes: ["orders/0"] } });
  expect(await series(windows)).toEqual([]);
  windows.hear(step(2, "applied", kill, ["orders/1"]));
  expect(await series(windows)).toEqual(['flyball_fault_active{run="a\\"b\\\\c\\nd",kind="kill",target="orders/1"} 1']);
});
