import type { RunningFleet } from "../worlds/world.ts";
import type { History } from "../history/history.ts";
import type { Effect, Observation } from "./fault.ts";
import type { Lift } from "./links.ts";

/** Makes the wall clocks of these nodes wrong from now on; the answer puts them right. */
export async function skew(
  fleet: RunningFleet,
  nodes: readonly string[],
  { byMs = 0, msPerSecond = 0 }: { readonly byMs?: number; readonly msPerSecond?: number },
): Promise<Lift> {
  const sinceUs = fleet.clock.nowUs();
  const lifts = await Promise.all(nodes.map((id) => fleet.nodes.get(id)!.skew({ byMs, msPerSecond, sinceUs })));
  return async () => {
    await Promise.all(lifts.map((lift) => lift()));
  };
}

/** How far a wall clock should be off at a moment, in milliseconds. */
type Expected = (atUs: number) => number;

/**
 * Whether clocks went wrong as they should, from what nodes report that their two clocks show: what the wall clock is off, against the
 * monotonic one and what it was off before; the control are nodes that it doesn't touch, and in `sim` the same seed without the fault.
 */
export function clocksMoved(seen: Observation, nodes: readonly string[], expected: Expected): Effect {
  const { history, orderedUs, fromUs, toUs, control } = seen;
  const during = history.clocks.filter(({ atUs }) => atUs >= fromUs && atUs < toUs);
  const usual = (node: string, atUs: number): number | undefined =>
    seen.isOnlyControlValid === true
      ? control && lastOffMs(control, node, atUs + 1)
      : lastOffMs(history, node, orderedUs);
  const moved = during.flatMap((reading) => {
    const usually = usual(reading.node, reading.atUs);
    const wantedMs = expected(reading.atUs);
    // One that should be nearly right tells nothing.
    if (usually === undefined || Math.abs(wantedMs) < leastMs) return [];
    return [{ isTouched: nodes.includes(reading.node), offMs: offMsOf(reading) - usually, wantedMs }];
  });
  const own = moved.filter(({ isTouched }) => isTouched);
  if (own.length < readingsMin) {
    return { effect: "inconclusive", evidence: `${own.length} readings of its clock while it lasted` };
  }
  const isOff = ({ offMs, wantedMs }: (typeof own)[number]): boolean =>
    Math.abs(offMs - wantedMs) < Math.abs(wantedMs) / 2;
  const [off, strange] = [own.filter(isOff).length, moved.filter((one) => !one.isTouched && isOff(one)).length];
  const last = own.at(-1)!;
  const evidence =
    `${off} of ${own.length} readings were off as they should, the last by ${Math.round(last.offMs)} ms, ` +
    `and ${strange} of ${moved.length - own.length} on other nodes`;
  if (off === own.length && strange === 0) return { effect: "confirmed", evidence };
  return { effect: off === 0 ? "none" : "inconclusive", evidence };
}

/** What is less might be what passes between two looks. */
const leastMs = 50;
const readingsMin = 3;

type Reading = History["clocks"][number];

const offMsOf = ({ atUs, wallMs }: Reading): number => wallMs - atUs / 1000;

function lastOffMs({ clocks }: History, node: string, beforeUs: number): number | undefined {
  const last = clocks.findLast((reading) => reading.node === node && reading.atUs < beforeUs);
  return last && offMsOf(last);
}
