import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { pool } from "../fixtures.ts";
import { createRandom } from "../random.ts";
import { ManualClock } from "../testing/clock.ts";
import { breakerGuard, CircuitBreaker, type BreakerSettings, type BreakerState } from "./circuit-breaker.ts";
import type { Guard, GuardPorts } from "./guard.ts";
import { Rejection, type Outcome } from "./outcome.ts";

function breakerWith(settings: BreakerSettings) {
  const clock = new ManualClock();
  const transitions: BreakerState[] = [];
  const breaker = new CircuitBreaker(settings, { clock, onTransition: (state) => transitions.push(state) });
  const call = (outcome: Outcome, tookUs = 1_000): boolean => {
    const permit = breaker.admit();
    permit?.(outcome, tookUs);
    return permit !== undefined;
  };
  return { clock, transitions, breaker, call };
}

const settings: BreakerSettings = { windowMs: 1000, minCalls: 4, errorRatio: 0.5, openMs: 500, probes: 2 };
const openUs = 500_000;

describe("closed", () => {
  test("opens with the share of errors, not before there are enough calls", () => {
    const { breaker, call, transitions } = breakerWith(settings);
    for (const outcome of ["failure", "failure", "failure"] as const) call(outcome);
    expect(breaker.state).toBe("closed");
    call("success");
    expect(transitions).toEqual(["open"]);
    expect(call("success")).toBe(false);
  });

  test("half of the calls is enough; less isn't", () => {
    const { breaker, call } = breakerWith({ ...settings, minCalls: 5 });
    for (const outcome of ["failure", "success", "failure", "success", "success"] as const) call(outcome);
    expect(breaker.state).toBe("closed");
    call("overload");
    expect(breaker.state).toBe("open");
  });

  test("opens when too many are slow, also where they succeed", () => {
    const { breaker, call } = breakerWith({ ...settings, slowMs: 100, slowRatio: 0.75 });
    for (const us of [100_000, 100_001, 200_000]) call("success", us);
    expect(breaker.state).toBe("closed");
    call("success", 300_000);
    expect(breaker.state).toBe("open");
  });

  test("forgets what is older than its window", async () => {
    const { clock, breaker, call } = breakerWith(settings);
    for (let index = 0; index < 3; index++) call("failure");
    await clock.advance(1_100_000);
    call("failure");
    expect(breaker.state).toBe("closed");
  });

  test("cancelled calls count neither way", () => {
    const { breaker, call } = breakerWith(settings);
    for (let index = 0; index < 100; index++) call("ignored", 10_000_000);
    for (let index = 0; index < 3; index++) call("failure");
    expect(breaker.state).toBe("closed");
  });
});

describe("half-open", () => {
  async function halfOpen(more: Partial<BreakerSettings> = {}) {
    const world = breakerWith({ ...settings, ...more });
    for (let index = 0; index < 4; index++) world.call("failure");
    await world.clock.advance(openUs);
    expect(world.breaker.state).toBe("half-open");
    return world;
  }

  test("closes when the probes are well, with an empty window", async () => {
    const { breaker, call, transitions } = await halfOpen();
    call("success");
    expect(breaker.state).toBe("half-open");
    call("success");
    expect(transitions).toEqual(["open", "half-open", "closed"]);
    for (let index = 0; index < 3; index++) call("failure");
    expect(breaker.state).toBe("closed");
  });

  test("opens again when they aren't, for as long as before", async () => {
    const { breaker, call, clock, transitions } = await halfOpen();
    call("failure");
    call("success");
    expect(transitions).toEqual(["open", "half-open", "open"]);
    await clock.advance(openUs - 1);
    expect(breaker.state).toBe("open");
    await clock.advance(1);
    expect(breaker.state).toBe("half-open");
  });

  test("lets exactly its probes through, however many come at once", async () => {
    const { breaker } = await halfOpen();
    const permits = Array.from({ length: 100 }, () => breaker.admit());
    expect(permits.filter((permit) => permit !== undefined)).toHaveLength(2);
  });

  test("a cancelled probe gives its place back", async () => {
    const { breaker } = await halfOpen({ probes: 1 });
    const probe = breaker.admit();
    expect(breaker.admit()).toBeUndefined();
    probe!("ignored", 1_000);
    breaker.admit()!("success", 1_000);
    expect(breaker.state).toBe("closed");
  });

  test("calls from before it opened have nothing to say any more", async () => {
    const { breaker, call, clock } = breakerWith({ ...settings, probes: 1 });
    const late = [breaker.admit()!, breaker.admit()!];
    for (let index = 0; index < 4; index++) call("failure");
    await clock.advance(openUs);
    late[0]!("success", 600_000);
    expect(breaker.state).toBe("half-open");
    call("failure");
    late[1]!("success", 600_000);
    expect(breaker.state).toBe("open");
  });
});

