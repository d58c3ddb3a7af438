import { durationUs, formatDuration, ratePerSecond } from "./durations.ts";
import { ScenarioError } from "./error.ts";
import { instancesOf } from "./instances.ts";
import type { Scenario } from "./schema.ts";

/** Ten times of what the simulator is measured with, and more than any machine can run. */
const nodesMax = 100_000;
/** Each has a due time in memory, and some records in the history: gigabytes at this many. */
const callsMax = 10_000_000;
const lengthMaxUs = 7 * 24 * 3_600_000_000;

/**
 * Throws INVALID_SCENARIO for what no world could hold, before anything of it is made: a slip of the finger shouldn't end in a lack of
 * memory.
 */
export function checkSize({ fleet, load }: Scenario): void {
  const instances = Object.entries(fleet).map(([name, spec]) => ({ name, count: instancesOf(spec) }));
  const nodes = instances.reduce((sum, { count }) => sum + count, 0);
  if (nodes > nodesMax) {
    const { name } = instances.toSorted((a, b) => b.count - a.count)[0]!;
    throw tooMuch(
      `the fleet has ${nodes} nodes, and a fleet has at most ${nodesMax}`,
      `have fewer instances of ${name}`,
    );
  }
  const legs = load.flatMap((one) => one.legs);
  const longest = legs.find((leg) => !(durationUs(leg.for) <= lengthMaxUs));
  if (longest !== undefined) {
    throw tooMuch(`a load for ${longest.for}, and one lasts at most ${formatDuration(lengthMaxUs)}`, "shorten it");
  }
  const calls = legs.reduce((sum, { rate, to = rate, for: length }) => {
    return sum + (((ratePerSecond(rate) + ratePerSecond(to)) / 2) * durationUs(length)) / 1e6;
  }, 0);
  if (!(calls <= callsMax)) {
    throw tooMuch(
      `the load makes ${Math.round(calls)} calls, and a run has at most ${callsMax}`,
      "lower its rate, or shorten it",
    );
  }
}

const tooMuch = (message: string, hint: string): ScenarioError =>
  new ScenarioError(message, { code: "INVALID_SCENARIO", hint });
