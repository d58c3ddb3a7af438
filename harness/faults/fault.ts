import type { History } from "../history/history.ts";
import type { StepPlan } from "../scenario/plan.ts";
import type { FaultSpec } from "../scenario/schema.ts";
import type { Primitive, RunningFleet } from "../worlds/world.ts";
import type { Lift, LinkShapes } from "./links.ts";

/** A step of a plan that is a fault. */
export type FaultStep<Spec extends FaultSpec = FaultSpec> = StepPlan["what"] & {
  readonly kind: "fault";
  readonly fault: Spec;
};

/** A kind of fault: one file each, all alike. */
export interface FaultKind<Spec extends FaultSpec = FaultSpec> {
  /** What a world must offer. */
  readonly primitives: readonly Primitive[];
  /** It shows in what nodes report of this part of their machines, and in nothing else. Default: in calls, and what else they report. */
  readonly shows?: "clock" | "disk";
  /** Of what comes at one moment and stays: for how long that is looked at. Default: until the end of the run. */
  readonly showsForUs?: number;
  /** Composes the world's primitives; resolves when they all took hold. */
  apply(step: FaultStep<Spec>, fleet: RunningFleet, links: LinkShapes): Promise<Lift>;
  /** Whether the records show it. */
  effect(step: FaultStep<Spec>, seen: Observation): Effect;
}

/** What an effect is computed from: call records, and when the fault was there. Never the injector's own word. */
export interface Observation {
  readonly history: History;
  /** When the order was given; it took hold until `fromUs`. */
  readonly orderedUs: number;
  /** From the moment it was applied until it was lifted, or the load ended. */
  readonly fromUs: number;
  readonly toUs: number;
  /** The same seed without this fault (`sim` only). */
  readonly control: History | undefined;
  /** Another fault is on the same attempts: nothing but `control` tells the two apart. */
  readonly isOnlyControlValid?: boolean;
}

export interface Effect {
  readonly effect: "confirmed" | "none" | "inconclusive";
  /** The numbers behind it, in a sentence. */
  readonly evidence: string;
}
