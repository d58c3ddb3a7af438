import type { TransactionChange } from "../runtime/telemetry/events.ts";
import { isEnded, needsRepair, type GlobalStatus } from "../runtime/transactions/status.ts";
import type { History } from "./history/history.ts";
import { untilAborted } from "./parallel.ts";
import type { Plan } from "./scenario/plan.ts";
import type { FleetNode, RunningFleet } from "./worlds/world.ts";

/** Between the first two looks whether every transaction is over, and between any two: what isn't over soon takes long. */
const pauseUs = { first: 100_000, longest: 2_000_000 };

/**
 * Waits until every global transaction of the run has come to its end, as far as the plan allows, and lets everybody who takes part report
 * what there is then. Transactions that need a person have come to theirs.
 */
export async function settle(
  { nodes, settleUs }: Plan,
  { clock, nodes: fleet }: RunningFleet,
  { history, signal }: { readonly history: () => History; readonly signal: AbortSignal },
): Promise<void> {
  if (settleUs === undefined) return;
  const untilUs = clock.nowUs() + settleUs;
  const running = (...programs: readonly string[]): readonly FleetNode[] =>
    nodes
      .flatMap(({ id, program }) => (programs.includes(program) ? [fleet.get(id)!] : []))
      .filter(({ state }) => state === "running");
  const collect = (): Promise<unknown> => Promise.all([...fleet.values()].map((node) => node.collect()));
  for (let nextUs = pauseUs.first; ; nextUs = Math.min(1.5 * nextUs, pauseUs.longest)) {
    await collect();
    const open = openXids(history().transactions);
    const asked = running("order").slice(0, 1);
    await untilAborted(Promise.all(asked.map((node) => node.audit(open))), signal);
    const participants = running("coordinator", "account", "stock");
    await untilAborted(Promise.all(participants.map((node) => node.audit([]))), signal);
    await collect();
    if (isQuiet(history().transactions) || clock.nowUs() >= untilUs) return;
    await untilAborted(clock.sleep(Math.min(nextUs, untilUs - clock.nowUs())), signal);
  }
}

type Change = TransactionChange & { readonly node: string };
export type Audit = Extract<Change, { readonly what: "audit" }>;

/** Those of which the coordinator hasn't said that they are over: what a manager heard may still be under way in the background. */
function openXids(changes: readonly Change[]): readonly string[] {
  const found = lastFound(changes);
  const all = new Set(changes.map(({ xid }) => xid).filter((xid) => xid !== ""));
  return [...all].filter((xid) => !isEnded(found.get(xid) ?? "Begin"));
}

/** Nothing is open, and nobody has anything left but of those that need a person. */
function isQuiet(changes: readonly Change[]): boolean {
  if (openXids(changes).length > 0) return false;
  const found = lastFound(changes);
  const left = [...lastAudits(changes).values()].flatMap((audit) => audit.left);
  return left.every(({ xid }) => needsRepair(found.get(xid) ?? "Begin"));
}

/** By xid, what the coordinator said of it when it was asked last. */
export function lastFound(changes: readonly Change[]): ReadonlyMap<string, GlobalStatus> {
  const found = new Map<string, GlobalStatus>();
  for (const change of changes) if (change.what === "found") found.set(change.xid, change.status);
  return found;
}

/** By node, what it reported last. */
export function lastAudits(changes: readonly Change[]): ReadonlyMap<string, Audit> {
  const audits = new Map<string, Audit>();
  for (const change of changes) if (change.what === "audit") audits.set(change.node, change);
  return audits;
}
