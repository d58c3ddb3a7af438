import type { RpcCode } from "../../runtime/call/status.ts";
import type { RuntimeEvent } from "../../runtime/telemetry/events.ts";
import type { NodePlan, StepPlan } from "../scenario/plan.ts";

/** The version of the record format. docs/history.md describes it. */
export const historyVersion = 1;

/**
 * One line of a history: everything that happened in a run, in one format whatever world it ran in. Times (`atUs` and all
 * others) are microseconds since the start of the load; what came before is negative.
 */
export type HistoryRecord =
  | RunRecord
  | NodeRecord
  | StepRecord
  | RolloutRecord
  | ProcessRecord
  | GapRecord
  | LoadRecord
  | LoadReportRecord
  | HarnessLagRecord
  | HarnessCpuRecord
  | MetricsRecord
  | EndRecord;

/** The first line. */
export interface RunRecord {
  readonly type: "run";
  readonly version: typeof historyVersion;
  readonly scenario: string;
  readonly scenarioHash: string;
  readonly world: string;
  readonly seed: number;
  readonly flyball: string;
  readonly node: string;
  /** The fleet: what a reader needs to know of each node. */
  readonly nodes: readonly Pick<NodePlan, "id" | "service" | "program" | "tag" | "weight">[];
  readonly durationUs: number;
}

/** Something that a node reported. */
export interface NodeRecord {
  readonly type: "event";
  readonly node: string;
  readonly event: RuntimeEvent;
}

/** A step of the timeline: applied, and for a fault lifted. `error` when it couldn't be. */
export interface StepRecord {
  readonly type: "step";
  readonly atUs: number;
  readonly index: number;
  readonly what: StepPlan["what"];
  readonly phase: "apply" | "applied" | "lift" | "lifted" | "failed";
  readonly error?: string;
}

/** What a rollout (step `index`) did: raised the share, took it back, or came to its end. */
export interface RolloutRecord {
  readonly type: "rollout";
  readonly atUs: number;
  readonly index: number;
  readonly state: "raised" | "rolled-back" | "passed";
  readonly percent: number;
  /** First attempts at the new version so far, and how many of them failed. */
  readonly calls: number;
  readonly failed: number;
  /** The sequential test's, when it was last looked at. */
  readonly score: number;
}

/** A node's process died without being told to. */
export interface ProcessRecord {
  readonly type: "process";
  readonly atUs: number;
  readonly node: string;
  readonly state: "exited";
}

/** Records of this node may be missing between the two moments: it was killed before it could send its last batch. */
export interface GapRecord {
  readonly type: "gap";
  readonly node: string;
  readonly fromUs: number;
  readonly toUs: number;
}

/** What the load plan wanted of a node. */
export interface LoadRecord {
  readonly type: "load";
  readonly node: string;
  readonly planned: number;
}

/** What a load generator outside of the fleet measured. */
export interface LoadReportRecord {
  readonly type: "load.report";
  readonly by: "k6";
  /** Requests that it made, and those of them that weren't answered 2xx or 3xx. */
  readonly calls: number;
  readonly failed: number;
  readonly thresholds: readonly {
    /** "http_req_duration{c0:in}" */
    readonly metric: string;
    /** "p(93.1)<=300" */
    readonly expression: string;
    readonly ok: boolean;
    /** In k6's unit: a share, or milliseconds. null: it didn't say. */
    readonly observed: number | null;
  }[];
}

/** How late the harness's own timers ran. */
export interface HarnessLagRecord {
  readonly type: "harness.lag";
  readonly atUs: number;
  readonly maxUs: number;
}

/** Worlds in real time: the processor time that the harness itself took, from the load's start until its last call had ended. */
export interface HarnessCpuRecord {
  readonly type: "harness.cpu";
  readonly atUs: number;
  readonly usedUs: number;
  /** What all processors together had to give in that time. */
  readonly ofUs: number;
  /** What of that nobody took. Absent in older files. */
  readonly idleUs?: number;
}

/**
 * What Prometheus had counted of a node when it was asked at the end: raw counters, those of the node's earlier lives added. One
 * for each node.
 */
export interface MetricsRecord {
  readonly type: "metrics";
  readonly atUs: number;
  readonly node: string;
  /** When the last scrape began; null: there was none. */
  readonly scrapedUs: number | null;
  /** It came after everything that the node did, in each of its lives. Otherwise counts may be missing. */
  readonly isWhole: boolean;
  /** Logical calls that the node made and that ended. */
  readonly calls: readonly { readonly service: string; readonly code: RpcCode; readonly count: number }[];
  /** Their attempts. */
  readonly attempts: readonly { readonly service: string; readonly instance: string; readonly count: number }[];
  /** Calls that the node served. */
  readonly served: readonly { readonly code: RpcCode; readonly count: number }[];
}

/** The last line; without it the run was cut off. */
export interface EndRecord {
  readonly type: "end";
  readonly atUs: number;
  readonly outcome: "complete" | "interrupted" | "error";
  /** `sim`: the digest over every event. */
  readonly digest?: string;
  readonly error?: string;
}
