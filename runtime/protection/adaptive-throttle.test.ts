import { expect, test } from "vitest";

import { pool } from "../fixtures.ts";
import { createRandom } from "../random.ts";
import { ManualClock } from "../testing/clock.ts";
import { AdaptiveThrottle, throttleGuard } from "./adaptive-throttle.ts";
import { Rejection } from "./outcome.ts";

const ports = () => ({ clock: new ManualClock(), random: createRandom(7) });

test("keeps back with (requests - K·accepts) / (requests + 1): 0.1998 for 1000 and 400 at K = 2", () => {
  const throttle = new AdaptiveThrottle({}, ports());
  for (let index = 0; index < 1000; index++) throttle.ended(index < 400 ? "success" : "failure");
  expect(throttle.rejection()).toBeCloseTo(0.1998, 4);
});

test("keeps nothing back while at least one of K is accepted; application errors and cancelled calls change nothing", () => {
  const throttle = new AdaptiveThrottle({}, ports());
  for (let index = 0; index < 100; index++) throttle.ended(index % 2 === 0 ? "success" : "failure");
  for (let index = 0; index < 100; index++) throttle.ended("ignored");
  expect(throttle.rejection()).toBe(0);
});

/** A server that accepts `capacity` calls of each window of 200 ms, in which 100 are offered. */
async function overloaded(throttle: AdaptiveThrottle, clock: ManualClock, windows: number, capacity: number) {
  let admitted = 0;
  for (let window = 0; window < windows; window++) {
    await clock.advance(200_000);
    let accepted = 0;
    for (let call = 0; call < 100; call++) {
      if (!throttle.admits()) continue;
      admitted++;
      throttle.ended(accepted++ < capacity ? "success" : "overload");
    }
  }
  return admitted / (windows * 100);
}

test.each([
  { k: 2, share: 0.2 },
  { k: 2, share: 0.4 },
  { k: 1.5, share: 0.4 },
])(
  "where a server can accept $share of what is offered, K times as much is sent (K = $k), within 10 %",
  async ({ k, share }) => {
    const { clock, random } = ports();
    const throttle = new AdaptiveThrottle({ k, windowMs: 4_000 }, { clock, random });
    await overloaded(throttle, clock, 60, share * 100);
    const admitted = await overloaded(throttle, clock, 200, share * 100);
    expect(Math.abs(admitted / (k * share) - 1)).toBeLessThan(0.1);
  },
);

test("lets everything through again one window after the server has enough room", async () => {
  const { clock, random } = ports();
  const throttle = new AdaptiveThrottle({ windowMs: 4_000 }, { clock, random });
  await overloaded(throttle, clock, 60, 20);
  await overloaded(throttle, clock, 21, 100);
  expect(await overloaded(throttle, clock, 20, 100)).toBeGreaterThan(0.99);
});

test("reports the change, not each attempt that it keeps back", async () => {
  const clock = new ManualClock();
  const reports: string[] = [];
  const guard = throttleGuard(
    { windowMs: 1_000 },
    {
      clock,
      random: createRandom(1),
      service: "orders",
      report: ({ state }) => reports.push(state),
      onChange: () => 0,
    },
  );
  const [endpoint] = pool(100);
  for (let index = 0; index < 100; index++) {
    const permit = guard.admit!(endpoint!);
    if (permit instanceof Rejection) expect(permit).toMatchObject({ code: "RESOURCE_EXHAUSTED", policy: "throttle" });
    else permit("failure", 1_000);
  }
  expect(reports).toEqual(["throttling"]);
  await clock.advance(2_000_000);
  for (let index = 0; index < 10; index++) guard.admit!(endpoint!);
  expect(reports).toEqual(["throttling", "passing"]);
});
