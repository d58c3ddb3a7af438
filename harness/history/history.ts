import type {
  Access,
  Attempt,
  ClockReading,
  DiskUse,
  DocumentPush,
  MembershipChange,
  NodePhaseChange,
  PolicyChange,
  RegistryPush,
  RegistryStateChange,
  RuleChange,
  TaskEnd,
  TransactionChange,
} from "../../runtime/telemetry/events.ts";
import type { RpcCode } from "../../runtime/call/status.ts";
import type { TaskFate } from "../scenario/tasks.ts";
import type { Span } from "../../runtime/telemetry/span.ts";
import type {
  EndRecord,
  GapRecord,
  HarnessCpuRecord,
  LoadReportRecord,
  MetricsRecord,
  ProcessRecord,
  RolloutRecord,
  RunRecord,
  StepRecord,
} from "./record.ts";

/** A run as checks, fault effects and reports read it, whether it was just made or read from a file. */
export interface History {
  readonly run: RunRecord;
  /** Logical calls in the order in which they began. Times in microseconds since the start of the load. */
  readonly calls: readonly CallRecord[];
  /** Those to the registry, the config centre and the coordinator, which are none of `calls`; in the order in which they were reported. */
  readonly infrastructureCalls: readonly CallRecord[];
  readonly steps: readonly StepRecord[];
  readonly rollouts: readonly RolloutRecord[];
  readonly processes: readonly ProcessRecord[];
  /** How far each node had come in its life, in the order in which it was reported. */
  readonly phases: readonly (NodePhaseChange & { readonly node: string })[];
  readonly memberships: readonly (MembershipChange & { readonly node: string })[];
  readonly rules: readonly (RuleChange & { readonly node: string })[];
  readonly registryStates: readonly (RegistryStateChange & { readonly node: string })[];
  /** What the embedded registry told its clients. */
  readonly pushes: readonly (RegistryPush & { readonly node: string })[];
  /** What breakers, limits and their like came to. */
  readonly policies: readonly (PolicyChange & { readonly node: string })[];
  /** What servers did with the calls that they got, in the order in which they began or were refused; empty where nobody asked for it. */
  readonly tasks: readonly TaskRecord[];
  /** The lines of the providers' access logs, in the order in which each was written. */
  readonly accesses: readonly (Access & { readonly node: string })[];
  /** What happened to distributed transactions, as those who take part reported it. */
  readonly transactions: readonly (TransactionChange & { readonly node: string })[];
  /** In the order in which they were reported: of each node, that of their ends. */
  readonly spans: readonly (Span & { readonly node: string })[];
  readonly gaps: readonly GapRecord[];
  /** By node: the latest moment that it has told of. */
  readonly heard: ReadonlyMap<string, number>;
  /** Planned calls by consumer node. */
  readonly planned: ReadonlyMap<string, number>;
  /** What a load generator outside of the fleet measured; undefined where the load came from inside, or it didn't get so far. */
  readonly loadReport?: LoadReportRecord | undefined;
  /** Scheduling lag of nodes and of the harness ("harness"). */
  readonly lags: readonly { readonly node: string; readonly atUs: number; readonly maxUs: number }[];
  /** Processor time that the harness took; absent in `sim`, and where the load didn't come to its end. */
  readonly harnessCpu?: HarnessCpuRecord | undefined;
  /** What the embedded config centre told its clients. */
  readonly documents: readonly (DocumentPush & { readonly node: string })[];
  /** What nodes' clocks showed, where the timeline has a fault of a clock. */
  readonly clocks: readonly (ClockReading & { readonly node: string })[];
  /** What nodes did with their disks, where the timeline has a fault of a disk. */
  readonly disks: readonly (DiskUse & { readonly node: string })[];
  /** What Prometheus counted, where there was one. */
  readonly metrics: readonly MetricsRecord[];
  /** Undefined when the file was cut off. */
  readonly end: EndRecord | undefined;
}

/** One logical call, its beginning and its end put together. */
export interface CallRecord {
  /** Who called. */
  readonly node: string;
  readonly call: number;
  readonly service: string;
  readonly method: string;
  readonly dueUs: number;
  readonly beginUs: number;
  /** -1: no end was recorded; the outcome is unknown. */
  endUs: number;
  code: RpcCode | undefined;
  message: string | undefined;
  /** The caller's own policy that turned it away. */
  rejectedBy?: string | undefined;
  attempts: readonly Attempt[];
  readonly key: string | undefined;
  readonly tag: string | undefined;
  /** The call of the same node that failed and is made once more by this one: no call that the load asked for. */
  readonly redelivers?: number | undefined;
  /** Where its span is found; absent where the call wasn't traced. */
  readonly traceId?: string | undefined;
  readonly spanId?: string | undefined;
}

/** One call as its server saw it, its beginning and its end put together. */
export interface TaskRecord {
  /** Who served. */
  readonly node: string;
  readonly task: number;
  readonly method?: string;
  /** Absent: it was refused, and never begun. */
  readonly beginUs?: number;
  /** When its caller stops waiting. */
  readonly deadlineUs?: number | undefined;
  /** Undefined for `lost`. */
  endUs: number | undefined;
  /** `lost`: it began and its node died. */
  state: TaskFate;
  code?: TaskEnd["code"];
  /** When a worker took it up. */
  workUs?: number | undefined;
  /** When it was known that nobody waits any more. */
  goneUs?: number | undefined;
}
