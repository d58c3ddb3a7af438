import { noMetadata, type Metadata } from "../../call/metadata.ts";
import { RpcError, type RpcCode } from "../../call/status.ts";
import type { Clock } from "../../ports/clock.ts";
import type { Branch, Coordinator } from "../../ports/coordinator.ts";
import { DataSourceError, type DataSource } from "../../ports/data-source.ts";
import type { Telemetry } from "../../ports/telemetry.ts";
import { TransactionError } from "../error.ts";
import { inGlobalTransaction, type Propagation } from "../global.ts";
import { finished, retryable, unretryable, type Decision } from "../phase-two.ts";
import type { BranchStatus } from "../status.ts";
import { withXid, xidOf } from "../xid.ts";
import type { AnyStep, Json, Saga, SagaRetry, StepCall } from "./definition.ts";
import { SagaLog, type SagaState, type StepState } from "./log.ts";

export interface SagasOptions {
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  readonly coordinator: Coordinator;
  /** Where their state is: `sagaTable`. */
  readonly dataSource: DataSource;
  /** Of `dataSource`: whoever answers for this resource has these sagas' state. Seata's is "application#group". */
  readonly resourceId: string;
  /** Whose sagas are taken up again after a restart: this node's. */
  readonly owner: string;
  /** Every one that may be under way. */
  readonly sagas: readonly Saga<never, never>[];
}

export interface SagaRunOptions {
  /** After so long the coordinator rolls it back, if nothing is decided. Default 60 000, as Seata's. */
  readonly timeoutMs?: number | undefined;
  /** Inside of a transaction a saga is a branch of it. Default REQUIRED; one of those that have a transaction. */
  readonly propagation?: Extract<Propagation, "REQUIRED" | "REQUIRES_NEW" | "MANDATORY"> | undefined;
  /** Of what came with the call. Default: nothing. */
  readonly metadata?: Metadata | undefined;
}

/** A saga that is in memory: one worker at a time. */
interface Live {
  readonly saga: Saga<Json>;
  state: SagaState;
  metadata: Metadata;
  /** The last that was put to work on it. */
  work: Promise<unknown>;
  /** The coordinator wants it back: what is under way ends with the step that it is at. */
  readonly rollback: AbortController;
}

/**
 * Runs sagas, each as a branch of type SAGA in a global transaction. The coordinator decides, as for every other branch: commit once the
 * pivot is reached, rollback when a step before it failed or the time is over. So a decision is taken once, on the coordinator's disk, and
 * is carried out whoever dies: phase two of the branch is the rest of the steps, or the compensations.
 *
 * (Seata's own engine decides by itself and reports how it ended; a timeout that comes in between is a race there.)
 *
 * Before a step is begun, its beginning is on the disk, and its end before the next one is begun. A compensation that has failed as often
 * as it may leaves the saga `failed` and its transaction `RollbackFailed`, an action that is refused after the decision `CommitFailed`:
 * both need a person.
 */
export class Sagas {
  readonly #options: SagasOptions;
  readonly #log: SagaLog;
  readonly #sagas: ReadonlyMap<string, Saga<Json>>;
  readonly #live = new Map<string, Live>();

  constructor(options: SagasOptions) {
    this.#options = options;
    this.#log = new SagaLog(options.dataSource, () => options.clock.wallMs());
    this.#sagas = new Map(options.sagas.map((saga) => [saga.name, saga as unknown as Saga<Json>]));
  }

  /** Answers for phase two from now on, and has those rolled back that an earlier life of this node left undecided. */
  async register(): Promise<void> {
    const { coordinator, resourceId, owner } = this.#options;
    const left = (await this.#log.all()).filter(
      (state) => state.owner === owner && state.isLauncher && state.phase === "forward",
    );
    const registered = coordinator.registerResource(resourceId, {
      commit: (branch) => this.#finish(branch, "commit"),
      rollback: (branch) => this.#finish(branch, "rollback"),
    });
    // One that was decided stays so. Where the coordinator is away, its timeout comes to the same.
    for (const { xid } of left) void coordinator.rollback(xid).catch(() => undefined);
    await registered;
  }

