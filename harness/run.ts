import { writeFile } from "node:fs/promises";
import { join } from "node:path";

import { systemClock } from "../runtime/node/clock.ts";
import { drive } from "./drive.ts";
import { proveFaults, type ControlRun } from "./faults/prove.ts";
import { HistoryCollector } from "./history/collector.ts";
import { makeDirectory } from "./history/directory.ts";
import { HistoryError } from "./history/error.ts";
import type { History } from "./history/history.ts";
import { openHistoryWriter } from "./history/writer.ts";
import { judgeRun } from "./judge/judge.ts";
import { summarise } from "./judge/summary.ts";
import { spansToReadBack } from "./judge/traces.ts";
import { untilAborted } from "./parallel.ts";
import { replayCommand } from "./replay.ts";
import { worse, type RunResult } from "./report/verdict.ts";
import { RunLog, runRecord } from "./run-log.ts";
import type { Progress, RunOptions } from "./run-options.ts";
import { ownFileOf, type Plan } from "./scenario/plan.ts";
import { planScenario } from "./scenario/planner.ts";
import type { Scenario } from "./scenario/schema.ts";
import { WorldError } from "./worlds/error.ts";
import type { RunningFleet } from "./worlds/world.ts";

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
    result: { ...result, verdict: "error", reason: result.reason ?? told(unwritten) },
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
        onExit: (node, atUs, { how, isLost = false }) => {
          if (problem === undefined) {
            problem = `node ${node} ${isLost ? "is lost" : "died by itself"}: ${how}`;
            // One of ours that dies is a defect of ours; what somebody else wrote, and the machine, is what this run has to do with.
            if (isLost || isTheirs(plan, node)) brokenBy = new WorldError(problem, { code: "UNAVAILABLE" });
          }
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
      problem ??= told(error);
    } else {
      await writer?.close();
      throw error;
    }
  } finally {
    options.signal?.removeEventListener("abort", interrupt);
  }
  log.write({ type: "end", atUs: endUs, outcome, ...(digest && { digest }), ...(problem && { error: problem }) });
  const unwritten = await log.close();
  return { history: collector.history(), problem: problem ?? (unwritten && told(unwritten)), brokenBy, unwritten };
}

/** Whether a node runs a user's module, or a program that isn't ours at all. */
const isTheirs = (plan: Plan, id: string): boolean =>
  plan.nodes.some((node) => node.id === id && (ownFileOf(node) !== undefined || node.foreign !== undefined));

/** An error as people should see it, with what to do next below it. */
function told(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { hint } = error as { readonly hint?: unknown };
  return typeof hint === "string" ? `${error.message}\n${hint}` : error.message;
}

/** The run was asked to end early. */
class Interrupted extends Error {
  override readonly name = "Interrupted";
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
