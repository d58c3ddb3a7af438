import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { Call } from "../call/call.ts";
import { RpcError } from "../call/status.ts";
import { call } from "../fixtures.ts";
import { ln } from "../numbers.ts";
import type { Response } from "../ports/transport.ts";
import { createRandom } from "../random.ts";
import { ManualClock } from "../testing/clock.ts";
import { concurrencyFilter, ConcurrencyLimiter } from "./concurrency-limit.ts";
import { Aimd } from "./limits/aimd.ts";
import { Gradient2 } from "./limits/gradient2.ts";
import { HillClimbing } from "./limits/hill-climbing.ts";
import type { LimitAlgorithm, Sample } from "./limits/limit.ts";
import { limitKinds, limitOf, type LimitSettings } from "./limits/table.ts";
import { Vegas } from "./limits/vegas.ts";
import { Windowed } from "./limits/windowed.ts";
import { Rejection } from "./outcome.ts";

const sample = (more: Partial<Sample> = {}): Sample => ({ rttUs: 10_000, inFlight: 20, isDropped: false, ...more });

describe("the algorithms, by their golden vectors", () => {
  test("AIMD adds one while half is in use, and leaves nine tenths after a drop or a timeout", () => {
    const limit = new Aimd({ min: 1 });
    limit.sample(sample({ inFlight: 9 }));
    expect(limit.limit).toBe(20);
    limit.sample(sample({ inFlight: 10 }));
    expect(limit.limit).toBe(21);
    limit.sample(sample({ isDropped: true }));
    expect(limit.limit).toBe(18);
    limit.sample(sample({ rttUs: 5_000_001 }));
    expect(limit.limit).toBe(16);
  });

  test("Gradient2: 20 calls, usually 10 ms, now 20 ms: gradient 0.75, 19.8", () => {
    expect(new Gradient2({ min: 1 }).next(10_000, 20_000)).toBeCloseTo(19.8, 10);
    expect(new Gradient2({ min: 1 }).next(10_000, 10_000)).toBeCloseTo(20.8, 10);
    expect(new Gradient2({ min: 1 }).next(10_000, 100_000)).toBeCloseTo(0.8 * 20 + 0.2 * 14, 10);
  });

  test("Gradient2 learns nothing while less than half is in use, and shortens a long average that is over twice the short", () => {
    const limit = new Gradient2({ min: 1 });
    limit.sample(sample({ rttUs: 100_000, inFlight: 9 }));
    expect([limit.limit, limit.longUs]).toEqual([20, 100_000]);
    for (let index = 0; index < 100; index++) limit.sample(sample({ rttUs: 10_000, inFlight: 1 }));
    expect(limit.longUs).toBeLessThan(22_000);
  });

  test("Vegas: 20 calls of 10 ms at best: at 12 ms it stays, at 20 ms it falls to 19, at 10.2 ms it grows to 26", () => {
    const limit = new Vegas({}, createRandom(1));
    expect([12_000, 20_000, 10_200].map((rttUs) => limit.next(rttUs, 20, false, 10_000))).toEqual([20, 19, 26]);
    expect([limit.next(12_000, 9, false, 10_000), limit.next(12_000, 20, true, 10_000)]).toEqual([20, 19]);
  });

  // https://github.com/apache/dubbo-go/issues/3336: shrinks as responses slow down, and grows again when they are quick.
  test("hill climbing: rounds of a second; grows while capacity wants more, falls to the best round's limit and less, in longer rounds", () => {
    let nowUs = 0;
    const limit = new HillClimbing({}, () => nowUs);
    /** So many calls of `rttMs` in the round that is under way; the one that ends it belongs to the next. */
    const round = (calls: number, rttMs: number, seconds = 1): number => {
      const beganUs = nowUs;
      for (let index = 0; index < calls; index++) {
        nowUs = beganUs + Math.floor((index * seconds * s) / calls) + 1;
        limit.sample(sample({ rttUs: rttMs * 1000 }));
      }
      nowUs = beganUs + seconds * s + 2;
      limit.sample(sample({ rttUs: rttMs * 1000 }));
      return limit.limit;
    };
    const s = 1_000_000;
    // The first call only begins. α = 1.5 · ln(limit), d = 1 while a round is a second: 50 + 5.87, 55 + 6.01.
    expect([round(101, 10), round(100, 10)]).toEqual([55, 61]);
    // Slower by half, and capacity down from 10,000 to 6,667: the best round's limit, 50, less 1.5 · ln 61 (log2 2 = 1).
    expect(round(100, 15)).toBe(43);
    // Rounds are two seconds long now: 0.8 · ln(43) = 3.0 at a time.
    expect(round(200, 10, 2)).toBe(46);
    expect(round(200, 30, 2)).toBe(49);
  });

  test("a window tells of its mean, once it is over and has ten calls", () => {
    let nowUs = 0;
    const told: Sample[] = [];
    const inner: LimitAlgorithm = { limit: 5, sample: (one) => told.push(one) };
    const windowed = new Windowed(inner, 1_000_000, () => nowUs);
    for (let index = 0; index < 9; index++) windowed.sample(sample({ rttUs: 1_000 * (index + 1), inFlight: index }));
    nowUs = 1_000_000;
    windowed.sample(sample({ rttUs: 50 }));
    expect(told).toEqual([]);
    windowed.sample(sample({ rttUs: 5_000, inFlight: 3 }));
    expect(told).toEqual([{ rttUs: 5_000, inFlight: 8, isDropped: false }]);
  });
});

