import type { RpcCode } from "../call/status.ts";
import type { RemovalReason } from "../ports/registry.ts";
import type { Decision } from "../transactions/phase-two.ts";
import type { BranchStatus, BranchType, GlobalStatus } from "../transactions/status.ts";
import type { Span } from "./span.ts";

/**
 * What happened inside a node, as the history is made of. Every `atUs` is on the node's own monotonic clock; all processes of
 * one machine, and all nodes of a simulation, share its zero.
 */
export type RuntimeEvent =
  | CallBegin
  | CallEnd
  | MembershipChange
  | RuleChange
  | RegistryStateChange
  | RegistryPush
  | DocumentPush
  | NodePhaseChange
  | PolicyChange
  | TaskBegin
  | TaskEnd
  | Access
  | SchedulingLag
  | ClockReading
  | DiskUse
  | TransactionChange
  | Span
  | SpanExport;

/** A client began a logical call. Without a matching `call.end` its outcome is unknown. */
export interface CallBegin {
  readonly type: "call.begin";
  readonly atUs: number;
  /** Unique within the node. */
  readonly call: number;
  readonly service: string;
  readonly method: string;
  /** When the load plan wanted it; equals `atUs` for calls that nobody scheduled. Latency counts from here. */
  readonly dueUs: number;
  /** The value of the metadata key that routing sticks to; else of the request's fields that hashing goes by, where settings name them. */
  readonly key?: string;
  /** The request tag (`dubbo.tag`). */
  readonly tag?: string;
  /** The call, of this node's, on whose behalf this one was made. */
  readonly parent?: number;
  /** The call, of this node's, that failed and is made once more, its caller having gone on (cluster "failback"). */
  readonly redelivers?: number;
  /** Where its span is found: both or neither. Absent: nobody traces, or this trace isn't recorded. */
  readonly traceId?: string;
  readonly spanId?: string;
}

/** A logical call ended, with everything that was tried for it. */
export interface CallEnd {
  readonly type: "call.end";
  readonly atUs: number;
  readonly call: number;
  readonly code: RpcCode;
  /** Why it failed, for people. */
  readonly message?: string;
  /** The policy of this node that turned it away: "breaker", "rate-limit", … Absent: none did. */
  readonly rejectedBy?: string;
  /** In the order in which they began; empty when no instance could be picked. */
  readonly attempts: readonly Attempt[];
}

/** One try at one instance. */
export interface Attempt {
  /** The instance's id: "orders/0". */
  readonly instance: string;
  readonly beginUs: number;
  /** -1 while it hasn't ended: the call was over before. */
  readonly endUs: number;
  /** CANCELLED also for one that another attempt of its call made superfluous. */
  readonly code: RpcCode;
  /** It repeats an attempt that no handler saw, and counts against no limit (gRPC proposal A6). */
  readonly isTransparent?: boolean;
}

/** A consumer's directory of one service changed, or refused to. */
export interface MembershipChange {
  readonly type: "membership";
  readonly atUs: number;
  readonly service: string;
  readonly version: number;
  /** The ids that can be called from now on, in the directory's order. */
  readonly instances: readonly string[];
  readonly removed: readonly { readonly id: string; readonly reason: RemovalReason | "unknown" }[];
  /**
   * `registry`: as pushed; `cache`: from the disk, the registry being away; `protected`: an empty push was refused;
   * `expired-protection`: the empty list was believed in the end.
   */
  readonly source: "registry" | "cache" | "protected" | "expired-protection";
}

/** A rule document took effect on this node, or was refused and the last good one kept. */
export interface RuleChange {
  readonly type: "rule";
  readonly atUs: number;
  readonly key: string;
  readonly version: number;
  readonly outcome: "applied" | "removed" | "rejected";
  /** For `rejected`: what is wrong, with the line. */
  readonly reason?: string;
}

export interface RegistryStateChange {
  readonly type: "registry";
  readonly atUs: number;
  /** `expired`: the session was lost and a new one is being made. */
  readonly state: "connected" | "suspended" | "expired" | "closed";
}

/**
 * The embedded registry told this node about a service, whether the node makes anything of it or not: a list that is old, or comes
 * twice, changes no membership.
 */
export interface RegistryPush {
  readonly type: "push";
  readonly atUs: number;
  readonly service: string;
  readonly version: number;
  /** As they were listed. */
  readonly instances: readonly string[];
}

/**
 * The embedded config centre told this node another version of a document than it did last, whether the node makes anything of it or not.
 */
export interface DocumentPush {
  readonly type: "document";
  readonly atUs: number;
  readonly key: string;
  readonly version: number;
}

export interface NodePhaseChange {
  readonly type: "node";
  readonly atUs: number;
  /** In this order; a killed node just stops reporting. */
  readonly phase: "listening" | "ready" | "deregistered" | "draining" | "stopped";
}

