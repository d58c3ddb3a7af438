import type { PolicyTables } from "../../runtime/call/client.ts";
import type { Clock } from "../../runtime/ports/clock.ts";
import type { RuntimeEvent } from "../../runtime/telemetry/events.ts";
import type { Note, Span } from "../../runtime/telemetry/span.ts";
import type { HistoryRecord, MetricsRecord } from "../history/record.ts";
import type { Disturbance } from "../../services/disturbance.ts";
import type { DiskFault } from "../../services/faulty-disk.ts";
import type { NodeContext } from "../../services/service.ts";
import type { ClockSkew } from "../../services/skewed-clock.ts";
import type { Plan, WorldName } from "../scenario/plan.ts";

/**
 * What a world can do to a fleet. A fault composes primitives, and is supported where they are offered; a plan that needs one
 * that isn't is refused before anything starts.
 */
export type Primitive =
  | "node.kill"
  | "node.pause"
  | "node.stop"
  | "node.restart"
  | "node.slow"
  | "node.disconnect"
  | "node.hang"
  | "node.block"
  | "clock.skew"
  | "disk.break"
  | "registration.withdraw"
  | "registry.session"
  | "registry.view"
  | "registry.slow"
  | "config.publish"
  | "config.retell"
  | "link.latency"
  | "link.bandwidth"
  | "link.loss"
  | "link.cut"
  | "link.reset"
  | "link.refuse"
  | "link.slow-close";

/** All of them, for worlds that can do everything. */
export const allPrimitives: ReadonlySet<Primitive> = new Set<Primitive>([
  "node.kill",
  "node.pause",
  "node.stop",
  "node.restart",
  "node.slow",
  "node.disconnect",
  "node.hang",
  "node.block",
  "clock.skew",
  "disk.break",
  "registration.withdraw",
  "registry.session",
  "registry.view",
  "registry.slow",
  "config.publish",
  "config.retell",
  "link.latency",
  "link.bandwidth",
  "link.loss",
  "link.cut",
  "link.reset",
  "link.refuse",
  "link.slow-close",
]);

/** A kind of place in which fleets run. */
export interface World {
  readonly name: WorldName;
  readonly primitives: ReadonlySet<Primitive>;
  /** The host can't run this world now (exit code 3): says what is missing, with a hint. Undefined: all is there. */
  missing(): Promise<{ readonly message: string; readonly hint: string } | undefined>;
  /** Why this plan can't be run on this machine as it is, beside what the primitives say; undefined: it can. */
  refuses?(plan: Plan): { readonly message: string; readonly hint: string } | undefined;
  /**
   * Starts every node of the plan and answers when all are ready. On failure, or when `signal` aborts, nothing is left running.
   * `main` is the run itself: the world calls it with the running fleet and answers what it answers, whatever the world's time.
   */
  run<T>(plan: Plan, options: WorldOptions, main: (fleet: RunningFleet) => Promise<T>): Promise<T>;
  /** Lets go of what its runs shared; after the last one. A world that shares nothing has none. */
  close?(): Promise<void>;
}

export interface WorldOptions {
  /** Hears every node's events, in each node's order. Times are on the world's clock. */
  readonly onEvents: (node: string, events: readonly RuntimeEvent[]) => void;
  /** A node's records may be missing between these moments (on the world's clock). */
  readonly onGap: (node: string, fromUs: number, toUs: number) => void;
  /** A node's process ended without being told to. */
  readonly onExit: (node: string, atUs: number, ending: Ending) => void;
  /** Progress of the start-up, for people: "5 of 7 nodes ready". */
  readonly onProgress: (message: string) => void;
  readonly signal: AbortSignal;
  /** `sim` only: replaces policies or ports of nodes. This is how a sabotage is made. */
  readonly sabotage?: Sabotage | undefined;
}

/** How a node's process ended. */
export interface Ending {
  /** For people: "it ended with exit code 1", with the last that it printed. */
  readonly how: string;
  /** What it ran on went away below it, as an engine does: no defect of the node. Default false. */
  readonly isLost?: boolean;
}

/** A defect planted into a fleet: a policy entry or a port replaced, nothing else. */
export interface Sabotage {
  readonly policies?: (node: string, policies: PolicyTables) => PolicyTables;
  readonly ports?: (node: string, context: NodeContext) => NodeContext;
  /** Hears when the load begins, on the fleet's clock: a defect may last for a part of the run only. */
  readonly onLoad?: (originUs: number) => void;
}

