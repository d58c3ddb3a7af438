import { expect, test } from "vitest";

import { at, recovery, share, successRate } from "../scenario/builders.ts";
import type { WorldName } from "../scenario/plan.ts";
import { calls, historyOf, planOf, stepsOf } from "./fixtures.ts";
import { judgeRun } from "./judge.ts";
import { busyness, lateFaultIn, latePublishIn, slowStartIn } from "./machine.ts";

const second = 1_000_000;
const killed = { timeline: [at("1s").kill("orders/1", { for: "2s" })] };
const well = [successRate("orders").atLeast("99%").detects("90%")];
const whole = [{ fromUs: 0, toUs: 8 * second }];
const part = (fromS: number, toS: number) => [{ fromUs: fromS * second, toUs: toS * second }];
const listening = (node: string, atUs: number) => ({ type: "node", node, phase: "listening", atUs }) as const;

/** A run whose killed instance is ordered back at 3 s, and listens `tookUs` later. */
function restarted(tookUs: number, world: WorldName = "local", begunUs = -2 * second) {
  const plan = planOf(well, { ...killed, world });
  const phases = [listening("orders/1", begunUs), listening("orders/1", 3 * second + tookUs)];
  return historyOf(plan, [], { phases });
}

test("a start of over a second is slow, in the parts of the load that it reaches into", () => {
  expect(slowStartIn(restarted(second), whole)).toBeUndefined();
  expect(slowStartIn(restarted(1.6 * second), whole)).toBe("orders/1 took 1.6 s to start again");
  // It was due at 3 s, listens at 5.5 s, and is found a second later.
  expect(slowStartIn(restarted(2.5 * second), part(0, 4))).toBeUndefined();
  expect(slowStartIn(restarted(2.5 * second), part(4, 5))).toBeDefined();
  expect(slowStartIn(restarted(2.5 * second), part(6, 8))).toBeDefined();
  expect(slowStartIn(restarted(2.5 * second), part(6.5, 8))).toBeUndefined();
  expect(slowStartIn(restarted(2.5 * second, "sim"), whole)).toBeUndefined();
});

test("a node that never comes back is late as well, and one that tells nothing of itself says nothing", () => {
  const plan = planOf(well, { ...killed, world: "local" });
  const gone = historyOf(plan, [], { phases: [listening("orders/1", -second)] });
  expect(slowStartIn(gone, whole)).toBe("orders/1 hadn't started after 6 s");
  expect(slowStartIn(historyOf(plan, []), whole)).toBeUndefined();
});

test("a rolling restart is an order to start as well, once the node has stopped", () => {
  const plan = planOf(well, { timeline: [at("1s").restart("orders/2")], world: "local" });
  const stopped = { type: "node", node: "orders/2", phase: "stopped", atUs: 2 * second } as const;
  const after = (tookUs: number) =>
    historyOf(plan, [], {
      steps: stepsOf(plan),
      phases: [listening("orders/2", -second), stopped, listening("orders/2", 2 * second + tookUs)],
    });
  expect(slowStartIn(after(0.9 * second), whole)).toBeUndefined();
  expect(slowStartIn(after(1.2 * second), whole)).toBe("orders/2 took 1.2 s to start again");
});

test("what is expected of a fleet that isn't whole yet stays open, and fails where it is", () => {
  const expected = [
    share("orders")
      .byInstance({ "orders/0": 1, "orders/1": 1, "orders/2": 1, "orders/3": 1 })
      .detects(1.8)
      .during("4500ms..8s"),
    recovery("orders").after("3s").within("1s").atLeast("99%").detects("1s"),
    successRate("orders").atLeast("99%").detects("70%").during("0s..900ms"),
  ];
  const plan = planOf(expected, { ...killed, world: "local", rate: "200/s" });
  // Nobody gets to orders/1 from 1 s on; every fifth call fails all the time.
  const made = calls(1_600, (index) => ({
    to: `orders/${[0, 2, 3][index % 3]!}`,
    ...(index % 5 === 0 && { code: "UNAVAILABLE" as const }),
  }));
  const verdicts = (tookUs: number) =>
    judgeRun(
      plan,
      historyOf(plan, made, { phases: [listening("orders/1", -second), listening("orders/1", 3 * second + tookUs)] }),
    ).checks;
  expect(verdicts(0.5 * second).map(({ verdict }) => verdict)).toEqual(["fail", "fail", "fail"]);
  const late = verdicts(2.4 * second);
  expect(late.map(({ verdict }) => verdict)).toEqual(["inconclusive", "inconclusive", "fail"]);
  expect(late[0]!.message).toMatch(/; but orders\/1 took 2\.4 s to start again$/);
});