/** A policy of this node came into another state: a breaker opened, an instance was ejected, a limit moved. Once for each change. */
export interface PolicyChange {
  readonly type: "policy";
  readonly atUs: number;
  /** "breaker", "outlier", "throttle", "rate-limit", "concurrency-limit", "failback", … */
  readonly policy: string;
  /** Whom it is about: the service that is called; the node's own where the policy guards what it serves. */
  readonly service: string;
  /** Absent: all of the service. */
  readonly instance?: string;
  /** By policy: "open", "half-open", "closed"; "ejected", "returned"; "limit"; … */
  readonly state: string;
  /** What goes with the state: the limit; how many probes a half-open breaker lets through. */
  readonly value?: number;
  /** Why, for people. */
  readonly reason?: string;
}

/** A handler began to serve a call. Without a matching `task.end` its node died first. Recorded where the scenario has `tasks`. */
export interface TaskBegin {
  readonly type: "task.begin";
  readonly atUs: number;
  /** Unique within the node. */
  readonly task: number;
  readonly method: string;
  /** When its caller stops waiting; absent: never. */
  readonly deadlineUs?: number;
}

/**
 * The handler is done, whether anybody still waits or not. A task that has no `task.begin` was never begun: it came too late, or a
 * policy of the server's refused it.
 */
export interface TaskEnd {
  readonly type: "task.end";
  readonly atUs: number;
  readonly task: number;
  /** `answered`: its caller got what it did, also an error; `given-up`, `out-of-time`: nobody waited any more; `refused`: never begun. */
  readonly state: "answered" | "given-up" | "out-of-time" | "refused";
  readonly code: RpcCode;
  /** When a worker took it up; absent: it never got so far. */
  readonly workUs?: number;
  /** When it was known that nobody waits any more; absent: somebody did to the end. */
  readonly goneUs?: number;
}

/** A call that this node served, as its access log has it. Only while a rule has switched the log on. */
export interface Access {
  readonly type: "access";
  /** When it was over, for this side. */
  readonly atUs: number;
  /** When it came in. */
  readonly beginUs: number;
  /** The node's own service. */
  readonly service: string;
  /** "/flyball.worker.v1.Worker/Do" */
  readonly method: string;
  /** The log's own line, in Dubbo's format: see `accessLine`. */
  readonly line: string;
}

/**
 * How late this node's timers ran since the last such record, or how long its disk kept it waiting: the yardstick for timing checks in real
 * time.
 */
export interface SchedulingLag {
  readonly type: "lag";
  readonly atUs: number;
  readonly maxUs: number;
}

/** What this node's two clocks show at one moment. Only where the timeline has a fault of a clock. */
export interface ClockReading {
  readonly type: "clock";
  readonly atUs: number;
  readonly wallMs: number;
}

/** The node used its disk. Only where the timeline has a fault of a disk. */
export interface DiskUse {
  readonly type: "disk";
  /** When it had this state. */
  readonly atUs: number;
  readonly operation: "read" | "append" | "sync" | "rename" | "remove";
  /** For `rename`: the new name. */
  readonly file: string;
  /** `begun` is told of an append only: it may never end. */
  readonly state: "begun" | "done" | "failed";
  /** For `append`: how many were to be added. */
  readonly bytes?: number;
  /** Of the file, as this life of the node knows it: before a `begun` append, after what is `done`. */
  readonly length?: number;
  readonly tookUs?: number;
  /** For `failed`: "FULL", "IO". */
  readonly code?: string;
}

