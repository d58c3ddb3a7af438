import type { StepPlan } from "../scenario/plan.ts";
import type { FaultSpec } from "../scenario/schema.ts";
import type { RunningFleet } from "../worlds/world.ts";
import type { Effect, FaultStep, Observation } from "./fault.ts";
import type { Lift } from "./links.ts";

type RuleFault = Extract<FaultSpec, { key: string }>;

/** Publishes what the fault says; the answer publishes what was there before, or deletes the document where nothing was. */
export async function publishForAWhile(step: FaultStep<RuleFault>, fleet: RunningFleet): Promise<Lift> {
  const { key, content } = step.fault;
  await fleet.publish(key, content);
  return () => fleet.publish(key, previousOf(step));
}

function previousOf({ restores }: Extract<StepPlan["what"], { kind: "fault" }>): string | undefined {
  return restores?.content;
}

/** For faults of a rule: who reports that its document came to this while the fault lasted, and nobody did in as long before. */
export function rulesCame(
  { history, orderedUs, toUs, control }: Observation,
  key: string,
  outcome: "applied" | "rejected",
): Effect {
  const nodesIn = (source: typeof history, fromUs: number, untilUs: number): number =>
    new Set(
      source.rules
        .filter((rule) => rule.key === key && rule.outcome === outcome && rule.atUs >= fromUs && rule.atUs < untilUs)
        .map(({ node }) => node),
    ).size;
  const during = nodesIn(history, orderedUs, toUs);
  const before = nodesIn(history, orderedUs - (toUs - orderedUs), orderedUs);
  const without = control === undefined ? before : nodesIn(control, orderedUs, toUs);
  const where = control === undefined ? "before" : "in the same run without the fault";
  const evidence = `${during} nodes have ${outcome} a version of ${key} while it lasted, ${without} ${where}`;
  if (during === 0) return { effect: "none", evidence };
  return { effect: without === 0 ? "confirmed" : "inconclusive", evidence };
}
