import { faults } from "../faults/table.ts";
import type { Primitive } from "../worlds/world.ts";
import { formatDuration } from "./durations.ts";
import type { NodePlan, ProcessPlan, StepPlan } from "./plan.ts";

/** What is done to a node's process, and so to everybody who shares it. */
const ofProcesses: ReadonlySet<Primitive> = new Set<Primitive>([
  "node.kill",
  "node.pause",
  "node.stop",
  "node.restart",
  "node.block",
]);

/**
 * Which nodes share a process, at most `pack` of them, in the fleet's order. Alone are the infrastructure, which everybody waits for, and
 * whoever a step of the timeline needs a process of its own for. Those who make the load share with each other only: how late they
 * are must not depend on the work of those whom they call.
 */
export function planProcesses(
  nodes: readonly NodePlan[],
  timeline: readonly StepPlan[],
  pack: number,
): readonly ProcessPlan[] {
  const reasons = reasonsOf(timeline);
  const open = new Map<boolean, string[]>();
  const processes: ProcessPlan[] = [];
  for (const { id, program } of nodes) {
    const isInfrastructure = program === "registry" || program === "config-center" || program === "coordinator";
    const alone = isInfrastructure ? "infrastructure" : reasons.get(id);
    if (alone !== undefined) {
      processes.push({ nodes: [id], alone });
      continue;
    }
    const isCaller = program === "consumer" || program === "gateway";
    const shared = open.get(isCaller);
    if (shared !== undefined && shared.length < pack) {
      shared.push(id);
      continue;
    }
    const own = [id];
    open.set(isCaller, own);
    processes.push({ nodes: own });
  }
  return processes;
}

/** By node, the first step that is about its process: "kill at 2 s". */
function reasonsOf(timeline: readonly StepPlan[]): ReadonlyMap<string, string> {
  const reasons = new Map<string, string>();
  for (const { atUs, what } of timeline) {
    if (what.kind === "publish" || what.kind === "rollout") continue;
    const isOfProcess =
      what.kind !== "fault" || faults[what.fault.kind].primitives.some((primitive) => ofProcesses.has(primitive));
    if (!isOfProcess) continue;
    const kind = what.kind === "fault" ? what.fault.kind : what.kind;
    for (const node of what.nodes) {
      if (!reasons.has(node)) reasons.set(node, `${kind} at ${formatDuration(atUs)}`);
    }
  }
  return reasons;
}