/** Something happened to a distributed transaction, as one of those who take part saw it. */
export type TransactionChange = { readonly type: "transaction"; readonly atUs: number; readonly xid: string } & (
  | {
      /** A transaction manager began it. */
      readonly what: "begin";
      readonly name: string;
      readonly timeoutMs: number;
    }
  | {
      /** The transaction manager asked for this end, and heard how far that came; `UnKnown`: nobody can tell. */
      readonly what: "end";
      readonly decision: Decision;
      readonly status: GlobalStatus;
    }
  | {
      /** The transaction manager asks for the end again, because it heard no answer. */
      readonly what: "retry";
      readonly decision: Decision;
    }
  | {
      /** A resource manager registered, reported or finished a branch, or failed to finish it. */
      readonly what: "branch";
      readonly branchId: string;
      readonly branchType: BranchType;
      readonly resource: string;
      readonly status: BranchStatus;
    }
  | {
      /** A branch couldn't have its global locks. */
      readonly what: "conflict";
      readonly resource: string;
      readonly lockKey: string;
    }
  | {
      /**
       * A branch of AT can't be undone (`DirtyWrite`, `DamagedUndoLog`, `UndoRefused`): its rows stay locked until a person has put them
       * right.
       */
      readonly what: "repair";
      readonly branchId: string;
      readonly resource: string;
      readonly code: string;
      readonly message: string;
    }
  | {
      /** A resource manager's fence was asked to do a step of a branch, and this came of it. */
      readonly what: "step";
      readonly branchId: string;
      readonly resource: string;
      readonly step: BranchStep;
      readonly outcome: StepOutcome;
    }
  | {
      /** A saga, a branch of type SAGA, came into a phase. */
      readonly what: "saga";
      readonly branchId: string;
      readonly resource: string;
      readonly saga: string;
      readonly phase: SagaPhase;
    }
  | {
      /** A local transaction of a branch has left this of something that is shared: an account, a good in stock. */
      readonly what: "holding";
      /** Absent: nobody can tell whose it was. */
      readonly branchId?: string;
      readonly resource: string;
      readonly item: string;
      /** Whoever wants it may have it; set aside for a transaction; used up by transactions that were committed. */
      readonly free: number;
      readonly frozen: number;
      readonly used: number;
      /** Names the write: an undo brings the older one back. */
      readonly version: number;
      /** It was written outside of every global transaction. */
      readonly outside?: OutsideWriter;
    }
  | {
      /**
       * A local transaction was to leave an item so, and the answer to its commit is lost. `open`: nobody can tell whether it did; then,
       * once somebody has seen the row, `done` (its `holding` follows, as of the moment of the doubt) or `undone`.
       */
      readonly what: "doubt";
      /** Absent: nobody can tell whose it was. */
      readonly branchId?: string;
      readonly resource: string;
      readonly item: string;
      readonly version: number;
      readonly state: "open" | "done" | "undone";
    }
  | {
      /** A branch of AT has looked at something that is shared, and this is what it saw. */
      readonly what: "look";
      readonly resource: string;
      readonly item: string;
      /** The write that had left it so. */
      readonly version: number;
      /** `SELECT … FOR UPDATE`: it has waited for whoever had the row globally. */
      readonly isLocking: boolean;
      /** The same branch has written the row then, and kept the lock until it had. Absent: it let go of it. */
      readonly isKept?: true;
    }
  | {
      /** The embedded coordinator took it into a state. */
      readonly what: "status";
      readonly status: GlobalStatus;
    }
  | {
      /** The coordinator was asked at the end of a run how it stands; `Finished`: it knows no such transaction (any more). */
      readonly what: "found";
      readonly status: GlobalStatus;
    }
  | {
      /** What a node has on its disk or in its database, when it begins and at the end of a run. Its `xid` is "". */
      readonly what: "audit";
      /** Nothing has happened yet in this life of the node. Absent: somebody asked, and work may be under way. */
      readonly isFirst?: true;
      readonly resource: string;
      readonly holdings: readonly {
        readonly item: string;
        readonly free: number;
        readonly frozen: number;
        readonly used: number;
        readonly version: number;
      }[];
      /** What transactions have left behind that nobody has cleared away yet. */
      readonly left: readonly Leftover[];
    }
);

/** Who writes outside of every global transaction: `locking` looks first whether one has the row, `bypassing` doesn't. */
export type OutsideWriter = "locking" | "bypassing";

/**
 * `try`, `confirm` and `cancel` are TCC's, `action` and `compensation` a saga's, `change` (its first phase) AT's. A new mode names its own
 * here.
 */
export type BranchStep = "try" | "confirm" | "cancel" | "action" | "compensation" | "change";

/**
 * How far a saga is. It does its steps, and is `done`; or it takes them back, and is `compensated`. `failed` needs a person: a compensation
 * has failed as often as it may, or an action was refused that had been decided.
 */
export type SagaPhase = "forward" | "done" | "compensating" | "compensated" | "failed";

/**
 * `done`; `again`: it was done before, and nothing happened; `empty`: a cancel whose try has never been here; `refused`: a try whose
 * cancel, or a change whose undo, has been here; `early`: a confirm whose try isn't there yet; `impossible`: the other end was done.
 */
export type StepOutcome = "done" | "again" | "empty" | "refused" | "early" | "impossible";

/** A transaction that isn't over, a row that is locked globally, a branch that waits for its second phase, a row of the undo log. */
export interface Leftover {
  readonly kind: "transaction" | "lock" | "branch" | "undo";
  readonly xid: string;
  readonly branchId?: string;
}

/** What became of the spans that this node sent to a trace store, so far. */
export interface SpanExport {
  readonly type: "span.export";
  readonly atUs: number;
  readonly sent: number;
  /** Given up: the store was away, or refused them. */
  readonly dropped: number;
  readonly waiting: number;
}
