/** How a check, a run or an invocation ended. Order: error > fail > inconclusive > pass; `unsupported` never counts as pass. */
export type Verdict = "pass" | "fail" | "inconclusive" | "unsupported" | "error";

const order: readonly Verdict[] = ["pass", "unsupported", "inconclusive", "fail", "error"];

/** The worse of two verdicts. */
export function worse(a: Verdict, b: Verdict): Verdict {
  return order.indexOf(a) >= order.indexOf(b) ? a : b;
}

/** What `--json` prints. */
export interface InvocationResult {
  readonly version: 1;
  readonly verdict: Verdict;
  readonly runs: readonly RunResult[];
  /** Prediction beside measurement, for scenarios that ran in several worlds with one seed. */
  readonly agreements: readonly AgreementResult[];
  /** Sum over all checks: the probability that a healthy system fails anything here. */
  readonly falseAlarm: number;
}

export interface RunResult {
  readonly scenario: string;
  readonly world: string;
  readonly seed: number;
  readonly verdict: Verdict;
  /** `sim` only. */
  readonly digest?: string;
  /** Of the run's own clock. */
  readonly durationMs: number;
  readonly wallMs: number;
  readonly calls: { readonly total: number; readonly ok: number; readonly failed: number; readonly attempts: number };
  readonly offeredPerSecond: number;
  readonly latencyMs: { readonly p50: number; readonly p90: number; readonly p99: number; readonly max: number };
  /** The harness's own part of what all processors could do while the load lasted, 0 to 1; worlds in real time only. */
  readonly harnessCpu?: number;
  readonly instances: Readonly<
    Record<string, { readonly calls: number; readonly ok: number; readonly failed: number }>
  >;
  readonly faults: readonly FaultResult[];
  readonly checks: readonly CheckResult[];
  /** Why the run is an error or inconclusive, for people. */
  readonly reason?: string;
  readonly out: string;
  /** The command line that does this run again. */
  readonly replay: string;
}

export interface FaultResult {
  readonly kind: string;
  readonly target: string;
  readonly atMs: number;
  readonly forMs: number | null;
  readonly effect: "confirmed" | "none" | "inconclusive";
  /** The numbers behind it. */
  readonly evidence: string;
}

export interface CheckResult {
  readonly name: string;
  readonly phase: "safety" | "recovery";
  readonly verdict: Verdict;
  /** For people: "99.6%", "never". */
  readonly observed: string;
  readonly bound: string;
  readonly detects: string;
  readonly trials: number;
  /** null for a timing check in real time. */
  readonly falseAlarm: number | null;
  readonly message: string;
  /** When it was first broken, in milliseconds of the run. */
  readonly brokenAtMs?: number;
}

/** What one world said of a scenario, beside what others did with it. */
export interface AgreementResult {
  readonly scenario: string;
  readonly seed: number;
  readonly verdict: Verdict;
  /** The world that the others are held against: `sim`, or else the first. */
  readonly reference: string;
  /** The others. */
  readonly worlds: readonly string[];
  readonly rows: readonly AgreementRow[];
}

export interface AgreementRow {
  readonly quantity: string;
  /** The reference's. */
  readonly expected: string;
  readonly tolerance: string;
  /** In the order of `worlds`; a world that has no such quantity is left out. */
  readonly measured: readonly Measured[];
}

export interface Measured {
  readonly world: string;
  readonly value: string;
  readonly agrees: boolean;
  /** Why a difference may be the machine's fault. */
  readonly doubt?: string;
}
