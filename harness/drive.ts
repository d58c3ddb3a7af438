import type { HistoryCollector } from "./history/collector.ts";
import type { HistoryRecord } from "./history/record.ts";
import type { LoadDriver, PreparedLoad } from "./load/driver.ts";
import { untilAborted } from "./parallel.ts";
import type { RolloutPorts } from "./rollout/rollout.ts";
import type { RunLog } from "./run-log.ts";
import type { Progress } from "./run-options.ts";
import type { Plan } from "./scenario/plan.ts";
import { settle } from "./settle.ts";
import { playTimeline } from "./timeline.ts";
import type { Turn } from "./turn.ts";
import { measureCpu, watchLag } from "./watch.ts";
import type { FleetNode, RunningFleet, Sabotage } from "./worlds/world.ts";

/** Calls before the load: connections get made, and in real processes the code gets compiled. */
const warmUpUs = { sim: 200_000, local: 1_500_000, docker: 1_500_000 };
/** Between the last order to a real node and the first due time. */
const leadUs = { sim: 1_000, local: 150_000, docker: 150_000 };

/** A load generator's own time to let its last calls end, sum up and go. */
const reportWithinUs = 15_000_000;

/** The load and the timeline on a fleet that is ready. */
export async function drive(
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
      await settle(plan, fleet, { transactions: run.collector.transactions, signal });
    }
    await Promise.all([...fleet.nodes.values()].map((node) => node.collect()));
  }
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
