import { firstDifference, Recording, type RecordedEvent } from "../worlds/sim/recording.ts";
import type { World } from "../worlds/world.ts";
import { openWorld } from "./worlds.ts";

/** What two runs of one seed showed. */
export interface Repetition {
  readonly events: number;
  /** Undefined when they were the same. */
  readonly difference: string | undefined;
}

/** Runs something in `sim` twice, every event recorded, and compares. Answers the first run's outcome. */
export async function runTwice<T>(
  run: (world: World, isFirst: boolean) => Promise<T>,
): Promise<{ readonly outcome: T; readonly repetition: Repetition }> {
  const recorded = async (isFirst: boolean): Promise<{ outcome: T; recording: Recording }> => {
    const recordings: Recording[] = [];
    const record = (): Recording => {
      const recording = new Recording();
      recordings.push(recording);
      return recording;
    };
    const outcome = await run(await openWorld("sim", { record }), isFirst);
    // A run may be followed by one without its faults, as a control: the first is the run itself.
    return { outcome, recording: recordings[0] ?? new Recording() };
  };
  const first = await recorded(true);
  const second = await recorded(false);
  const found = firstDifference(first.recording, second.recording);
  const difference =
    found && `event ${found.index} differs: first ${describe(found.first)}, then ${describe(found.second)}`;
  return { outcome: first.outcome, repetition: { events: first.recording.size, difference } };
}

function describe(event: RecordedEvent | undefined): string {
  if (event === undefined) return "nothing (the run was over)";
  return `${event.kind} at ${event.node}, ${event.atUs} µs, payload ${event.payload}`;
}
