import type { History } from "../history/history.ts";
import type { CheckResult } from "../report/verdict.ts";
import type { CheckPlan, DrivePlan, NodePlan, StepPlan, WorldName } from "../scenario/plan.ts";
import type { CheckSpec, Scenario } from "../scenario/schema.ts";

/** What the planner knows when it asks whether a check can be trusted. */
export interface CheckContext {
  readonly scenario: Scenario;
  readonly world: WorldName;
  readonly nodes: readonly NodePlan[];
  readonly drives: readonly DrivePlan[];
  readonly timeline: readonly StepPlan[];
  readonly durationUs: number;
}

/** A kind of check: one file each, all alike. */
export interface CheckKind<Spec extends CheckSpec = CheckSpec> {
  /**
   * Name, trials and error probabilities of this check under this plan. Throws a `ScenarioError` TOO_FEW_TRIALS when what it
   * `detects` would be missed with a probability over 0.001, saying how long a load or which rate would do.
   */
  plan(spec: Spec, context: CheckContext): CheckPlan;
  /** The verdict, from the history alone. */
  judge(plan: CheckPlan & { readonly check: Spec }, history: History): CheckResult;
}

/** The probability with which one check may fail a healthy system. */
export const falseAlarmMax = 1e-9;

/** The probability with which a check may miss what it says it detects. */
export const missMax = 1e-3;
