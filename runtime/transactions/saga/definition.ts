import { RpcError, type RpcCode } from "../../call/status.ts";
import type { Metadata } from "../../call/metadata.ts";

/** What a saga keeps on the disk between its steps. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

/** How often a step is tried, in the terms of Seata's `Retry`. */
export interface SagaRetry {
  /** In all. Default 3. */
  readonly maxAttempts: number;
  /** Pause before the second attempt, in milliseconds. Default 100. */
  readonly intervalMs: number;
  /** Each further pause is so many times longer. Default 2. */
  readonly backoffRate: number;
}

export const defaultSagaRetry: SagaRetry = { maxAttempts: 3, intervalMs: 100, backoffRate: 2 };

/** What an action or a compensation knows. */
export interface StepCall<Input, Outputs> {
  readonly xid: string;
  /** Of this step of this saga, the same in each attempt: what a participant's fence keeps it by. */
  readonly stepId: string;
  /** For the calls that belong to it: they carry the xid. */
  readonly metadata: Metadata;
  readonly input: Input;
  /** What the steps before it answered, by their names. */
  readonly outputs: Outputs;
}

/** Seata's `Status`: it was done (SU), it certainly wasn't (FA), or nobody can tell (UN). */
export type StepOutcome = "SU" | "FA" | "UN";

/**
 * A step. Both halves may come twice, and the compensation also when the action has never been there, or before it: a participant guards
 * them by `participant.ts`, as Seata does by the fence of TCC.
 */
export interface SagaStep<Input, Outputs, Output> {
  /** What it answers is kept, and is there for the steps after it. */
  action(call: StepCall<Input, Outputs>): Promise<Output>;
  /** Takes back what the action did. Absent: there is nothing to take back. `output` is undefined where the action's answer was lost. */
  compensation?(call: StepCall<Input, Outputs>, output: Output | undefined): Promise<void>;
  /** Of an action whose outcome isn't known. One that certainly failed isn't tried again. */
  readonly retry?: Partial<SagaRetry>;
  /** Of a compensation. One that was answered by an error so often needs a person; where nobody answers, the coordinator asks again. */
  readonly compensationRetry?: Partial<SagaRetry>;
  /** What a rejection of the action says. Default `outcomeOf`. */
  outcomeOf?(error: unknown): Exclude<StepOutcome, "SU">;
}

/** A step as the engine runs it: its types were checked when it was written down. */
export interface AnyStep {
  readonly name: string;
  readonly action: (call: StepCall<Json, Readonly<Record<string, Json>>>) => Promise<Json | undefined>;
  readonly compensation:
    ((call: StepCall<Json, Readonly<Record<string, Json>>>, output: Json | undefined) => Promise<void>) | undefined;
  readonly retry: SagaRetry;
  readonly compensationRetry: SagaRetry;
  readonly outcomeOf: (error: unknown) => Exclude<StepOutcome, "SU">;
}

/**
 * A saga (Garcia-Molina, Salem 1987): local transactions one after the other, each with a compensation. It is written down step by step:
 *
 *     const buy = saga<Order>("buy")
 *       .step("pay", { action: …, compensation: … })
 *       .pivot()
 *       .step("ship", { action: … });
 *
 * Up to the pivot it recovers backward: when a step fails, those that were done are compensated in reverse order. From the pivot on it is
 * decided, and recovers forward: each step is tried until it is done. Without one it recovers backward to its end.
 */
export interface Saga<Input extends Json, Outputs extends object = Readonly<Record<never, never>>> {
  readonly name: string;
  readonly steps: readonly AnyStep[];
  /** So many steps come before the pivot. */
  readonly pivotAt: number;
  step<Name extends string, Output extends Json | void>(
    name: Name,
    step: SagaStep<Input, Outputs, Output>,
  ): Saga<Input, Outputs & Readonly<Record<Name, Output>>>;
  /** What comes from here on is done in the end, whatever happens; before the first step it recovers forward only. */
  pivot(): Saga<Input, Outputs>;
}

/** Begins to write a saga down. The name is kept with its state: a saga that is under way is found again by it after a restart. */
export function saga<Input extends Json>(name: string): Saga<Input> {
  if (name === "") throw new TypeError("a saga without a name");
  return written<Input, Readonly<Record<never, never>>>(name, [], undefined);
}

function written<Input extends Json, Outputs extends object>(
  name: string,
  steps: readonly AnyStep[],
  pivotAt: number | undefined,
): Saga<Input, Outputs> {
  return {
    name,
    steps,
    pivotAt: pivotAt ?? steps.length,
    step: (stepName, step) => {
      if (stepName === "" || steps.some((other) => other.name === stepName)) {
        throw new TypeError(`saga ${name}: a step needs a name of its own, and "${stepName}" is none`);
      }
      return written(name, [...steps, toAny(stepName, step)], pivotAt);
    },
    pivot: () => {
      if (pivotAt !== undefined) throw new TypeError(`saga ${name}: it has a pivot already`);
      return written(name, steps, steps.length);
    },
  };
}

function toAny<Input, Outputs, Output>(name: string, step: SagaStep<Input, Outputs, Output>): AnyStep {
  const { retry, compensationRetry } = step;
  return {
    name,
    action: step.action.bind(step) as unknown as AnyStep["action"],
    compensation: step.compensation?.bind(step) as unknown as AnyStep["compensation"],
    retry: { ...defaultSagaRetry, ...retry },
    compensationRetry: { ...defaultSagaRetry, ...compensationRetry },
    outcomeOf: step.outcomeOf?.bind(step) ?? outcomeOf,
  };
}

/** A participant's clear no. */
const refusals: ReadonlySet<RpcCode> = new Set([
  "INVALID_ARGUMENT",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "FAILED_PRECONDITION",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
  "UNAUTHENTICATED",
]);

/** FA for a call that was refused for what it is; UN for anything else: it may have been done. */
export function outcomeOf(error: unknown): Exclude<StepOutcome, "SU"> {
  return error instanceof RpcError && refusals.has(error.code) ? "FA" : "UN";
}
