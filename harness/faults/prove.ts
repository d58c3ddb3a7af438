import type { History } from "../history/history.ts";
import type { FaultResult } from "../report/verdict.ts";
import type { Plan, StepPlan } from "../scenario/plan.ts";
import type { Effect, FaultStep, Observation } from "./fault.ts";
import { faultKind } from "./table.ts";

/** Plays the run once more without the step of this index. */
export type ControlRun = (without: number) => Promise<History>;

/**
 * Whether each fault that was applied shows in the calls. Where the run itself doesn't tell, and where another fault is on the
 * same attempts at the same time, `control` does; in a world without one such a fault stays unproven.
 */
export async function proveFaults(
  plan: Plan,
  history: History,
  control: ControlRun | undefined,
): Promise<FaultResult[]> {
  const applied = plan.timeline.flatMap((step) => observed(step, plan, history));
  const results: FaultResult[] = [];
  for (const own of applied) {
    const isConfounded = applied.some((other) => other !== own && interferes(own, other));
    const { effect, evidence } = await prove(own, isConfounded, control);
    const { step, what } = own;
    results.push({
      kind: what.fault.kind,
      target: targetOf(what),
      atMs: step.atUs / 1000,
      forMs: what.forUs === undefined ? null : what.forUs / 1000,
      effect,
      evidence,
    });
  }
  return results;
}

interface Applied {
  readonly step: StepPlan;
  readonly what: FaultStep;
  readonly observation: Observation;
}

async function prove(own: Applied, isConfounded: boolean, control: ControlRun | undefined): Promise<Effect> {
  const { step, what, observation } = own;
  const kind = faultKind(what);
  const alone = isConfounded ? undefined : kind.effect(what, observation);
  if (alone?.effect === "confirmed") return alone;
  if (control !== undefined) {
    return kind.effect(what, { ...observation, control: await control(step.index), isOnlyControlValid: isConfounded });
  }
  return alone ?? { effect: "inconclusive", evidence: "another fault was on the same calls at the same time" };
}

/** "orders/1", "storefront/0 → orders/1", "orders.condition-router", … */
function targetOf({ fault, nodes, links }: FaultStep): string {
  if ("key" in fault) return [fault.key, ...nodes].join(", ");
  return [...nodes, ...links.map(({ from, to }) => `${from} → ${to}`)].join(", ");
}

/** The fault, if it was applied, with the window in which it was there. */
function observed(step: StepPlan, plan: Plan, history: History): readonly Applied[] {
  const { what } = step;
  if (what.kind !== "fault") return [];
  const at = (phase: string): number | undefined =>
    history.steps.find((record) => record.index === step.index && record.phase === phase)?.atUs;
  const fromUs = at("applied");
  if (fromUs === undefined) return [];
  const { showsForUs = Infinity } = faultKind(what);
  const toUs = Math.min(at("lift") ?? plan.durationUs, plan.durationUs, fromUs + showsForUs);
  const observation = { history, orderedUs: at("apply") ?? fromUs, fromUs, toUs, control: undefined };
  return [{ step, what, observation }];
}

/** The other's time overlaps with its own, and it touches attempts at the same node, or what the fault shows in. */
function interferes(own: Applied, other: Applied): boolean {
  const { shows } = faultKind(own.what);
  if (shows !== undefined && faultKind(other.what).shows !== shows) return false;
  const [one, two] = [own.observation, other.observation];
  if (one.orderedUs >= two.toUs || two.orderedUs >= one.toUs) return false;
  const touched = new Set(touchedBy(own.what));
  return touchedBy(other.what).some((node) => touched.has(node));
}

const touchedBy = ({ nodes, links }: FaultStep): readonly string[] => [...nodes, ...links.map(({ to }) => to)];
