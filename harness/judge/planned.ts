import { durationUs, ratePerSecond, type Window } from "../scenario/durations.ts";
import { metadata } from "../../runtime/call/metadata.ts";
import { laneOf } from "../../runtime/call/travelling.ts";
import { calleesOf } from "../scenario/calls.ts";
import type { LoadSpec, Scenario } from "../scenario/schema.ts";
import { missMax, type CheckContext } from "./check.ts";
import { partsOf, type When, type Whose } from "./select.ts";

/** The calls that a load will give a service. */
export interface PlannedCalls {
  /** By the load's rates. */
  readonly expected: number;
  /** So many come under all but one seed of a thousand: what a check may count on. */
  readonly atLeast: number;
}

/**
 * Calls that a service gets in a part of the load, or in these stretches of it: those of its consumers, and one for each call
 * of a service that calls it in turn. Computed from the rates and not from one seed's draw, so that whether a scenario can be
 * run doesn't depend on luck. A Poisson process of mean m falls short of m - t with a probability of at most
 * e^(-t²/2m), a bound so loose that the shortfall of one in a thousand meant here is really one of some ten thousand: it adds
 * little to what a check may miss.
 */
export function plannedCalls(
  context: CheckContext,
  service: string,
  part: (When & Whose) | readonly Window[] = {},
  /** Whose calls, where `part` is stretches. Default everybody's. */
  whose: Whose = {},
): PlannedCalls {
  const stretches = isStretches(part) ? part : partsOf(part, context.durationUs);
  let regular = 0;
  let random = 0;
  for (const load of context.scenario.load) {
    if (!reaches(context.scenario, load.on, service, isStretches(part) ? whose : part)) continue;
    for (const stretch of stretches) {
      const calls = expectedIn(load, stretch);
      if (load.arrivals === "constant") regular += Math.floor(calls + 1e-9);
      else random += calls;
    }
  }
  const shortfall = Math.sqrt(2 * Math.log(1 / missMax) * random);
  return { expected: Math.round(regular + random), atLeast: regular + Math.max(0, Math.floor(random - shortfall)) };
}

/** Calls per second that consumers make on average, all together. */
export function meanRate({ scenario, durationUs }: CheckContext): number {
  const calls = scenario.load.reduce((sum, load) => sum + expectedIn(load, { fromUs: 0, toUs: durationUs }), 0);
  return (calls / durationUs) * 1e6;
}

function isStretches(part: (When & Whose) | readonly Window[]): part is readonly Window[] {
  return Array.isArray(part);
}

/** Whether each call of a consumer ends up, directly or over other services, in a call of the service. The planner refuses circles. */
function reaches({ fleet }: Scenario, consumer: string, service: string, { from, lane }: Whose): boolean {
  if (lane !== undefined && (consumerLane(fleet[consumer]) ?? "-") !== lane) return false;
  return leadsTo(consumer);

  function leadsTo(caller: string): boolean {
    const spec = fleet[caller];
    if (spec === undefined) return false;
    return calleesOf(spec).some(
      (called) => (called === service && (from === undefined || caller === from)) || leadsTo(called),
    );
  }
}

/** The lane of a consumer's calls: its tag, or what it puts into their metadata. */
function consumerLane(spec: Scenario["fleet"][string] | undefined): string | undefined {
  if (spec === undefined || !("tag" in spec || "metadata" in spec)) return undefined;
  const carried = "metadata" in spec ? metadata(spec.metadata ?? {}) : metadata({});
  return laneOf(spec.tag === undefined ? carried : new Map([...carried, ["dubbo.tag", spec.tag]]));
}

/** The integral of a load's rate over a stretch. */
function expectedIn(load: LoadSpec, { fromUs, toUs }: Window): number {
  let calls = 0;
  let beganUs = 0;
  for (const leg of load.legs) {
    const lengthUs = durationUs(leg.for);
    const rate = ratePerSecond(leg.rate);
    const slope = (ratePerSecond(leg.to ?? leg.rate) - rate) / lengthUs;
    const from = Math.max(0, fromUs - beganUs);
    const to = Math.min(lengthUs, toUs - beganUs);
    if (to > from) calls += ((to - from) / 1e6) * (rate + (slope * (from + to)) / 2);
    beganUs += lengthUs;
  }
  return calls;
}
