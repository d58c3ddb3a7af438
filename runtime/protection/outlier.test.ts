import { connectivityState, experimental, status } from "@grpc/grpc-js";
import fc from "fast-check";
import { afterEach, describe, expect, test, vi } from "vitest";

import { pool } from "../fixtures.ts";
import { createRandom } from "../random.ts";
import { ManualClock } from "../testing/clock.ts";
import { OutlierDetector, outlierGuard, type OutlierSettings } from "./outlier.ts";
import { Rejection, type Outcome } from "./outcome.ts";

/** "a", "b", …, of which each has made these calls in the interval. */
type Counts = readonly (readonly [successes: number, failures: number])[];

function detectorOf(size: number, settings: OutlierSettings) {
  const clock = new ManualClock();
  const changes: string[] = [];
  const detector = new OutlierDetector(settings, {
    clock,
    random: createRandom(1),
    onChange: (id, isEjected) => changes.push(`${id} ${isEjected ? "out" : "in"}`),
  });
  const ids = Array.from({ length: size }, (_, index) => String.fromCharCode(97 + index));
  detector.update(ids.map((id) => ({ key: id, id })));
  const intervalUs = (settings.intervalMs ?? 10_000) * 1000;
  return {
    detector,
    changes,
    clock,
    ejected: () => ids.map((id) => detector.isEjected(id)),
    /** An interval with these calls. */
    interval: async (counts: Counts): Promise<void> => {
      for (const [index, [successes, failures]] of counts.entries()) {
        for (let call = 0; call < successes; call++) detector.ended(ids[index]!, "success");
        for (let call = 0; call < failures; call++) detector.ended(ids[index]!, "failure");
      }
      await clock.advance(intervalUs);
    },
  };
}

const rates = (...shares: readonly number[]): Counts => shares.map((share) => [share * 100, 100 - share * 100]);
const out = (...indexes: readonly number[]) => Array.from({ length: 5 }, (_, index) => indexes.includes(index));

describe("by success rate", () => {
  test("rates 1, .99, .98, 1, .6: mean .914, σ .1572 of the population, threshold .6154: the last one goes", async () => {
    const { interval, ejected } = detectorOf(5, { successRate: {} });
    await interval(rates(1, 0.99, 0.98, 1, 0.6));
    expect(ejected()).toEqual(out(4));
  });

  test("rates 1, 1, 1, 1, 0: threshold .04: the dead one goes", async () => {
    const { interval, ejected } = detectorOf(5, { successRate: {} });
    await interval(rates(1, 1, 1, 1, 0));
    expect(ejected()).toEqual(out(4));
  });

  test("one dead of four, or two of nine, are never found: z is √((n-k)/k)", async () => {
    for (const [size, dead] of [
      [4, 1],
      [9, 2],
    ] as const) {
      const { interval, changes } = detectorOf(size, { successRate: { minimumHosts: 2 } });
      await interval(rates(...Array.from({ length: size }, (_, index) => (index < dead ? 0 : 1))));
      expect(changes).toEqual([]);
    }
  });

  test("says nothing of too few calls, or too few instances that have enough", async () => {
    const { interval, changes } = detectorOf(5, { successRate: {} });
    await interval([
      [99, 0],
      [100, 0],
      [100, 0],
      [100, 0],
      [0, 100],
    ]);
    expect(changes).toEqual([]);
  });
});

describe("by failure percentage", () => {
  test("more than the threshold goes, however bad the others are", async () => {
    const { interval, ejected } = detectorOf(5, { failurePercentage: {}, maxEjectionPercent: 100 });
    await interval(rates(0.14, 0.15, 0.16, 1, 1));
    expect(ejected()).toEqual(out(0));
  });

  test("stops where as many percent are out as may be, and one always may", async () => {
    const { interval, ejected } = detectorOf(5, { failurePercentage: {} });
    await interval(rates(0, 0, 0, 1, 1));
    expect(ejected()).toEqual(out(0));
  });
});

describe("by consecutive errors", () => {
  test("goes at once, in the middle of an interval; a success begins the count anew", () => {
    const { detector, ejected } = detectorOf(5, { consecutiveErrors: 3 });
    const end = (...outcomes: readonly Outcome[]): void => outcomes.forEach((outcome) => detector.ended("a", outcome));
    end("failure", "overload", "success", "failure", "ignored", "failure");
    expect(ejected()).toEqual(out());
    end("failure");
    expect(ejected()).toEqual(out(0));
  });

  test("not more than the share that may be out", () => {
    const { detector, ejected } = detectorOf(5, { consecutiveErrors: 1, maxEjectionPercent: 30 });
    for (const id of ["a", "b", "c"]) detector.ended(id, "failure");
    expect(ejected()).toEqual(out(0, 1));
  });
});