/**
 * A server with `workers`, each of whose calls takes `workMs` on average, behind a limit; calls come at `perSecond` and go after a second.
 * Time is a number: the whole is one loop.
 */
function overload(
  settings: LimitSettings & { readonly isSteady?: boolean },
  phases: readonly { readonly perSecond: number; readonly seconds: number }[],
) {
  const random = createRandom(11);
  const exponential = (mean: number): number => -mean * ln(1 - random.float());
  const work = (): number => (settings.isSteady === true ? workUs * (0.8 + 0.4 * random.float()) : exponential(workUs));
  const workers = 10;
  const workUs = 20_000;
  const clock = new ManualClock();
  const algorithm = limitOf(settings, { clock, random });
  const busyUntil = Array.from({ length: workers }, () => 0);
  let live: { readonly beganUs: number; readonly endsUs: number; readonly inFlight: number }[] = [];
  let nowUs = 0;
  const over = (untilUs: number): void => {
    for (;;) {
      const next = live.reduce<(typeof live)[number] | undefined>(
        (first, one) => (first === undefined || one.endsUs < first.endsUs ? one : first),
        undefined,
      );
      if (next === undefined || next.endsUs > untilUs) return;
      live = live.filter((one) => one !== next);
      const rttUs = next.endsUs - next.beganUs;
      algorithm.sample({ rttUs, inFlight: next.inFlight, isDropped: rttUs > 1_000_000 });
    }
  };
  return phases.map(({ perSecond, seconds }) => {
    const endUs = nowUs + seconds * 1e6;
    const times: number[] = [];
    while (nowUs < endUs) {
      nowUs += exponential(1e6 / perSecond);
      over(nowUs);
      if (live.length >= Math.max(1, Math.floor(algorithm.limit))) continue;
      const worker = busyUntil.indexOf(Math.min(...busyUntil));
      const endsUs = Math.max(nowUs, busyUntil[worker]!) + work();
      busyUntil[worker] = endsUs;
      live.push({ beganUs: nowUs, endsUs, inFlight: live.length + 1 });
      times.push(endsUs - nowUs);
    }
    times.sort((a, b) => a - b);
    return {
      goodput: times.filter((us) => us <= 1e6).length / seconds,
      p99Us: times[Math.floor(times.length * 0.99)]!,
      limit: algorithm.limit,
    };
  });
}

/** 10 workers of 20 ms do 500 calls a second. */
const capacity = 500;
test.each<[string, LimitSettings & { readonly isSteady?: boolean }]>([
  ["aimd", { kind: "aimd", initial: 20, min: 5, max: 100, timeoutMs: 150 }],
  ["gradient2", { kind: "gradient2", initial: 20, min: 5, max: 40 }],
  // The shortest time says what is usual only where times differ little.
  ["vegas", { kind: "vegas", initial: 20, max: 40, isSteady: true }],
])(
  "%s: in a threefold overload goodput stays at 90 %% of capacity, and p99 within 3 times the unloaded one",
  (_, settings) => {
    const [calm, storm, after] = overload(settings, [
      { perSecond: 300, seconds: 5 },
      { perSecond: 1_500, seconds: 8 },
      { perSecond: 300, seconds: 5 },
    ]);
    expect(storm!.goodput).toBeGreaterThan(0.9 * capacity);
    expect(storm!.p99Us).toBeLessThan(3 * calm!.p99Us);
    expect(after!.goodput).toBeGreaterThan(0.9 * 300);
    expect(after!.limit).toBeGreaterThanOrEqual(1);
  },
);

test("without a limit the same overload leaves hardly anything in time", () => {
  const [, storm] = overload({ kind: "fixed", initial: 1_000_000 }, [
    { perSecond: 300, seconds: 1 },
    { perSecond: 1_500, seconds: 10 },
  ]);
  expect(storm!.goodput).toBeLessThan(0.2 * capacity);
});

