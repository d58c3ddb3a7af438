import type { History } from "../history/history.ts";
import type { Progress } from "../run-options.ts";
import type { Plan, WorldName } from "../scenario/plan.ts";
import type { Scenario } from "../scenario/schema.ts";
import type { AgreementResult, InvocationResult, RunResult } from "./verdict.ts";

/** One run of an invocation, before it has a result. */
export interface RunId {
  readonly scenario: Scenario;
  readonly world: WorldName;
  readonly seed: number;
}

/** Everything that is going to run. A scenario's worlds come one after the other; another one may run beside it. */
export interface Invocation {
  readonly runs: readonly RunId[];
  readonly out: string;
}

/** A run that has ended. Without a history it never got as far as a fleet. */
export interface FinishedRun {
  readonly result: RunResult;
  readonly plan: Plan;
  readonly history: History | undefined;
}

/** Tells people or programs how an invocation goes: one file a format, all alike. Called in the order of the methods. */
export interface Reporter {
  onStart?(invocation: Invocation): void;
  onProgress?(run: RunId, progress: Progress): void;
  /** Something that people should know at once: a run that is repeated, an interruption. */
  onNotice?(text: string): void;
  onRun?(run: FinishedRun): void;
  /** The worlds of one scenario and seed are through; with the agreement where there are two. */
  onScenario?(runs: readonly FinishedRun[], agreement: AgreementResult | undefined): void;
  onEnd?(result: InvocationResult): void;
}