test("comes back after its time, stays out longer the next time, and earns a step of trust with each interval in peace", async () => {
  const { interval, changes, clock, detector } = detectorOf(5, {
    intervalMs: 1_000,
    baseEjectionMs: 2_000,
    consecutiveErrors: 1,
  });
  const seconds = async (count: number): Promise<void> => {
    for (let second = 0; second < count; second++) await interval([]);
  };
  const failAndCount = async (): Promise<number> => {
    detector.ended("a", "failure");
    let waited = 0;
    for (; detector.isEjected("a"); waited++) await seconds(1);
    return waited;
  };
  // Looked at each second, and the time must be over: 2 s and a look, then 4 s and a look.
  expect(await failAndCount()).toBe(3);
  expect(await failAndCount()).toBe(5);
  await seconds(5);
  expect(await failAndCount()).toBe(3);
  expect(changes).toEqual(["a out", "a in", "a out", "a in", "a out", "a in"]);
  detector.close();
  expect(clock.pending).toBe(0);
});

test("as a guard it keeps the ejected out of the choice, and forgets who left", () => {
  const clock = new ManualClock();
  const reports: string[] = [];
  const guard = outlierGuard(
    { consecutiveErrors: 1 },
    {
      clock,
      random: createRandom(1),
      service: "orders",
      report: ({ instance, state }) => reports.push(`${instance} ${state}`),
      onChange: () => 0,
    },
  );
  const [one, two] = pool(100, 100);
  guard.update!([one!, two!]);
  const permit = guard.admit!(one!);
  if (!(permit instanceof Rejection)) permit("failure", 1_000);
  expect([guard.avoids!(one!), guard.avoids!(two!), reports]).toEqual([true, false, ["orders/0 ejected"]]);
  // Where all are avoided all are used: it says nothing to the contrary.
  expect(guard.allAvoided).toBeUndefined();
  guard.update!([two!]);
  guard.update!([one!, two!]);
  expect(guard.avoids!(one!)).toBe(false);
  guard.close();
});

describe("beside @grpc/grpc-js's own outlier detection, on the same calls", () => {
  afterEach(() => void vi.useRealTimers());

  test("the same instances are out after every interval", async () => {
    const percentage = fc.integer({ min: 0, max: 100 });
    const settings = fc.record({
      intervalMs: fc.integer({ min: 1, max: 20 }).map((n) => n * 500),
      baseEjectionMs: fc.integer({ min: 1, max: 20 }).map((n) => n * 500),
      maxEjectionMs: fc.integer({ min: 1, max: 60 }).map((n) => n * 500),
      maxEjectionPercent: percentage,
      successRate: fc.option(
        fc.record({
          stdevFactor: fc.integer({ min: 0, max: 3000 }),
          minimumHosts: fc.integer({ min: 1, max: 6 }),
          requestVolume: fc.integer({ min: 1, max: 12 }),
        }),
        { nil: undefined },
      ),
      failurePercentage: fc.record({
        threshold: percentage,
        minimumHosts: fc.integer({ min: 1, max: 6 }),
        requestVolume: fc.integer({ min: 1, max: 12 }),
      }),
    });
    const calls = fc.tuple(fc.nat({ max: 15 }), fc.nat({ max: 15 }));
    const scenario = fc.integer({ min: 1, max: 9 }).chain((size) =>
      fc.record({
        own: settings,
        intervals: fc.array(fc.array(calls, { minLength: size, maxLength: size }), { minLength: 1, maxLength: 12 }),
      }),
    );
    let ejections = 0;
    await fc.assert(
      fc.asyncProperty(scenario, async ({ own, intervals }) => {
        vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "Date"], now: 0 });
        const size = intervals[0]!.length;
        const ours = detectorOf(size, own);
        const theirs = grpcDetector(size, own);
        for (const planned of intervals) {
          // Who is out gets no calls.
          const before = ours.ejected();
          const counts: Counts = planned.map((count, index) => (before[index] === true ? [0, 0] : count));
          for (const [index, [successes, failures]] of counts.entries()) {
            for (let call = 0; call < successes; call++) theirs.ended(index, true);
            for (let call = 0; call < failures; call++) theirs.ended(index, false);
          }
          await ours.interval(counts);
          vi.advanceTimersByTime(own.intervalMs);
          expect(ours.ejected()).toEqual(theirs.ejected());
          ejections += ours.ejected().filter(Boolean).length;
        }
        ours.detector.close();
        theirs.close();
      }),
      { numRuns: 150 },
    );
    expect(ejections).toBeGreaterThan(100);
  }, 30_000);
});