/** A fleet whose nodes are all ready. */
export interface RunningFleet {
  /** The world's time. In `sim` it moves only while `main` waits. */
  readonly clock: Clock;
  readonly nodes: ReadonlyMap<string, FleetNode>;
  /**
   * What Prometheus has counted of the fleet's nodes, once it has seen all that they did so far. Times are on the fleet's clock.
   * Absent where there is no Prometheus.
   */
  readMetrics?: (() => Promise<readonly MetricsRecord[]>) | undefined;
  /** Hears what is written into the history of what is done to the fleet, where dashboards can show it. */
  hear?: ((record: HistoryRecord) => void) | undefined;
  /** The Docker network in which the nodes' addresses are; absent: this host's own. */
  readonly network?: string | undefined;
  /** The connections that one node makes to another. */
  link(from: string, to: string): FleetLink;
  /** Puts a document into the config centre, from outside of every fault; without content it is deleted. */
  publish(key: string, content: string | undefined): Promise<void>;
  /**
   * Where nodes send their spans to a trace store as well: reads the traces of these spans back from there, once all have arrived
   * or it has waited long enough. Times are on the fleet's clock. Rejects when the store can't be asked.
   */
  readonly readSpans?:
    | ((
        reported: Iterable<Pick<Span, "traceId" | "spanId">>,
      ) => Promise<readonly { readonly node: string; readonly span: Span }[]>)
    | undefined;
  /** `sim`: the digest over every event so far. */
  digest?(): string;
}

export interface FleetNode {
  readonly id: string;
  /** Where others reach it: "host:port". */
  readonly address: string;
  readonly state: "running" | "paused" | "stopped" | "killed";
  /** Ends the process at once; its connections break, its memory is lost, its disk stays. */
  kill(): Promise<void>;
  /** Freezes the process: its sockets stay open, nothing is answered. */
  pause(): Promise<void>;
  resume(): Promise<void>;
  /** Takes it off the network: nothing gets in or out, and its sockets don't hear of it. Where the world offers `node.disconnect`. */
  disconnect(): Promise<void>;
  /** Brings it back, at the same address. */
  reconnect(): Promise<void>;
  /** Graceful: deregister, drain, end. Resolves when the process is gone. */
  stop(): Promise<void>;
  /** Starts a killed or stopped node again, at the same address. Resolves when it is ready. */
  restart(): Promise<void>;
  /** Makes its work take `factor` times as long; 1 is normal. */
  slow(factor: number): Promise<void>;
  /**
   * Breaks it from inside, where the world offers that. Resolves when it has taken hold, with what ends it; with the process it ends too.
   */
  disturb(disturbance: Disturbance): Promise<() => Promise<void>>;
  /** Makes its wall clock wrong, beside what is wrong with it already. It outlives the process; the answer ends it. */
  skew(skew: ClockSkew): Promise<() => Promise<void>>;
  /** The same for its disk. Resolves when it has taken hold. */
  breakDisk(fault: DiskFault): Promise<() => Promise<void>>;
  /** Makes the calls (consumers). Resolves when every call has ended or the node is dead. */
  drive(drive: {
    readonly startUs: number;
    readonly dueUs: readonly number[];
    readonly isWarmUp: boolean;
  }): Promise<void>;
  /** Tells it what is being done to the fleet, for the spans that are open; a dead node hears nothing. */
  annotate(note: Note): void;
  /**
   * Lets it report how these transactions stand and what it has left of any. Resolves when it did; at once for a dead or paused one, and
   * after a while for one that doesn't answer.
   */
  audit(xids: readonly string[]): Promise<void>;
  /** Resolves when everything that the node has recorded so far was delivered; at once for a dead or paused one. */
  collect(): Promise<void>;
}

/** Which bytes: those that `from` sends, those that it receives, or both. */
export type Direction = "forward" | "backward" | "both";

export interface FleetLink {
  /** Replaces the link's shape; an empty one is a healthy link. */
  shape(shape: LinkShape): Promise<void>;
  /** Breaks every connection now (RST). */
  reset(): Promise<void>;
}

export interface LinkShape {
  /**
   * Added to each direction's delay: `addUs`, varied by `jitterUs` after the distribution (uniform ±, normal sd, exponential or pareto
   * mean).
   */
  readonly latency?: {
    readonly addUs: number;
    readonly jitterUs: number;
    readonly distribution: "uniform" | "normal" | "exponential" | "pareto";
  };
  readonly bandwidthBytesPerSecond?: number;
  /** Probability that a segment is lost and sent again later. */
  readonly lossProbability?: number;
  /** Bytes in this direction don't arrive while this lasts, and do afterwards (as TCP sends them again). */
  readonly cut?: Direction;
  /** New connections are refused, existing ones are reset. */
  readonly isRefusing?: boolean;
  /** A peer's close is passed on this much later. */
  readonly slowCloseUs?: number;
}
