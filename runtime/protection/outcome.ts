import type { Metadata } from "../call/metadata.ts";
import { RpcError, type RpcCode } from "../call/status.ts";

/**
 * What an attempt's end says about whoever was called.
 * - `overload`: a failure for want of capacity (RESOURCE_EXHAUSTED, DEADLINE_EXCEEDED).
 * - `ignored`: nothing, because its caller ended it (a cancelled call, a hedge that lost): it neither counts nor does it hold a place
 *   any longer.
 */
export type Outcome = "success" | "failure" | "overload" | "ignored";

/**
 * Statuses with which a healthy server refuses a wrong request: answers, not failures. Whoever counts them as failures lets one
 * caller's mistakes open the breaker of everybody.
 */
export const applicationErrors: ReadonlySet<RpcCode> = new Set<RpcCode>([
  "INVALID_ARGUMENT",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "FAILED_PRECONDITION",
  "PERMISSION_DENIED",
  "UNAUTHENTICATED",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
]);

/** What a status says about whoever was called. What never left this node, because a policy refused it, says nothing. */
export function outcomeOf(error: RpcError | undefined): Outcome {
  if (error === undefined || applicationErrors.has(error.code)) return "success";
  if (error.code === "CANCELLED" || error instanceof Rejection) return "ignored";
  return error.code === "RESOURCE_EXHAUSTED" || error.code === "DEADLINE_EXCEEDED" ? "overload" : "failure";
}

/** A policy of this very node refused a call: nothing was sent, or no handler saw it. */
export class Rejection extends RpcError {
  /** The policy's name in telemetry: "breaker", "rate-limit", … */
  readonly policy: string;

  constructor(
    message: string,
    options: {
      readonly policy: string;
      readonly code: RejectionCode;
      readonly hint: string;
      readonly trailers?: Metadata | undefined;
    },
  ) {
    // Nobody has heard of the call.
    const { code, hint, trailers } = options;
    super(message, { code, hint, trailers, reach: "nowhere" });
    this.policy = options.policy;
  }
}

/**
 * UNAVAILABLE where another instance may do (gRPC's fail-fast), RESOURCE_EXHAUSTED where trying again only adds to the load ("out of
 * quota", Site Reliability Engineering, chapter 21).
 */
type RejectionCode = "UNAVAILABLE" | "RESOURCE_EXHAUSTED";
