import { noMetadata, type Metadata } from "../call/metadata.ts";
import type { Clock } from "../ports/clock.ts";
import type { Coordinator } from "../ports/coordinator.ts";
import type { Telemetry } from "../ports/telemetry.ts";
import { isUncertain, TransactionError } from "./error.ts";
import type { Decision } from "./phase-two.ts";
import { familyOf, type GlobalStatus } from "./status.ts";
import { withoutXid, withXid, xidOf } from "./xid.ts";

/**
 * What happens to a transaction that is there already, and where there is none, by Seata's names. REQUIRED (default): joins it, or begins
 * one. REQUIRES_NEW: begins one of its own. SUPPORTS: joins it, or does without. NOT_SUPPORTED: does without. NEVER, MANDATORY: refuses
 * to run inside, or outside, of one.
 */
export type Propagation = "REQUIRED" | "REQUIRES_NEW" | "SUPPORTS" | "NOT_SUPPORTED" | "NEVER" | "MANDATORY";

export interface GlobalTransactionOptions {
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  readonly coordinator: Coordinator;
  /** For people: "buy". */
  readonly name: string;
  /** The coordinator rolls it back by itself after so long. Default 60 000, as Seata's. */
  readonly timeoutMs?: number | undefined;
  /** Default REQUIRED. */
  readonly propagation?: Propagation | undefined;
  /** Of what came with the call: whether there is a transaction. Default: there is none. */
  readonly metadata?: Metadata | undefined;
}

/** What fits into Seata's frames. */
const timeoutMaxMs = 0x7fff_ffff;
/** Seata's `client.tm.commitRetryCount` and `rollbackRetryCount`. */
const retriesMax = 5;
const retryAfterUs = 200_000;

/**
 * Runs `work` in a global transaction. Calls belong to it that carry the metadata which `work` is given, and no others: nothing is bound to
 * a thread or to a context that could leak. Whoever began it ends it: commit when `work` resolves, rollback when it rejects, which is then
 * passed on.
 *
 * Rejects with a `TransactionError` when a commit wasn't to be: `TransactionTimeout` when it came too late and everything was rolled back,
 * `CommitHeuristic` when a branch never can be committed, `OutcomeUnknown` when nobody can tell. And with `InvalidArgument`, before
 * anything is done, for a timeout that is none.
 */
export async function inGlobalTransaction<T>(
  options: GlobalTransactionOptions,
  work: (metadata: Metadata) => Promise<T>,
): Promise<T> {
  const { coordinator, name, timeoutMs = 60_000, propagation = "REQUIRED", metadata = noMetadata } = options;
  if (!begins(propagation, xidOf(metadata), name)) {
    return work(propagation === "NOT_SUPPORTED" ? withoutXid(metadata) : metadata);
  }
  if (!(Number.isInteger(timeoutMs) && timeoutMs > 0 && timeoutMs <= timeoutMaxMs)) {
    throw new TransactionError(`${name}: a timeout of ${timeoutMs} ms`, {
      code: "InvalidArgument",
      hint: `give a whole number of milliseconds, 1 to ${timeoutMaxMs}`,
    });
  }
  const xid = await coordinator.begin({ name, timeoutMs });
  let result: T;
  try {
    result = await work(withXid(metadata, xid));
  } catch (error) {
    // Why it failed says more than how its rollback went: that is the coordinator's to end, by its timeout at the latest.
    await end(options, xid, "rollback").catch(() => undefined);
    throw error;
  }
  checkCommitted(xid, await end(options, xid, "commit"));
  return result;
}

/** Whether a transaction is begun here. */
function begins(propagation: Propagation, present: string | undefined, name: string): boolean {
  switch (propagation) {
    case "REQUIRED":
      return present === undefined;
    case "REQUIRES_NEW":
      return true;
    case "NEVER":
      if (present !== undefined) throw misplaced(`${name} never runs in a transaction, and there is ${present}`);
      return false;
    case "MANDATORY":
      if (present === undefined) throw misplaced(`${name} only runs in a transaction, and there is none`);
      return false;
    case "SUPPORTS":
    case "NOT_SUPPORTED":
      return false;
  }
}

/** Asks again when no answer came: the coordinator takes the same decision as often as it is told. */
async function end(options: GlobalTransactionOptions, xid: string, decision: Decision): Promise<GlobalStatus> {
  const { coordinator, clock, telemetry } = options;
  for (let retries = 0; ; retries++) {
    try {
      return await coordinator[decision](xid);
    } catch (error) {
      const isWorthIt = isUncertain(error) || (error instanceof TransactionError && error.code === "FailedStore");
      if (isWorthIt && retries < retriesMax) {
        telemetry.emit({ type: "transaction", atUs: clock.nowUs(), what: "retry", xid, decision });
        await clock.sleep(retryAfterUs);
        continue;
      }
      telemetry.emit({ type: "transaction", atUs: clock.nowUs(), what: "end", xid, decision, status: "UnKnown" });
      throw unknownOutcome(xid, `its ${decision} wasn't confirmed`, error);
    }
  }
}

/** A decision to commit stands, also while branches are still to follow. */
function checkCommitted(xid: string, status: GlobalStatus): void {
  if (status === "Finished") throw unknownOutcome(xid, "the coordinator doesn't know it any more");
  if (status === "CommitFailed" || status === "CommitRetryTimeout") {
    throw new TransactionError(`${xid}: a branch can't be committed, and others may be (${status})`, {
      code: "CommitHeuristic",
      hint: "a person has to settle it",
    });
  }
  if (familyOf(status) === "commit") return;
  throw new TransactionError(`${xid} was rolled back before it could be committed (${status})`, {
    code: "TransactionTimeout",
    hint: "raise its timeout, or find out what is slow",
  });
}

function unknownOutcome(xid: string, why: string, cause?: unknown): TransactionError {
  return new TransactionError(`nobody can tell how ${xid} ended: ${why}`, {
    code: "OutcomeUnknown",
    hint: "look at what it changed before doing it again",
    cause,
  });
}

const misplaced = (message: string): TransactionError => new TransactionError(message, { code: "InvalidPropagation" });
