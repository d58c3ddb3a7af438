import { ln } from "../../runtime/numbers.ts";
import type { Random } from "../../runtime/ports/random.ts";

/** A stretch of a load: the rate goes evenly from `fromPerSecond` to `toPerSecond`. */
export interface Leg {
  readonly fromPerSecond: number;
  readonly toPerSecond: number;
  readonly lengthUs: number;
}

/**
 * Due times at even intervals, dealt to `instances` in turn: whole microseconds from 0 (included) to the end of the legs
 * (excluded), ascending. Call k is due when the expected number of calls reaches k, so a ramp has no jumps.
 */
export function constantArrivals(legs: readonly Leg[], instances: number): readonly (readonly number[])[] {
  const dealt: number[][] = Array.from({ length: instances }, () => []);
  const timeOf = timeOfExpected(legs);
  for (let call = 0; ; call++) {
    const due = timeOf(call);
    if (due === undefined) return dealt;
    dealt[call % instances]!.push(due);
  }
}

/**
 * Due times of one Poisson process: arrivals of unit rate, brought onto the legs by the inverse of their expected number
 * (the time change; Çınlar 1975, Introduction to Stochastic Processes, 4.7): exact for ramps, and one draw a call.
 * `share` is this process's part of the legs' rate.
 */
export function poissonArrivals(legs: readonly Leg[], share: number, random: Random): readonly number[] {
  const due: number[] = [];
  const timeOf = timeOfExpected(legs);
  let expected = 0;
  for (;;) {
    expected -= ln(1 - random.float());
    const at = timeOf(expected / share);
    if (at === undefined) return due;
    due.push(at);
  }
}

/** The length of the legs. */
export function lengthUs(legs: readonly Leg[]): number {
  return legs.reduce((sum, leg) => sum + leg.lengthUs, 0);
}

/** When the expected number of calls since the beginning reaches a value, which must never fall; undefined after the end. */
function timeOfExpected(legs: readonly Leg[]): (expected: number) => number | undefined {
  let index = 0;
  let beganUs = 0;
  let before = 0;
  return (expected) => {
    for (; index < legs.length; index++) {
      const leg = legs[index]!;
      const seconds = leg.lengthUs / 1e6;
      const calls = ((leg.fromPerSecond + leg.toPerSecond) / 2) * seconds;
      if (expected - before < calls) {
        const at = Math.floor(secondsInto(leg, expected - before) * 1e6);
        // Rounding may reach the end of the leg, which belongs to the next one.
        return beganUs + Math.min(at, leg.lengthUs - 1);
      }
      beganUs += leg.lengthUs;
      before += calls;
    }
    return undefined;
  };
}

/** Solves from·t + (to - from)/(2·length)·t² = calls, in the form that doesn't subtract nearly equal numbers. */
function secondsInto(leg: Leg, calls: number): number {
  const { fromPerSecond: from, toPerSecond: to } = leg;
  if (calls === 0) return 0;
  const slope = (to - from) / (leg.lengthUs / 1e6);
  return (2 * calls) / (from + Math.sqrt(Math.max(0, from * from + 2 * slope * calls)));
}