/** The library's balancer as a channel uses it, over connections that are always there. */
function grpcDetector(size: number, { successRate, failurePercentage, ...own }: OutlierSettings) {
  const subchannels: Subchannel[] = [];
  experimental.registerLoadBalancerType("flyball_direct", Direct as never, DirectConfig);
  let picker: experimental.Picker | undefined;
  const balancer = new experimental.ChildLoadBalancerHandler({
    createSubchannel: () => alwaysThere() as never,
    updateState: (_state: unknown, next: experimental.Picker) => (picker = next),
    requestReresolution: () => undefined,
    addChannelzChild: () => undefined,
    removeChannelzChild: () => undefined,
  });
  Direct.onSubchannel = (subchannel) => subchannels.push(subchannel);
  const config = experimental.parseLoadBalancingConfig({
    outlier_detection: {
      interval: durationOf(own.intervalMs),
      base_ejection_time: durationOf(own.baseEjectionMs),
      max_ejection_time: durationOf(own.maxEjectionMs),
      max_ejection_percent: own.maxEjectionPercent,
      ...(successRate && { success_rate_ejection: snake(successRate) }),
      ...(failurePercentage && { failure_percentage_ejection: snake(failurePercentage) }),
      child_policy: [{ flyball_direct: {} }],
    },
  });
  const endpoints = Array.from({ length: size }, (_, index) => ({
    addresses: [{ host: "10.0.0.1", port: 1 + index }],
  }));
  balancer.updateAddressList(experimental.statusOrFromValue(endpoints), config, {}, "");
  Direct.onReady();
  return {
    ejected: () => subchannels.map((subchannel) => !subchannel.isHealthy()),
    ended: (index: number, isOk: boolean): void => {
      Direct.next = index;
      const pick = picker!.pick({ metadata: undefined, extraPickInfo: {} } as never);
      pick.onCallEnded?.(isOk ? status.OK : status.UNAVAILABLE, "", undefined as never);
    },
    close: () => balancer.destroy(),
  };
}

interface Subchannel {
  isHealthy(): boolean;
}

/** A child policy that picks whom it is told to. */
class Direct {
  static onSubchannel: (subchannel: Subchannel) => void;
  static onReady: () => void;
  static next: number;
  readonly #helper: {
    createSubchannel(address: unknown, options: unknown): Subchannel;
    updateState(state: connectivityState, picker: unknown, error: null): void;
  };

  constructor(helper: never) {
    this.#helper = helper;
  }

  updateAddressList(endpoints: { readonly value: readonly { readonly addresses: readonly unknown[] }[] }): boolean {
    const subchannels = endpoints.value.map(({ addresses }) => this.#helper.createSubchannel(addresses[0], {}));
    for (const subchannel of subchannels) Direct.onSubchannel(subchannel);
    const pick = () => ({
      pickResultType: experimental.PickResultType.COMPLETE,
      subchannel: subchannels[Direct.next],
      status: null,
      onCallStarted: null,
      onCallEnded: null,
    });
    // The library counts calls of a picker that it gets once it knows its own configuration: not during this call.
    Direct.onReady = () => this.#helper.updateState(connectivityState.READY, { pick }, null);
    return true;
  }

  exitIdle(): void {}
  resetBackoff(): void {}
  destroy(): void {}
  getTypeName(): string {
    return "flyball_direct";
  }
}

class DirectConfig {
  getLoadBalancerName(): string {
    return "flyball_direct";
  }

  toJsonObject(): object {
    return { flyball_direct: {} };
  }

  static createFromJson(): DirectConfig {
    return new DirectConfig();
  }
}

const alwaysThere = () => ({
  getConnectivityState: () => connectivityState.READY,
  addConnectivityStateListener: () => undefined,
  removeConnectivityStateListener: () => undefined,
  addHealthStateWatcher: () => undefined,
  removeHealthStateWatcher: () => undefined,
  isHealthy: () => true,
  ref: () => undefined,
  unref: () => undefined,
});

const durationOf = (ms = 0) => ({ seconds: Math.floor(ms / 1000), nanos: (ms % 1000) * 1e6 });

const snake = (settings: object) =>
  Object.fromEntries(
    Object.entries(settings).map(([key, value]) => [
      key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
      value,
    ]),
  );