  /**
   * Runs a saga up to its pivot, has that decided, and answers what its steps answered, those after the pivot as far as they were done by
   * then. Rejects as the step that failed, once the others were compensated, and as `inGlobalTransaction` does.
   */
  async run<Input extends Json, Outputs extends object>(
    saga: Saga<Input, Outputs>,
    input: Input,
    options: SagaRunOptions = {},
  ): Promise<Partial<Outputs>> {
    const { clock, telemetry, coordinator, resourceId, owner } = this.#options;
    const present = xidOf(options.metadata ?? noMetadata);
    let live: Live | undefined;
    await inGlobalTransaction({ clock, telemetry, coordinator, name: saga.name, ...options }, async (metadata) => {
      const xid = xidOf(metadata)!;
      const applicationData = JSON.stringify({ saga: saga.name });
      const branchId = await coordinator.registerBranch({
        ...{ xid, branchType: "SAGA", resourceId, lockKey: "", applicationData },
      });
      const state: SagaState = {
        ...{ xid, branchId, saga: saga.name, owner, isLauncher: xid !== present },
        ...{ phase: "forward", input, steps: [], version: 0 },
      };
      if (!(await this.#log.begin(state))) throw overtaken(state);
      live = this.#enter(state, metadata);
      await this.#serially(live, () => this.#forward(live!, saga.pivotAt));
    });
    return outputsOf(live!) as Partial<Outputs>;
  }

  /** Those that aren't over, and those that need a person. */
  async unfinished(): Promise<readonly SagaState[]> {
    return (await this.#log.all()).filter(({ phase }) => phase !== "done" && phase !== "compensated");
  }

  async #finish(branch: Branch, decision: Decision): Promise<BranchStatus> {
    const key = keyOf(branch);
    const state = this.#live.get(key)?.state ?? (await this.#log.find(branch));
    if (state === undefined) {
      // No step was begun, and none will be: its row is taken.
      if (decision === "rollback" && (await this.#log.begin(this.#never(branch)))) return finished.rollback;
      return retryable[decision];
    }
    if (isOver(state)) return answerOf(state, decision);
    const live = this.#live.get(key) ?? this.#enter(state, withXid(noMetadata, branch.xid));
    if (decision === "rollback") live.rollback.abort();
    await this.#serially(live, () => (decision === "commit" ? this.#commit(live) : this.#undo(live)));
    if (!isOver(live.state)) return retryable[decision];
    this.#live.delete(key);
    return answerOf(live.state, decision);
  }

  async #commit(live: Live): Promise<void> {
    if (live.state.phase !== "forward") return;
    const last = live.saga.steps.length;
    try {
      await this.#forward(live, last);
    } catch (error) {
      // What may still be done is tried again. What is refused never will be, although it was decided.
      const step = live.saga.steps[live.state.steps.length - 1];
      if (step?.outcomeOf(error) === "FA") await this.#become(live, "failed");
      return;
    }
    await this.#become(live, "done");
  }

  async #undo(live: Live): Promise<void> {
    if (isOver(live.state)) return;
    if (live.state.phase === "forward") await this.#become(live, "compensating");
    for (let index = live.state.steps.length - 1; index >= 0; index--) {
      const { status, compensation } = live.state.steps[index]!;
      if (status === "FA" || live.saga.steps[index]!.compensation === undefined || compensation === "SU") continue;
      const result = await this.#compensate(live, index);
      if (result === "later") return;
      if (result === "never") return this.#become(live, "failed");
    }
    await this.#become(live, "compensated");
  }

  /** Does the steps before `end` that aren't done. */
  async #forward(live: Live, end: number): Promise<void> {
    for (let index = 0; index < end; index++) {
      if (live.state.steps[index]?.status === "SU") continue;
      await this.#act(live, index);
    }
  }

  async #act(live: Live, index: number): Promise<void> {
    const step = live.saga.steps[index]!;
    // Begun before, it may have been done: that a later attempt is refused says nothing of the earlier one.
    let isUncertain = live.state.steps[index] !== undefined && live.state.steps[index].status !== "FA";
    for (let attempt = 1; ; attempt++) {
      checkWanted(live);
      if (live.state.steps[index] === undefined) await this.#mark(live, index, { status: "RU" });
      const result = await settled(() => step.action(callOf(live, index)));
      if ("value" in result) return this.#mark(live, index, { status: "SU", output: result.value ?? undefined });
      const status = isUncertain ? "UN" : step.outcomeOf(result.error);
      isUncertain = true;
      if (live.state.steps[index]!.status !== status) await this.#mark(live, index, { status });
      if (status === "FA" || attempt >= step.retry.maxAttempts) throw result.error;
      await this.#options.clock.sleep(pauseUs(step.retry, attempt), live.rollback.signal).catch(() => undefined);
    }
  }

