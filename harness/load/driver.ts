import type { Clock } from "../../runtime/ports/clock.ts";
import type { LoadReportRecord } from "../history/record.ts";
import type { LoadName, Plan } from "../scenario/plan.ts";

/** Makes the calls of a plan from outside of the fleet, through its gateways. */
export interface LoadDriver {
  readonly name: Exclude<LoadName, "builtin">;
  /** What this machine lacks (exit code 3), with a hint. Undefined: all is there. */
  missing(): Promise<{ readonly message: string; readonly hint: string } | undefined>;
  /**
   * Gets ready, and makes each call of the plan when it is due from the moment that it answers. Rejects with a `LoadError`; then,
   * and when `signal` aborts, nothing is left running.
   */
  prepare(plan: Plan, site: LoadSite): Promise<PreparedLoad>;
}

/** Where a load generator finds the fleet. */
export interface LoadSite {
  readonly clock: Clock;
  /** A gateway's "host:port", by node. */
  readonly addresses: ReadonlyMap<string, string>;
  /** The Docker network in which these are; absent: this host's own. */
  readonly network?: string | undefined;
  /** The load begins this much later than now, or later still. */
  readonly leadUs: number;
  /** Where what was run is kept for people; absent: nowhere. */
  readonly out?: string | undefined;
  readonly signal: AbortSignal;
}

/** A load generator that waits for its time. */
export interface PreparedLoad {
  /** When the load begins, on the site's clock. */
  readonly originUs: number;
  /** What it measured, once every call has ended. Rejects with a `LoadError` when it didn't get so far. */
  readonly done: Promise<LoadReportRecord>;
  /** Ends it, whatever it does. */
  close(): Promise<void>;
}

/** A load generator that can't do its work. */
export class LoadError extends Error {
  override readonly name = "LoadError";
  readonly code: "UNAVAILABLE" | "CRASHED";
  /** What to do next. */
  readonly hint: string | undefined;

  constructor(
    message: string,
    options: { readonly code: LoadError["code"]; readonly hint?: string | undefined; readonly cause?: unknown },
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = options.code;
    this.hint = options.hint;
  }
}
