import type { Clock } from "../../ports/clock.ts";
import type { Branch, Coordinator } from "../../ports/coordinator.ts";
import type { DataSource, LocalTransaction } from "../../ports/data-source.ts";
import type { BranchStep, StepOutcome } from "../../telemetry/events.ts";
import { isRecord } from "../../whole-file.ts";
import { TransactionError } from "../error.ts";
import { finished, unretryable, type Decision } from "../phase-two.ts";
import type { BranchStatus } from "../status.ts";
import { fenceFinish, fenceTry, type FencedBranch } from "./fence.ts";

/**
 * What a service does in a distributed transaction by Try-Confirm-Cancel: each runs in a local transaction together with its fence, and so
 * has its effect exactly once, unless it wants none. `Context` is JSON: it goes to the coordinator with the branch, and comes back in phase
 * two.
 */
export interface TccAction<Context> {
  /** Also the resource's id. */
  readonly name: string;
  /**
   * Whether a fence guards it; Seata's `useTCCFence`. Default true. Without one its cancel is run also where its try failed or never
   * came, which takes back what a try does outside of its local transaction (seata#6374). Steps may then come twice, and in any order: to
   * make that harmless is up to the action.
   */
  readonly isFenced?: boolean | undefined;
  /** Reserves. A rejection is the business's no: nothing stays of it. */
  try(local: LocalTransaction, context: Context, branch: TccBranch): Promise<void>;
  /** Uses up what was reserved. It can't say no: a rejection means another try. */
  confirm(local: LocalTransaction, context: Context, branch: TccBranch): Promise<void>;
  /** Gives back what was reserved; likewise. */
  cancel(local: LocalTransaction, context: Context, branch: TccBranch): Promise<void>;
}

/** Whose step it is: by it an action without a fence knows what it has done. */
export interface TccBranch {
  readonly xid: string;
  readonly branchId: string;
}

export interface TccOptions<Context> {
  readonly clock: Clock;
  readonly coordinator: Coordinator;
  readonly dataSource: DataSource;
  readonly action: TccAction<Context>;
  /** Hears of every step that the fence was asked for, once its local transaction is over. Default: nobody does. */
  readonly onStep?: ((step: TccStep) => void) | undefined;
}

/** A step of a branch, and what came of it. */
export interface TccStep {
  readonly xid: string;
  readonly branchId: string;
  readonly step: BranchStep;
  readonly outcome: StepOutcome;
}

/** A TCC action as a branch of global transactions. */
export class TccResource<Context> {
  readonly #options: TccOptions<Context>;

  constructor(options: TccOptions<Context>) {
    this.#options = options;
  }

  /** Answers for phase two from now on. */
  async register(): Promise<void> {
    const { coordinator, action } = this.#options;
    await coordinator.registerResource(action.name, {
      commit: (branch) => this.#finish(branch, "commit"),
      rollback: (branch) => this.#finish(branch, "rollback"),
    });
  }

  /**
   * Registers a branch; from here on its cancel may come at any time, also before its try. A request that may come twice has a `key`: both
   * are one branch.
   */
  begin(xid: string, context: Context, key?: string): Promise<string> {
    const { coordinator, action } = this.#options;
    const applicationData = JSON.stringify({ actionContext: context });
    return coordinator.registerBranch({
      xid,
      branchType: "TCC",
      resourceId: action.name,
      lockKey: "",
      applicationData,
      key,
    });
  }

  /** Does the try of a registered branch. Rejects `Suspended` when its cancel has been here already, and as the action does. */
  async try({ xid, branchId }: TccBranch, context: Context): Promise<void> {
    const { dataSource, action, onStep } = this.#options;
    const outcome = await dataSource.transaction(async (local) => {
      const fence = this.#isFenced ? await fenceTry(local, this.#fenced(xid, branchId)) : "done";
      if (fence === "done") await action.try(local, context, { xid, branchId });
      return fence;
    });
    onStep?.({ xid, branchId, step: "try", outcome });
    if (outcome !== "refused") return;
    throw new TransactionError(`${action.name}: the transaction ${xid} is over, and this try comes too late`, {
      code: "Suspended",
    });
  }

  async #finish({ xid, branchId, applicationData }: Branch, decision: Decision): Promise<BranchStatus> {
    const { dataSource, action, onStep } = this.#options;
    const context = contextOf(applicationData);
    // It never gets better by itself, and guessing what was reserved would be worse.
    if (context === undefined) return unretryable[decision];
    const step = decision === "commit" ? "confirm" : "cancel";
    const { status, outcome } = await dataSource.transaction(async (local) => {
      const work = (): Promise<void> => action[step](local, context as Context, { xid, branchId });
      if (this.#isFenced) return fenceFinish(local, this.#fenced(xid, branchId), decision, work);
      await work();
      return { status: finished[decision], outcome: "done" as const };
    });
    onStep?.({ xid, branchId, step, outcome });
    return status;
  }

  get #isFenced(): boolean {
    return this.#options.action.isFenced ?? true;
  }

  #fenced(xid: string, branchId: string): FencedBranch {
    const { action, clock } = this.#options;
    return { xid, branchId, action: action.name, nowMs: clock.wallMs() };
  }
}

/** What was registered; undefined when it was lost or tampered with on its way. */
function contextOf(applicationData: string): unknown {
  try {
    const data: unknown = JSON.parse(applicationData);
    return isRecord(data) ? data["actionContext"] : undefined;
  } catch {
    return undefined;
  }
}
