import type { DataSource, Row, Table } from "../../ports/data-source.ts";
import type { SagaPhase } from "../../telemetry/events.ts";
import { isRecord } from "../../whole-file.ts";
import { retentionMs, type Remains } from "../cleaner.ts";
import { TransactionError } from "../error.ts";
import type { Json, StepOutcome } from "./definition.ts";

/** Where a service keeps its sagas: a row each. */
export const sagaTable: Table = {
  name: "saga_log",
  columns: {
    ...{ xid: "text", branch_id: "text", saga: "text", owner: "text", is_launcher: "integer", phase: "text" },
    ...{ version: "integer", state: "text", gmt_create: "integer", gmt_modified: "integer" },
  },
  key: ["xid", "branch_id"],
};

/** Those that are over. One that needs a person stays for that person. */
export const oldSagas: Remains = {
  table: sagaTable,
  retentionMs: retentionMs.saga,
  finished: (beforeMs) => ({
    among: { phase: ["done", "compensated"] satisfies readonly SagaPhase[] },
    atMost: { gmt_modified: beforeMs },
  }),
};

/** A step that was begun, by Seata's words for it: RU while it runs, or where nobody knows, because its process died. */
export interface StepState {
  readonly status: "RU" | StepOutcome;
  readonly output?: Json | undefined;
  /** RU: it was begun. FA: it has failed as often as it may. */
  readonly compensation?: "RU" | "SU" | "FA" | undefined;
  /** Compensations that failed, over all lives of the process. */
  readonly failures?: number | undefined;
}

/** A saga's state, as it is on the disk. */
export interface SagaState {
  readonly xid: string;
  readonly branchId: string;
  readonly saga: string;
  /** The node that runs it. */
  readonly owner: string;
  /** It began the transaction, and may end it. */
  readonly isLauncher: boolean;
  readonly phase: SagaPhase;
  readonly input: Json;
  /** Those that were begun, in their order. */
  readonly steps: readonly StepState[];
  /** Grows with each write: who knows an older one has been replaced. */
  readonly version: number;
}

/** Sagas on the disk. Each change is one local transaction, and nobody acts on what isn't there. */
export class SagaLog {
  readonly #dataSource: DataSource;
  readonly #wallMs: () => number;

  constructor(dataSource: DataSource, wallMs: () => number) {
    this.#dataSource = dataSource;
    this.#wallMs = wallMs;
  }

  /** False when there is one with this branch already. */
  async begin(state: SagaState): Promise<boolean> {
    const nowMs = this.#wallMs();
    const row = { ...rowOf(state), gmt_create: nowMs, gmt_modified: nowMs };
    return (await this.#dataSource.transaction((local) => local.insert(sagaTable, row))) !== undefined;
  }

  /** Replaces `before`; rejects `Suspended` when somebody else has gone on with it. */
  async save(before: SagaState, changes: Partial<SagaState>): Promise<SagaState> {
    const after = { ...before, ...changes, version: before.version + 1 };
    await this.#dataSource.transaction(async (local) => {
      const row = rowOf(after);
      const found = await local.lock(sagaTable, row);
      if (found?.["version"] !== before.version) {
        throw new TransactionError(`${before.saga} of ${before.xid} is run by somebody else`, { code: "Suspended" });
      }
      await local.update(sagaTable, { ...row, gmt_create: found["gmt_create"]!, gmt_modified: this.#wallMs() });
    });
    return after;
  }

  find({ xid, branchId }: { readonly xid: string; readonly branchId: string }): Promise<SagaState | undefined> {
    return this.#dataSource.transaction(async (local) => {
      const row = await local.read(sagaTable, { xid, branch_id: branchId });
      return row === undefined ? undefined : stateOf(row);
    });
  }

  async all(): Promise<readonly SagaState[]> {
    return (await this.#dataSource.rows(sagaTable)).map(stateOf);
  }
}

function rowOf(state: SagaState): Row {
  const { xid, branchId, saga, owner, isLauncher, phase, version, input, steps } = state;
  return {
    ...{ xid, branch_id: branchId, saga, owner, is_launcher: isLauncher ? 1 : 0, phase, version },
    state: JSON.stringify({ input, steps }),
    ...{ gmt_create: 0, gmt_modified: 0 },
  };
}

function stateOf(row: Row): SagaState {
  const { xid, branch_id, saga, owner, phase, version } = row;
  const parsed: unknown = JSON.parse(String(row["state"]));
  if (!isRecord(parsed) || !Array.isArray(parsed["steps"])) {
    throw new TransactionError(`the state of the saga of ${String(xid)} can't be read`, { code: "Broken" });
  }
  return {
    ...{ xid: String(xid), branchId: String(branch_id), saga: String(saga), owner: String(owner) },
    ...{ isLauncher: row["is_launcher"] === 1, phase: phase as SagaPhase, version: Number(version) },
    ...{ input: parsed["input"] as Json, steps: parsed["steps"] as readonly StepState[] },
  };
}
