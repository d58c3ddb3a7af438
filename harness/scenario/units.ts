import { z } from "zod";

import { durationUs } from "./durations.ts";

const aDuration = 'a duration such as "250ms", "3s" or "2m"';
/** "250us", "20ms", "1.5s", "2m": a number and its unit. */
export const duration = z.string({ error: aDuration }).regex(/^\d+(\.\d+)?(us|ms|s|m)$/, {
  error: notNegative(aDuration),
  // What looks at its length comes after, and only for what is one.
  abort: true,
});

/** A duration between two others, both allowed; `isWholeMs`: without a fraction of a millisecond. */
export function durationFrom(from: string, to: string, { isWholeMs = false } = {}): typeof duration {
  const [minUs, maxUs] = [durationUs(from), durationUs(to)];
  const range = `${isWholeMs ? "whole milliseconds" : "a duration"} from ${from} to ${to}`;
  const isWithin = (text: string): boolean => {
    const us = durationUs(text);
    return us >= minUs && us <= maxUs && (!isWholeMs || us % 1000 === 0);
  };
  return duration.refine(isWithin, { error: range }).describe(range);
}

/** How long a call, or an attempt, may take. */
export const callTimeout = durationFrom("1us", "1440m");

const aShare = 'a share such as "99%" or 0.99';
/** "99%" or 0.99. */
export const fraction = z.union([
  z.number({ error: aShare }).min(0).max(1),
  z.string({ error: aShare }).regex(/^(100(\.0+)?|\d{1,2}(\.\d+)?)%$/, {
    error: ({ input }) =>
      /^\d+(\.\d+)?%$/.test(String(input)) ? `${aShare}, at most 100%` : notNegative(aShare)({ input }),
  }),
]);

const aSignedDuration = 'a duration with its sign such as "10m" or "-2s"';
/** "-10m", "250ms": a duration, and in which direction. */
export const signedDuration = z
  .string({ error: aSignedDuration })
  .regex(/^[+-]?\d+(\.\d+)?(us|ms|s|m)$/, { error: aSignedDuration });

/** What is expected; whoever wrote a minus is told that it is the minus. */
export function notNegative(expected: string): (issue: { readonly input?: unknown }) => string {
  return ({ input }) => (/^-/.test(String(input)) ? `${expected}, not a negative one` : expected);
}