  /**
   * `never` once it has failed as often as it may. A participant that can't be reached hasn't failed: as often again later, when the
   * coordinator asks.
   */
  async #compensate(live: Live, index: number): Promise<"done" | "later" | "never"> {
    const { compensation, compensationRetry } = live.saga.steps[index]!;
    for (let attempt = 1; ; attempt++) {
      const was = live.state.steps[index]!;
      if (was.compensation === undefined) await this.#mark(live, index, { ...was, compensation: "RU" });
      const result = await settled(() => compensation!(callOf(live, index), was.output));
      if ("value" in result) {
        await this.#mark(live, index, { ...was, compensation: "SU" });
        return "done";
      }
      if (!isUnanswered(result.error)) {
        const failures = (was.failures ?? 0) + 1;
        const isNever = failures >= compensationRetry.maxAttempts;
        await this.#mark(live, index, { ...was, failures, compensation: isNever ? "FA" : "RU" });
        if (isNever) return "never";
      }
      if (attempt >= compensationRetry.maxAttempts) return "later";
      await this.#options.clock.sleep(pauseUs(compensationRetry, attempt));
    }
  }

  async #mark(live: Live, index: number, step: StepState): Promise<void> {
    await this.#save(live, { steps: live.state.steps.slice(0, index).concat(step, live.state.steps.slice(index + 1)) });
  }

  async #become(live: Live, phase: SagaState["phase"]): Promise<void> {
    await this.#save(live, { phase });
    const { clock, telemetry, resourceId: resource } = this.#options;
    const { xid, branchId, saga } = live.state;
    telemetry.emit({
      type: "transaction",
      atUs: clock.nowUs(),
      ...{ what: "saga", xid, branchId, resource, saga, phase },
    });
  }

  async #save(live: Live, changes: Partial<SagaState>): Promise<void> {
    try {
      live.state = await this.#log.save(live.state, changes);
    } catch (error) {
      // What is on the disk decides: also whether a write that failed is there after all.
      this.#live.delete(keyOf(live.state));
      throw error;
    }
  }

  #enter(state: SagaState, metadata: Metadata): Live {
    const saga = this.#sagas.get(state.saga);
    if (saga === undefined) {
      throw new TransactionError(`nobody here knows a saga "${state.saga}"`, {
        code: "InvalidArgument",
        hint: "keep a saga's definition as long as one of its kind may be under way",
      });
    }
    const live = { saga, state, metadata, work: Promise.resolve(), rollback: new AbortController() };
    this.#live.set(keyOf(state), live);
    return live;
  }

  #never({ xid, branchId }: Branch): SagaState {
    const { owner } = this.#options;
    return {
      ...{ xid, branchId, saga: "", owner, isLauncher: false },
      ...{ phase: "compensated", input: null, steps: [], version: 0 },
    };
  }

  #serially<T>(live: Live, work: () => Promise<T>): Promise<T> {
    const next = live.work.then(work);
    live.work = next.catch(() => undefined);
    return next;
  }
}

const keyOf = ({ xid, branchId }: { readonly xid: string; readonly branchId: string }): string => `${xid}\n${branchId}`;

function callOf({ state, saga, metadata }: Live, index: number): Parameters<AnyStep["action"]>[0] {
  const { xid, branchId, input, steps } = state;
  const call: StepCall<Json, Readonly<Record<string, Json>>> = {
    xid,
    stepId: `${branchId}/${saga.steps[index]!.name}`,
    metadata,
    input,
    outputs: outputsBefore(saga, steps, index),
  };
  return call;
}

const isOver = ({ phase }: SagaState): boolean => phase !== "forward" && phase !== "compensating";

/** Nobody was there to do it, or to say how it went. */
const isUnanswered = (error: unknown): boolean =>
  (error instanceof RpcError && unanswered.has(error.code)) ||
  (error instanceof DataSourceError && error.code === "UNAVAILABLE");

const unanswered: ReadonlySet<RpcCode> = new Set([
  "UNAVAILABLE",
  "DEADLINE_EXCEEDED",
  "CANCELLED",
  "RESOURCE_EXHAUSTED",
]);

/** What the coordinator is told of a saga that is over. */
function answerOf({ phase }: SagaState, decision: Decision): BranchStatus {
  return phase === (decision === "commit" ? "done" : "compensated") ? finished[decision] : unretryable[decision];
}

/** What became of it, also where it throws at once. */
async function settled<T>(work: () => Promise<T>): Promise<{ readonly value: T } | { readonly error: unknown }> {
  try {
    return { value: await work() };
  } catch (error) {
    return { error };
  }
}

const outputsOf = ({ saga, state }: Live) => outputsBefore(saga, state.steps, saga.steps.length);

function outputsBefore(saga: Saga<Json>, steps: readonly StepState[], end: number): Readonly<Record<string, Json>> {
  const done = steps.slice(0, end).flatMap(({ output }, index): readonly (readonly [string, Json])[] => {
    return output === undefined ? [] : [[saga.steps[index]!.name, output]];
  });
  return Object.fromEntries(done);
}

function checkWanted({ state, rollback }: Live): void {
  if (rollback.signal.aborted || state.phase !== "forward") throw overtaken(state);
}

const overtaken = ({ saga, xid }: SagaState): TransactionError =>
  new TransactionError(`${saga}: ${xid} is rolled back already`, {
    code: "Suspended",
    hint: "raise its timeout, or find out what is slow",
  });

function pauseUs({ intervalMs, backoffRate }: SagaRetry, attempts: number): number {
  let us = intervalMs * 1000;
  for (let count = 1; count < attempts; count++) us *= backoffRate;
  return Math.min(us, pauseUsMax);
}

/** Whoever asked the saga to go on hears nothing meanwhile. */
const pauseUsMax = 5_000_000;
