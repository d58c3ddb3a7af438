import type { RuntimeEvent } from "../runtime/telemetry/events.ts";
import type { HistoryCollector } from "./history/collector.ts";
import { HistoryError } from "./history/error.ts";
import { historyVersion, type HarnessCpuRecord, type HistoryRecord, type MetricsRecord } from "./history/record.ts";
import type { HistoryWriter } from "./history/writer.ts";
import type { Plan } from "./scenario/plan.ts";
import { flyballVersion } from "./version.ts";

/**
 * Brings every record onto the run's own time, whose zero is the start of the load. What comes in before that moment is known
 * waits for it.
 */
export class RunLog {
  readonly #collector: HistoryCollector;
  readonly #writer: HistoryWriter | undefined;
  #originUs: number | undefined;
  #early: ((originUs: number) => void)[] = [];

  constructor(collector: HistoryCollector, writer: HistoryWriter | undefined) {
    this.#collector = collector;
    this.#writer = writer;
  }

  get hasOrigin(): boolean {
    return this.#originUs !== undefined;
  }

  relative(atUs: number): number {
    return atUs - (this.#originUs ?? atUs);
  }

  begin(originUs: number): void {
    this.#originUs = originUs;
    const early = this.#early;
    this.#early = [];
    for (const write of early) write(originUs);
  }

  events(node: string, events: readonly RuntimeEvent[]): void {
    this.#timed((originUs) => {
      for (const event of events) this.write({ type: "event", node, event: rebased(event, originUs) });
    });
  }

  gap(node: string, fromUs: number, toUs: number): void {
    this.#timed((originUs) => this.write({ type: "gap", node, fromUs: fromUs - originUs, toUs: toUs - originUs }));
  }

  exited(node: string, atUs: number): void {
    this.#timed((originUs) => this.write({ type: "process", atUs: atUs - originUs, node, state: "exited" }));
  }

  lag(atUs: number, maxUs: number): void {
    this.#timed((originUs) => this.write({ type: "harness.lag", atUs: atUs - originUs, maxUs }));
  }

  cpu(atUs: number, spent: Omit<HarnessCpuRecord, "type" | "atUs">): void {
    this.#timed((originUs) => this.write({ type: "harness.cpu", atUs: atUs - originUs, ...spent }));
  }

  metrics(record: MetricsRecord): void {
    this.#timed((originUs) => {
      const scrapedUs = record.scrapedUs === null ? null : record.scrapedUs - originUs;
      this.write({ ...record, atUs: record.atUs - originUs, scrapedUs });
    });
  }

  /** A record that is on the run's time already. */
  write(record: HistoryRecord): void {
    this.#collector.add(record);
    this.#writer?.write(record);
  }

  /** Answers what went wrong with the file, if anything did. */
  async close(): Promise<HistoryError | undefined> {
    // A run that never got to its load keeps what it has, on the clock that it had.
    if (this.#originUs === undefined) this.begin(0);
    try {
      await this.#writer?.close();
      return undefined;
    } catch (error) {
      if (error instanceof HistoryError) return error;
      throw error;
    }
  }

  #timed(write: (originUs: number) => void): void {
    if (this.#originUs === undefined) this.#early.push(write);
    else write(this.#originUs);
  }
}

/** What events have of moments beside their own. */
const moments: Partial<Record<RuntimeEvent["type"], readonly string[]>> = {
  "call.begin": ["dueUs"],
  "task.begin": ["deadlineUs"],
  "task.end": ["workUs", "goneUs"],
  access: ["beginUs"],
  span: ["beginUs"],
};

/** The event on the run's time. Nodes hand their events over for good, so they are changed in place. */
function rebased(event: RuntimeEvent, originUs: number): RuntimeEvent {
  const own = event as unknown as { atUs: number } & Record<string, number | undefined>;
  own.atUs -= originUs;
  const others = moments[event.type];
  if (others !== undefined) {
    for (const moment of others) if (own[moment] !== undefined) own[moment] -= originUs;
  }
  if (event.type === "call.end") {
    for (const attempt of event.attempts as unknown as { beginUs: number; endUs: number }[]) {
      attempt.beginUs -= originUs;
      if (attempt.endUs >= 0) attempt.endUs -= originUs;
    }
  }
  if (event.type === "span") {
    const span = event as unknown as { readonly events?: readonly { atUs: number }[] };
    for (const within of span.events ?? []) within.atUs -= originUs;
  }
  return event;
}

/** The first line of a history. */
export function runRecord(plan: Plan): HistoryRecord {
  return {
    type: "run",
    version: historyVersion,
    scenario: plan.scenario.name,
    scenarioHash: plan.scenarioHash,
    world: plan.world,
    seed: plan.seed,
    flyball: flyballVersion(),
    node: process.version,
    nodes: plan.nodes.map(({ id, service, program, tag, weight }) => ({ id, service, program, tag, weight })),
    durationUs: plan.durationUs,
  };
}
