import type { DataSource, LocalTransaction } from "../../ports/data-source.ts";
import type { BranchStep, StepOutcome } from "../../telemetry/events.ts";
import { retentionMs, type Remains } from "../cleaner.ts";
import { TransactionError } from "../error.ts";
import { fenceFinish, fenceStatus, fenceTable, fenceTry } from "../tcc/fence.ts";

/** A step of a saga as its participant knows it: by the transaction, and the step's own id. */
export interface ParticipantStep {
  readonly xid: string;
  readonly stepId: string;
  /** What it is about, for people: "account.take". */
  readonly action: string;
  readonly nowMs: number;
}

/**
 * Fences of steps that were done, and that nobody took back: while their saga isn't over they tell its compensation that there is something
 * to take back. Those of compensations are TCC's (`oldFences`).
 */
export const oldStepFences: Remains = {
  table: fenceTable,
  retentionMs: retentionMs.saga,
  finished: (beforeMs) => ({ among: { status: [fenceStatus.tried] }, atMost: { gmt_modified: beforeMs } }),
  needsEnd: true,
};

/** Hears what came of each, once its local transaction is over. */
export type OnSagaStep = (told: { readonly step: BranchStep; readonly outcome: StepOutcome }) => void;

/**
 * Does a step's action exactly once, in one local transaction with a row of TCC's fence. Rejects `Suspended` when its compensation has been
 * here already: what it did would stay for ever.
 */
export async function doOnce(
  dataSource: DataSource,
  step: ParticipantStep,
  work: (local: LocalTransaction) => Promise<void>,
  onStep?: OnSagaStep,
): Promise<void> {
  const outcome = await dataSource.transaction(async (local) => {
    const fence = await fenceTry(local, fenced(step));
    if (fence === "done") await work(local);
    return fence;
  });
  onStep?.({ step: "action", outcome });
  if (outcome === "refused") {
    throw new TransactionError(`${step.action}: it was compensated already, and comes too late`, { code: "Suspended" });
  }
}

/** Does a step's compensation exactly once; where its action has never been it does nothing, and no later action gets in. */
export async function compensateOnce(
  dataSource: DataSource,
  step: ParticipantStep,
  work: (local: LocalTransaction) => Promise<void>,
  onStep?: OnSagaStep,
): Promise<void> {
  const { outcome } = await dataSource.transaction((local) =>
    fenceFinish(local, fenced(step), "rollback", () => work(local)),
  );
  onStep?.({ step: "compensation", outcome });
}

const fenced = ({ xid, stepId, action, nowMs }: ParticipantStep) => ({ xid, branchId: stepId, action, nowMs });
