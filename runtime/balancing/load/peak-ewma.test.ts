import { describe, expect, test } from "vitest";

import { endpoint, tell } from "../../fixtures.ts";
import { Cost, peakEwma } from "./peak-ewma.ts";

const s = 1_000_000;
const ms = 1000;

describe("peak EWMA", () => {
  test("has the golden values: 100 ms, then 20 ms a second later; a peak of 150 ms; two seconds of silence", () => {
    const cost = new Cost(10 * s, 0);
    cost.observe(100 * ms, 0);
    cost.observe(20 * ms, 1 * s);
    expect(cost.at(1 * s) / ms).toBeCloseTo(92.387, 3);
    cost.observe(150 * ms, 1 * s);
    expect(cost.at(1 * s) / ms).toBe(150);
    expect(cost.at(3 * s) / ms).toBeCloseTo(122.8096, 4);
  });

  test("load is cost times calls in flight + 1", () => {
    const load = peakEwma();
    const one = endpoint({ inFlight: 3 });
    load.of(one, 0);
    tell(one, { latencyUs: 100 * ms, endUs: 0 });
    tell(one, { latencyUs: 20 * ms, endUs: 1 * s });
    expect(load.of(one, 1 * s) / ms).toBeCloseTo(369.548, 2);
  });

  test("lets one call at a time find out about an endpoint that nobody knows", () => {
    const load = peakEwma();
    expect(load.of(endpoint(), 0)).toBe(0);
    expect(load.of(endpoint({ inFlight: 1 }), 0)).toBeGreaterThan(1e14);
  });

  test("an endpoint that fails at once doesn't look fast", () => {
    const load = peakEwma();
    const [failing, slow] = [endpoint(), endpoint()];
    for (const one of [failing, slow]) load.of(one, 0);
    tell(failing, { code: "UNAVAILABLE", latencyUs: 10, endUs: 0 });
    tell(slow, { code: "OK", latencyUs: 100 * ms, endUs: 0 });
    expect(load.of(failing, 0)).toBeGreaterThan(load.of(slow, 0));
  });
});
