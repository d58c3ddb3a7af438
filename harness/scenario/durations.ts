import { ScenarioError } from "./error.ts";

const microseconds: Readonly<Record<string, number>> = { us: 1, ms: 1_000, s: 1_000_000, m: 60_000_000 };

/** "250ms", "1.5s" or "2m" as whole microseconds. */
export function durationUs(text: string): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?)(us|ms|s|m)$/.exec(text) ?? [];
  if (number === undefined || unit === undefined) throw malformed(text, 'a duration such as "250ms", "3s" or "2m"');
  return Math.round(Number(number) * microseconds[unit]!);
}

/** "-10m" or "250ms" as whole microseconds, negative ones included. */
export function signedUs(text: string): number {
  const us = durationUs(text.replace(/^[+-]/, ""));
  return text.startsWith("-") ? -us : us;
}

/** "99%" or 0.99 as a number from 0 to 1. */
export function fractionOf(share: string | number): number {
  if (typeof share === "number") return share;
  const [, number] = /^(\d{1,3}(?:\.\d+)?)%$/.exec(share) ?? [];
  if (number === undefined) throw malformed(share, 'a share such as "99%" or 0.99');
  // Moving the decimal point in the text keeps "99.9%" the double that is nearest to 0.999; dividing by 100 doesn't.
  return Number(`${number}e-2`);
}

/** "80/s" or "30/m" as calls per second. */
export function ratePerSecond(text: string): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?)\/(s|m)$/.exec(text) ?? [];
  if (number === undefined) throw malformed(text, 'a rate such as "80/s"');
  return unit === "m" ? Number(number) / 60 : Number(number);
}

/** A stretch of a run: `fromUs` is in it, `toUs` isn't. */
export interface Window {
  readonly fromUs: number;
  readonly toUs: number;
}

/** "3s..5s" */
export function windowUs(text: string): Window {
  const [from, to, more] = text.split("..");
  if (from === undefined || to === undefined || more !== undefined) throw malformed(text, 'a window such as "3s..5s"');
  const window = { fromUs: durationUs(from), toUs: durationUs(to) };
  if (window.fromUs === window.toUs) throw new ScenarioError(`"${text}" is empty`, { code: "INVALID_SCENARIO" });
  if (window.fromUs > window.toUs) {
    throw new ScenarioError(`"${text}" ends before it begins`, { code: "INVALID_SCENARIO", hint: `"${to}..${from}"?` });
  }
  return window;
}

/** For people, in the unit that suits it, at most three digits behind the point: "250 ms", "1.5 s", "2 min". */
export function formatDuration(us: number): string {
  if (us >= 120_000_000 && us % 60_000_000 === 0) return `${us / 60_000_000} min`;
  if (us >= 1_000_000) return `${digits(us / 1_000_000)} s`;
  if (us >= 1_000) return `${digits(us / 1_000)} ms`;
  return `${Math.round(us)} µs`;
}

/** For people: "99.6%". Cut off and never rounded up, so that 99.96 % doesn't look like the 100 % that it isn't. */
export function formatShare(share: number, decimals = 1): string {
  const scale = Number(`1e${decimals}`);
  // The small addition mends products such as 0.29 · 100 = 28.999999999999996.
  return `${Math.floor(share * 100 * scale + 1e-6) / scale}%`;
}

/** For people: "80/s". */
export function formatRate(perSecond: number): string {
  return `${digits(perSecond)}/s`;
}

/** Three significant digits or all those before the point. */
function digits(value: number): string {
  const decimals = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return String(Number(value.toFixed(decimals)));
}

function malformed(text: string, expected: string): ScenarioError {
  return new ScenarioError(`"${text}" is not ${expected}`, { code: "INVALID_SCENARIO" });
}
