import { writeFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";

import { systemClock } from "../runtime/node/clock.ts";
import type { RuntimeEvent } from "../runtime/telemetry/events.ts";
import { proveFaults, type ControlRun } from "./faults/prove.ts";
import { HistoryCollector } from "./history/collector.ts";
import { makeDirectory } from "./history/directory.ts";
import { HistoryError } from "./history/error.ts";
import type { History } from "./history/history.ts";
import { historyVersion, type HarnessCpuRecord, type HistoryRecord, type MetricsRecord } from "./history/record.ts";
import { openHistoryWriter, type HistoryWriter } from "./history/writer.ts";
import type { LoadDriver, PreparedLoad } from "./load/driver.ts";
import { judgeRun } from "./judge/judge.ts";
import { summarise } from "./judge/summary.ts";
import { spansToReadBack } from "./judge/traces.ts";
import { untilAborted } from "./parallel.ts";
import { worse, type RunResult } from "./report/verdict.ts";
import type { RolloutPorts } from "./rollout/rollout.ts";
import type { CoordinatorName, Plan, RegistryName } from "./scenario/plan.ts";
import { planScenario } from "./scenario/planner.ts";
import type { Scenario } from "./scenario/schema.ts";
import { settle } from "./settle.ts";
import { playTimeline } from "./timeline.ts";
import type { FleetNode, RunningFleet, Sabotage, World } from "./worlds/world.ts";
import type { Turn } from "./turn.ts";
import { flyballVersion } from "./version.ts";

/** How far a run has come, for people who watch. */
export interface Progress {
  readonly phase: "starting" | "warming up" | "running" | "draining" | "judging";
  /** Of the load, 0 to 1. */
  readonly fraction?: number;
  readonly message: string;
  readonly calls?: number;
  readonly failed?: number;
  /** The fault that is there now. */
  readonly fault?: string;
}

export interface RunOptions {
  readonly world: World;
  readonly seed: number;
  /** What serves as registry. Default: what the scenario says. */
  readonly registry?: RegistryName | undefined;
  /** What coordinates the transactions of a bank. Default "embedded". */
  readonly coordinator?: CoordinatorName | undefined;
  /** The run directory; undefined writes nothing. */
  readonly out?: string | undefined;
  /** Ends the run early: faults are healed, the fleet is stopped, and what was recorded is judged and reported. */
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  /** The `--set` options that made this scenario: for the command that replays the run. */
  readonly sets?: readonly string[] | undefined;
  /** How the scenario is named on a command line: its name, or a file. Default: its name. */
  readonly reference?: string | undefined;
  /** World `local`: nodes that share a process, at most. Default: each has its own. */
  readonly pack?: number | undefined;
  /** Where the scenario's file is; see `PlanOptions`. */
  readonly directory?: string | undefined;
  /** Makes the calls from outside of the fleet. Default: the fleet's own consumers make them. */
  readonly load?: LoadDriver | undefined;
  /** Its part in a round of runs side by side. Default: it is alone. */
  readonly turn?: Turn | undefined;
  /** A planted defect (`sim`): tests show with it that a check can fail. */
  readonly sabotage?: Sabotage | undefined;
  /**
   * Whether `sim` may play the run again without a fault, where nothing else can tell its effect. Default true; false: for who asks for the
   * checks alone, and for many seeds. What only such a run can tell of a fault then stays unproven.
   */
  readonly hasControls?: boolean | undefined;
}

/**
 * The one way in which a scenario is run: plan, fleet, warm-up, load and timeline, history, judge. Rejects with a
 * `ScenarioError` for what can't be planned and with a `WorldError` when the fleet doesn't come up. A run that breaks off later, or
 * whose files can't be written, is an error, and is told in full all the same: `brokenBy` and `unwritten` say why.
 */
export async function runScenario(
  scenario: Scenario,
  options: RunOptions,
): Promise<{
  readonly result: RunResult;
  readonly history: History;
  readonly plan: Plan;
  readonly brokenBy: unknown;
  readonly unwritten: HistoryError | undefined;
}> {
  const wall = systemClock();
  const startedUs = wall.nowUs();
  const plan = planScenario(scenario, {
    world: options.world.name,
    seed: options.seed,
    registry: options.registry,
    coordinator: options.coordinator,
    primitives: options.world.primitives,
    load: options.load?.name,
    pack: options.pack,
    directory: options.directory,
  });
  const recorded = await record(plan, options);
  const { history, brokenBy } = recorded;

  const progress = options.onProgress ?? (() => undefined);
  progress({ phase: "judging", message: "judging" });
  const judged = judgeRun(plan, history);
  const faults = await proveFaults(plan, history, controlOf(plan, history, options));
  const idle = faults.find(({ effect }) => effect === "none");
  const verdict = worse(judged.verdict, idle === undefined ? "pass" : "inconclusive");
  const reason =
    recorded.problem ??
    judged.reason ??
    (idle && `the fault ${idle.kind} on ${idle.target} shows no effect, so nothing was tested`);
  const result: RunResult = {
    scenario: scenario.name,
    world: plan.world,
    seed: plan.seed,
    verdict: recorded.problem === undefined ? verdict : "error",
    ...(history.end?.digest !== undefined && { digest: history.end.digest }),
    durationMs: Math.round((history.end?.atUs ?? 0) / 1000),
    wallMs: Math.round((wall.nowUs() - startedUs) / 1000),
    ...summarise(history),
    faults,
    checks: judged.checks,
    ...(reason !== undefined && { reason }),
    out: options.out ?? "",
    replay: replayCommand(plan, options),
  };
  const unwritten =
    recorded.unwritten ?? (await writeAccessLogs(history, options.out)) ?? (await writeVerdict(result, options.out));
  if (unwritten === undefined) return { result, history, plan, brokenBy, unwritten };
  return {
    result: { ...result, verdict: "error", reason: result.reason ?? unwritten.message },
    history,
    plan,
    brokenBy,
    unwritten,
  };
}

/** In `sim`: the same seed without one of the faults, and everything else as it was. */
function controlOf(plan: Plan, history: History, options: RunOptions): ControlRun | undefined {
  const { world, hasControls = true } = options;
  if (!hasControls || world.name !== "sim" || history.end?.outcome !== "complete") return undefined;
  return async (without) => {
    const timeline = plan.timeline.filter(({ index }) => index !== without);
    return (await record({ ...plan, timeline }, { ...options, out: undefined, onProgress: undefined })).history;
  };
}

async function writeVerdict(result: RunResult, out: string | undefined): Promise<HistoryError | undefined> {
  if (out === undefined) return undefined;
  return write("verdict", join(out, "verdict.json"), `${JSON.stringify(result, null, 2)}\n`);
}

/** The access log of each node that wrote one, as Dubbo's logger would have it: `access-orders-0.log`. */
async function writeAccessLogs({ accesses }: History, out: string | undefined): Promise<HistoryError | undefined> {
  if (out === undefined) return undefined;
  for (const [node, own] of Map.groupBy(accesses, (access) => access.node)) {
    const path = join(out, `access-${node.replaceAll("/", "-")}.log`);
    const unwritten = await write("access log", path, own.map(({ line }) => `${line}\n`).join(""));
    if (unwritten !== undefined) return unwritten;
  }
  return undefined;
}

async function write(what: string, path: string, content: string): Promise<HistoryError | undefined> {
  try {
    await writeFile(path, content);
    return undefined;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const hint = "make room, or write elsewhere with --out DIR";
    return new HistoryError(`the ${what} can't be written to ${path}: ${reason}`, {
      code: "CANNOT_WRITE",
      hint,
      cause,
    });
  }
}

/** The shell command that does the same run again. */
export function replayCommand(plan: Plan, options: RunOptions): string {
  const sets = (options.sets ?? []).map(
    (set) => ` --set ${/^[\w./=%-]+$/.test(set) ? set : `'${set.replaceAll("'", `'\\''`)}'`}`,
  );
  const load = plan.load === undefined ? "" : ` --load ${plan.load}`;
  const registry = options.registry === undefined ? "" : ` --registry ${options.registry}`;
  const coordinator = options.coordinator === undefined ? "" : ` --coordinator ${options.coordinator}`;
  const pack = plan.world !== "local" || options.pack === undefined ? "" : ` --pack ${options.pack}`;
  const name = options.reference ?? plan.scenario.name;
  return `npm run scenario -- ${name} --world ${plan.world}${load} --seed ${plan.seed}${registry}${coordinator}${pack}${sets.join("")}`;
}

interface Recorded {
  readonly history: History;
  /** Something that makes the run an error: a node that died by itself, a step that failed, a full disk. */
  readonly problem: string | undefined;
  /** The error that broke the run off after its load had begun; undefined where none did. */
  readonly brokenBy: unknown;
  /** The part of it that is the disk's fault. */
  readonly unwritten: HistoryError | undefined;
}

/** Runs the plan and writes its history. */
async function record(plan: Plan, options: RunOptions): Promise<Recorded> {
  const { world, out } = options;
  const progress = options.onProgress ?? (() => undefined);
  const collector = new HistoryCollector();
  if (out !== undefined) await makeDirectory(out);
  const writer = out === undefined ? undefined : openHistoryWriter(join(out, "history.ndjson"));
  const log = new RunLog(collector, writer);
  log.write(runRecord(plan));

  const abort = new AbortController();
  const interrupt = (): void => abort.abort(new Interrupted());
  if (options.signal?.aborted === true) interrupt();
  options.signal?.addEventListener("abort", interrupt, { once: true });

  let problem: string | undefined;
  let brokenBy: unknown;
  let outcome: "complete" | "interrupted" | "error" = "complete";
  let digest: string | undefined;
  let endUs = 0;
  try {
    await world.run(
      plan,
      {
        onEvents: (node, events) => log.events(node, events),
        onGap: (node, fromUs, toUs) => log.gap(node, fromUs, toUs),
        onExit: (node, atUs, message) => {
          problem ??= `node ${node} died by itself: ${message}`;
          log.exited(node, atUs);
        },
        onProgress: (message) => progress({ phase: "starting", message }),
        signal: abort.signal,
        sabotage: options.sabotage,
      },
      async (fleet) => {
        try {
          const { load, sabotage, turn } = options;
          await drive(plan, fleet, { log, collector, progress, signal: abort.signal, load, out, sabotage, turn });
        } finally {
          digest = fleet.digest?.();
          endUs = log.relative(fleet.clock.nowUs());
        }
        await readSpansBack(plan, fleet, { log, collector, progress });
        await readMetricsBack(fleet, { log, progress });
        // The run is whole by now: who is asked to end early only stops waiting for the others.
        if (options.turn !== undefined) await untilAborted(options.turn.end(), abort.signal).catch(() => undefined);
      },
    );
  } catch (error) {
    if (error instanceof Interrupted || abort.signal.aborted) {
      outcome = "interrupted";
    } else if (log.hasOrigin) {
      // The fleet ran: what it did is worth a report beside the error.
      outcome = "error";
      // A node that died by itself is a defect, and what follows from it is no more than that.
      if (problem === undefined) brokenBy = error;
      problem ??= error instanceof Error ? error.message : String(error);
    } else {
      await writer?.close();
      throw error;
    }
  } finally {
    options.signal?.removeEventListener("abort", interrupt);
  }
  log.write({ type: "end", atUs: endUs, outcome, ...(digest && { digest }), ...(problem && { error: problem }) });
  const unwritten = await log.close();
  return { history: collector.history(), problem: problem ?? unwritten?.message, brokenBy, unwritten };
}

/** The run was asked to end early. */
class Interrupted extends Error {
  override readonly name = "Interrupted";
}

/** Calls before the load: connections get made, and in real processes the code gets compiled. */
const warmUpUs = { sim: 200_000, local: 1_500_000, docker: 1_500_000 };
/** Between the last order to a real node and the first due time. */
const leadUs = { sim: 1_000, local: 150_000, docker: 150_000 };

/** A load generator's own time to let its last calls end, sum up and go. */
const reportWithinUs = 15_000_000;

/** The load and the timeline on a fleet that is ready. */
async function drive(
  plan: Plan,
  fleet: RunningFleet,
  run: {
    readonly log: RunLog;
    readonly collector: HistoryCollector;
    readonly progress: (progress: Progress) => void;
    readonly signal: AbortSignal;
    readonly load: LoadDriver | undefined;
    readonly out: string | undefined;
    readonly sabotage: Sabotage | undefined;
    readonly turn: Turn | undefined;
  },
): Promise<void> {
  const { log, progress, signal } = run;
  const { clock } = fleet;
  signal.throwIfAborted();

  const isRealTime = plan.world !== "sim";
  const lag = isRealTime ? watchLag(fleet, log) : undefined;
  let outside: PreparedLoad | undefined;
  try {
    await warmUp(plan, fleet, run);
    outside = await prepareLoad(plan, fleet, run);
    if (run.turn !== undefined) await untilAborted(run.turn.begin(), signal);
  } catch (error) {
    lag?.();
    throw error;
  }
  const originUs = outside?.originUs ?? clock.nowUs() + leadUs[plan.world];
  log.begin(originUs);
  run.sabotage?.onLoad?.(originUs);
  for (const { node, dueUs } of plan.drives) log.write({ type: "load", node, planned: dueUs.length });
  const write = (record: HistoryRecord): void => {
    log.write(record);
    fleet.hear?.(record);
  };
  const onCallEnd: RolloutPorts["onCallEnd"] = (listener) => run.collector.onCallEnd(listener);
  const timeline = playTimeline(plan, fleet, { originUs, write, onCallEnd });
  // Gateways learn when the load begins; their calls come from outside.
  const driven: Promise<unknown>[] = plan.drives.map(({ node, dueUs }) =>
    nodeOf(fleet, node).drive({ startUs: originUs, dueUs: outside === undefined ? dueUs : [], isWarmUp: false }),
  );
  const reported = outside?.done.then((report) => log.write(report));
  if (reported !== undefined) driven.push(reported);
  // It settles only when the load generator fails. A run that ends early waits for neither.
  const failure = new Promise<never>((_resolve, reject) => void reported?.catch(reject));
  failure.catch(() => undefined);
  const ticker = report(plan, fleet, originUs, run);
  const cpu = isRealTime ? measureCpu(fleet, log) : undefined;
  try {
    const loaded = clock.sleep(originUs + plan.durationUs - clock.nowUs());
    await untilAborted(Promise.race([Promise.all([loaded, timeline.done]), failure]), signal);
    progress({ phase: "draining", message: "waiting for the last calls" });
    // Calls have deadlines, so this ends; the bound is for a node that hangs.
    const withinUs = plan.drainUs + (outside === undefined ? 0 : reportWithinUs);
    await untilAborted(Promise.race([Promise.all(driven), clock.sleep(withinUs)]), signal);
    cpu?.();
  } finally {
    ticker();
    try {
      await outside?.close();
    } finally {
      await timeline.heal().finally(lag);
    }
    if (!signal.aborted) {
      if (plan.settleUs !== undefined) progress({ phase: "draining", message: "waiting for the last transactions" });
      await settle(plan, fleet, { history: () => run.collector.history(), signal });
    }
    await Promise.all([...fleet.nodes.values()].map((node) => node.collect()));
  }
}

/** What arrived in the trace store, where there is one, beside what the nodes reported themselves. */
async function readSpansBack(
  plan: Plan,
  fleet: RunningFleet,
  run: { readonly log: RunLog; readonly collector: HistoryCollector; readonly progress: (progress: Progress) => void },
): Promise<void> {
  if (plan.tracing === undefined || fleet.readSpans === undefined) return;
  run.progress({ phase: "draining", message: "reading traces back" });
  const found = await fleet.readSpans(spansToReadBack(run.collector.history()));
  for (const { node, span } of found) run.log.events(node, [span]);
}

/** What Prometheus counted, where there is one, beside what the nodes reported themselves. */
async function readMetricsBack(
  fleet: RunningFleet,
  { log, progress }: { readonly log: RunLog; readonly progress: (progress: Progress) => void },
): Promise<void> {
  if (fleet.readMetrics === undefined) return;
  progress({ phase: "draining", message: "reading metrics back" });
  for (const record of await fleet.readMetrics()) log.metrics(record);
}

async function warmUp(
  plan: Plan,
  fleet: RunningFleet,
  { progress, signal }: { readonly progress: (progress: Progress) => void; readonly signal: AbortSignal },
): Promise<void> {
  progress({ phase: "warming up", message: "warming up" });
  const driven = plan.drives.map(({ node, dueUs }) =>
    nodeOf(fleet, node).drive({
      startUs: fleet.clock.nowUs() + leadUs[plan.world],
      dueUs: warmUpOf(dueUs, plan.durationUs, warmUpUs[plan.world]),
      isWarmUp: true,
    }),
  );
  await untilAborted(Promise.all(driven), signal);
}

/** Starts the load generator outside of the fleet, if there is one; it waits for its time. */
async function prepareLoad(
  plan: Plan,
  fleet: RunningFleet,
  run: {
    readonly load: LoadDriver | undefined;
    readonly out: string | undefined;
    readonly signal: AbortSignal;
    readonly progress: (progress: Progress) => void;
  },
): Promise<PreparedLoad | undefined> {
  const { load, out, signal, progress } = run;
  if (load === undefined) return undefined;
  progress({ phase: "warming up", message: `starting ${load.name}` });
  return load.prepare(plan, {
    clock: fleet.clock,
    addresses: new Map(plan.drives.map(({ node }) => [node, nodeOf(fleet, node).address])),
    network: fleet.network,
    leadUs: leadUs[plan.world],
    out,
    signal,
  });
}

function nodeOf(fleet: RunningFleet, id: string): FleetNode {
  const node = fleet.nodes.get(id);
  if (node === undefined) throw new Error(`the fleet has no node ${id}`);
  return node;
}

/** The plan's mean rate, evenly, for the length of the warm-up. */
function warmUpOf(dueUs: readonly number[], durationUs: number, lengthUs: number): readonly number[] {
  const calls = Math.ceil((dueUs.length * lengthUs) / durationUs);
  return Array.from({ length: calls }, (_, index) => Math.round((index * lengthUs) / calls));
}

/** Tells twice a second of the run's clock how it goes; the answer stops it. */
function report(
  plan: Plan,
  fleet: RunningFleet,
  originUs: number,
  run: { readonly collector: HistoryCollector; readonly progress: (progress: Progress) => void },
): () => void {
  const { clock } = fleet;
  let cancel = (): void => undefined;
  const tick = (): void => {
    const nowUs = clock.nowUs() - originUs;
    const active = plan.timeline.filter(
      ({ atUs, what }) => what.kind === "fault" && atUs <= nowUs && nowUs < atUs + (what.forUs ?? Infinity),
    );
    run.progress({
      phase: "running",
      fraction: Math.min(1, Math.max(0, nowUs / plan.durationUs)),
      message: `${(Math.max(0, nowUs) / 1e6).toFixed(1)} of ${(plan.durationUs / 1e6).toFixed(0)} s`,
      calls: run.collector.counts.ended,
      failed: run.collector.counts.failed,
      ...(active.length > 0 && { fault: active.map(describeStep).join(", ") }),
    });
    cancel = clock.after(500_000, tick);
  };
  tick();
  return () => cancel();
}

function describeStep({ what }: Plan["timeline"][number]): string {
  if (what.kind !== "fault") return what.kind;
  const links = what.links.map(({ from, to }) => `${from} → ${to}`);
  return `${what.fault.kind} ${[...what.nodes, ...links].join(" ")}`;
}

/** Measures what this process takes of the machine's processors, until the answer is called. */
function measureCpu(fleet: RunningFleet, log: RunLog): () => void {
  const { clock } = fleet;
  const fromUs = clock.nowUs();
  const from = process.cpuUsage();
  return () => {
    const { user, system } = process.cpuUsage(from);
    const nowUs = clock.nowUs();
    log.cpu(nowUs, { usedUs: user + system, ofUs: (nowUs - fromUs) * availableParallelism() });
  };
}

/** Measures how late the harness's own timers run; the answer stops it. */
function watchLag(fleet: RunningFleet, log: RunLog): () => void {
  const { clock } = fleet;
  const periodUs = 20_000;
  let cancel = (): void => undefined;
  let maxUs = 0;
  let reportedUs = clock.nowUs();
  const next = (): void => {
    const dueUs = clock.nowUs() + periodUs;
    cancel = clock.after(periodUs, () => {
      const nowUs = clock.nowUs();
      maxUs = Math.max(maxUs, nowUs - dueUs);
      if (nowUs - reportedUs >= 500_000) {
        log.lag(nowUs, maxUs);
        maxUs = 0;
        reportedUs = nowUs;
      }
      next();
    });
  };
  next();
  return () => cancel();
}

/**
 * Brings every record onto the run's own time, whose zero is the start of the load. What comes in before that moment is known
 * waits for it.
 */
class RunLog {
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

  cpu(atUs: number, spent: Pick<HarnessCpuRecord, "usedUs" | "ofUs">): void {
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
  for (const moment of moments[event.type] ?? []) if (own[moment] !== undefined) own[moment] -= originUs;
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

function runRecord(plan: Plan): HistoryRecord {
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