test("no algorithm leaves its bounds, nor goes below 1, whatever it is told", () => {
  const anySample = fc.record({
    rttUs: fc.integer({ min: 0, max: 100_000_000 }),
    inFlight: fc.integer({ min: 1, max: 500 }),
    isDropped: fc.boolean(),
  });
  fc.assert(
    fc.property(
      fc.constantFrom(...limitKinds),
      fc.integer({ min: 1, max: 30 }),
      fc.integer({ min: 0, max: 300 }),
      fc.array(anySample, { maxLength: 100 }),
      (kind, min, more, samples) => {
        const limit = limitOf(
          { kind, initial: min, min, max: min + more },
          { clock: new ManualClock(), random: createRandom(1) },
        );
        for (const one of samples) {
          limit.sample(one);
          expect(limit.limit).toBeGreaterThanOrEqual(min);
          expect(limit.limit).toBeLessThanOrEqual(min + more);
        }
      },
    ),
  );
});

describe("the limiter", () => {
  const limiterOf = (settings: LimitSettings) => {
    const clock = new ManualClock();
    const limits: (number | undefined)[] = [];
    const limiter = new ConcurrencyLimiter(settings, {
      clock,
      random: createRandom(1),
      report: ({ value }) => limits.push(value),
    });
    return { clock, limits, limiter };
  };

  test("refuses what is over the limit, and takes back every place once", () => {
    const { limiter } = limiterOf({ kind: "fixed", initial: 2 });
    const first = limiter.admit();
    limiter.admit();
    expect(limiter.admit()).toMatchObject({ code: "RESOURCE_EXHAUSTED", policy: "concurrency-limit" });
    if (!(first instanceof Rejection)) first("ignored", 0);
    expect(limiter.admit()).not.toBeInstanceOf(Rejection);
    expect(limiter.inFlight).toBe(2);
  });

  test("learns from successes and from overload only, and reports a moved limit at most ten times a second", async () => {
    const { limiter, limits, clock } = limiterOf({ kind: "aimd", initial: 2, min: 1, max: 50 });
    const once = (outcome: "success" | "failure" | "overload" | "ignored"): void => {
      const permit = limiter.admit();
      if (!(permit instanceof Rejection)) permit(outcome, 1_000);
    };
    once("failure");
    once("ignored");
    expect([limiter.limit, limits]).toEqual([2, [2]]);
    once("success");
    once("overload");
    once("overload");
    expect([limiter.limit, limits]).toEqual([1, [2, 3]]);
    await clock.advance(100_000);
    once("ignored");
    once("overload");
    expect(limits).toEqual([2, 3, 1]);
  });

  test("in a server a place is held until the answer, or until a stream's end", async () => {
    const clock = new ManualClock();
    const filter = concurrencyFilter(
      { kind: "fixed", initial: 1 },
      { clock, random: createRandom(1), report: () => 0 },
    );
    let answer = (_: Response): void => undefined;
    const first = filter(call({ clock }), {}, () => new Promise((resolve) => (answer = resolve)));
    const refused = () =>
      filter(call({ clock }), {}, () => Promise.reject(new RpcError("reached", { code: "INTERNAL" })));
    await expect(refused()).rejects.toMatchObject({ policy: "concurrency-limit" });
    answer({ kind: "unary", message: {}, trailers: new Map() });
    await first;
    await expect(refused()).rejects.toMatchObject({ code: "INTERNAL" });
    const streaming = new Call({ clock, service: "", method: "" });
    await filter(streaming, {}, async () => ({ kind: "stream", messages: (async function* () {})() }));
    await expect(refused()).rejects.toMatchObject({ policy: "concurrency-limit" });
    // Nobody ever read it.
    streaming.cancel();
    await expect(refused()).rejects.toMatchObject({ code: "INTERNAL" });
  });

  test("tells whoever asks, and nobody else, how much is left: with the answer and with the refusal", async () => {
    const clock = new ManualClock();
    const settings = { kind: "fixed", initial: 2 } as const;
    const filter = concurrencyFilter(settings, { clock, random: createRandom(1), report: () => 0 });
    const asking = () => call({ clock, metadata: { "adaptive-service.enabled": "1" } });
    const reply: Response = { kind: "unary", message: {}, trailers: new Map([["own", "1"]]) };
    const waiting: ((response: Response) => void)[] = [];
    const later = () => new Promise<Response>((resolve) => waiting.push(resolve));
    const [first, second] = [filter(asking(), {}, later), filter(call({ clock }), {}, later)];
    const refused = { code: "RESOURCE_EXHAUSTED", trailers: room(0, 2) };
    await expect(filter(asking(), {}, later)).rejects.toMatchObject(refused);
    await expect(filter(call({ clock }), {}, later)).rejects.toMatchObject({ trailers: new Map() });
    waiting[0]!(reply);
    expect((await first) as Extract<Response, { kind: "unary" }>).toMatchObject({
      trailers: new Map([["own", "1"], ...room(1, 1)]),
    });
    waiting[1]!(reply);
    expect(await second).toBe(reply);
  });

  const room = (remaining: number, inFlight: number): ReadonlyMap<string, string> =>
    new Map([
      ["adaptive-service.remaining", String(remaining)],
      ["adaptive-service.inflight", String(inFlight)],
    ]);
});