/** The timeline's steps, each of which took so long. */
const taking = (plan: ReturnType<typeof planOf>, tookUs: number) =>
  stepsOf(plan).map((step) => (step.phase.endsWith("ed") ? { ...step, atUs: step.atUs + tookUs } : step));

test("a fault that an engine was slow with is late, in the parts of the load that it reaches into", () => {
  const paused = (tookUs: number, world: WorldName = "docker") => {
    const plan = planOf(well, { timeline: [at("1s").pause("orders/1", { for: "3s" })], world });
    return historyOf(plan, [], { steps: taking(plan, tookUs) });
  };
  expect(lateFaultIn(paused(100_000), whole)).toBeUndefined();
  expect(lateFaultIn(paused(400_000), whole)).toBe("the pause took 400 ms");
  expect(lateFaultIn(paused(400_000), part(5, 8))).toBe("the end of the pause took 400 ms");
  expect(lateFaultIn(paused(400_000), part(0, 0.9))).toBeUndefined();
  expect(lateFaultIn(paused(400_000), part(6, 8))).toBeUndefined();
  expect(lateFaultIn(paused(400_000, "sim"), whole)).toBeUndefined();
});

test("a fault that takes its time by nature is not late", () => {
  const plan = planOf(well, { timeline: [at("1s").sessionExpiry("orders/1")], world: "docker" });
  expect(lateFaultIn(historyOf(plan, [], { steps: taking(plan, 2 * second) }), whole)).toBeUndefined();
});

test("a rule may have come late where its config centre was late, or the machine had no time; elsewhere a late rule fails", () => {
  const byRule = share("orders").byInstance({ "orders/1": 1 }).detects(1.8).during("3s..8s");
  const plan = planOf([byRule], {
    timeline: [at("2s").publish("orders.condition-router", "enabled: false")],
    world: "docker",
    rate: "100/s",
  });
  const made = calls(800, () => ({ to: "orders/0" }));
  const run = (tookUs: number, idleUs = 50, lagUs = 0) =>
    historyOf(plan, made, {
      steps: taking(plan, tookUs),
      lags: [{ node: "harness", atUs: 3 * second, maxUs: lagUs }],
      harnessCpu: { type: "harness.cpu", atUs: 0, usedUs: 1, ofUs: 100, idleUs },
    });
  const verdictOf = (tookUs: number, idleUs?: number, lagUs?: number) =>
    judgeRun(plan, run(tookUs, idleUs, lagUs)).checks[0]!;
  expect(latePublishIn(run(1.2 * second), part(0, 1.9))).toBeUndefined();
  expect(latePublishIn(run(1.2 * second), part(7.1, 8))).toBeUndefined();
  expect(verdictOf(100_000).verdict).toBe("fail");
  expect(verdictOf(1.2 * second)).toMatchObject({
    verdict: "inconclusive",
    message: expect.stringMatching(/; but to publish the rule took 1\.2 s$/) as unknown,
  });
  expect(verdictOf(100_000, 50, 300_000)).toMatchObject({
    verdict: "inconclusive",
    message: expect.stringMatching(/; but the rule may have come late: the machine ran up to 300 ms late$/) as unknown,
  });
  expect(verdictOf(100_000, 1)).toMatchObject({
    verdict: "inconclusive",
    message: expect.stringMatching(
      /; but the rule may have come late: the processors were busy 99% of the time$/,
    ) as unknown,
  });
});

test("a machine without time to spare says so", () => {
  const busy = (idleUs?: number) =>
    busyness(
      historyOf(planOf(well), [], {
        harnessCpu: { type: "harness.cpu", atUs: 0, usedUs: 1, ofUs: 100, ...(idleUs !== undefined && { idleUs }) },
      }),
    );
  expect(busy(4)).toBe("the processors were busy 96% of the time");
  expect([busy(5), busy(undefined)]).toEqual([undefined, undefined]);
});