test("whatever happens: opens only with enough calls, lets nothing through while open, reports each transition once", async () => {
  const step = fc.oneof(
    {
      weight: 8,
      arbitrary: fc.record({ outcome: fc.constantFrom<Outcome>("success", "failure", "overload", "ignored") }),
    },
    { weight: 3, arbitrary: fc.record({ waitUs: fc.integer({ min: 1, max: 700_000 }) }) },
    { weight: 2, arbitrary: fc.record({ hold: fc.boolean() }) },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 80 }), fc.integer({ min: 1, max: 4 }), async (steps, probes) => {
      const { clock, breaker, transitions } = breakerWith({ ...settings, probes });
      const held: ((outcome: Outcome, us: number) => void)[] = [];
      let known = "closed" as BreakerState;
      let calls = 0;
      let taken = 0;
      let openedUs = 0;
      const seen = (): void => {
        const next = transitions.at(-1) ?? "closed";
        if (next === known) return;
        expect([known, next]).not.toEqual(["closed", "half-open"]);
        expect([known, next]).not.toEqual(["open", "closed"]);
        if (known === "closed") expect(calls).toBeGreaterThanOrEqual(4);
        if (known === "open") expect(clock.nowUs() - openedUs).toBeGreaterThanOrEqual(openUs);
        if (next === "open") openedUs = clock.nowUs();
        known = next;
        calls = 0;
        taken = 0;
      };
      for (const now of steps) {
        if ("waitUs" in now) await clock.advance(now.waitUs);
        else if ("outcome" in now) {
          const permit = breaker.admit();
          expect(permit === undefined).toBe(known === "open" || (known === "half-open" && taken === probes));
          if (permit !== undefined && now.outcome !== "ignored") {
            calls++;
            taken++;
          }
          permit?.(now.outcome, 1_000);
        } else if (now.hold) {
          const permit = breaker.admit();
          if (permit !== undefined) {
            taken++;
            held.push((outcome, us) => {
              if (outcome !== "ignored") calls++;
              else if (known === "half-open") taken--;
              permit(outcome, us);
            });
          }
        } else {
          // Only what the same state let in; what comes late is another test's.
          if (known === "closed") held.pop()?.("failure", 1_000);
        }
        seen();
        if (known !== "closed") held.length = 0;
        expect(new Set(transitions.map((state, index) => state === transitions[index - 1])).has(true)).toBe(false);
      }
    }),
    { numRuns: 200 },
  );
});

describe("as a guard", () => {
  function guardWith(own: BreakerSettings) {
    const clock = new ManualClock();
    const reports: string[] = [];
    let changes = 0;
    const ports: GuardPorts = {
      clock,
      random: createRandom(1),
      service: "orders",
      report: ({ instance, state }) => reports.push(`${instance ?? "all"} ${state}`),
      onChange: () => changes++,
    };
    return { clock, reports, changes: () => changes, guard: breakerGuard(own, ports) };
  }
  const [one, two] = pool(100, 100);
  const fail = (guard: Guard, endpoint = one!): void => {
    const permit = guard.admit!(endpoint);
    if (permit instanceof Rejection) throw permit;
    permit("failure", 1_000);
  };

  test("of a service: nothing is sent to any instance, and the error says whose breaker it is", () => {
    const { guard, reports } = guardWith(settings);
    for (let index = 0; index < 4; index++) fail(guard);
    expect(guard.closed!()).toMatchObject({
      code: "UNAVAILABLE",
      policy: "breaker",
      message: "the breaker of orders is open",
    });
    expect(guard.admit!(two!)).toBeInstanceOf(Rejection);
    expect(reports).toEqual(["all open"]);
  });

  test("of instances: only the bad one leaves the choice, and comes back half-open", async () => {
    const { guard, reports, clock, changes } = guardWith({ ...settings, scope: "instance", probes: 1 });
    for (let index = 0; index < 4; index++) fail(guard);
    expect([guard.avoids!(one!), guard.avoids!(two!)]).toEqual([true, false]);
    await clock.advance(openUs);
    expect(guard.avoids!(one!)).toBe(false);
    const before = changes();
    const probe = guard.admit!(one!);
    // Its only place is taken: the choice goes on without it.
    expect([guard.avoids!(one!), changes()]).toEqual([true, before + 1]);
    if (!(probe instanceof Rejection)) probe("success", 1_000);
    expect(guard.avoids!(one!)).toBe(false);
    expect(reports).toEqual(["orders/0 open", "orders/0 half-open", "orders/0 closed"]);
  });

  test("lets go of its timers", () => {
    for (const scope of ["service", "instance"] as const) {
      const { guard, clock } = guardWith({ ...settings, scope });
      for (let index = 0; index < 4; index++) fail(guard);
      expect(clock.pending).toBe(1);
      guard.close();
      expect(clock.pending).toBe(0);
    }
  });
});
