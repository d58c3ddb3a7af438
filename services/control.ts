import type { RuntimeEvent } from "../runtime/telemetry/events.ts";
import type { TlsIdentity } from "../runtime/security/tls-identity.ts";
import type { Note } from "../runtime/telemetry/span.ts";
import type { Disturbance } from "./disturbance.ts";
import type { MachineState } from "./machine.ts";

/**
 * The control protocol, version 1: how a harness runs one node of a fleet. `sim` hands the messages over as values, `local`
 * sends them as IPC messages, `docker` as lines of JSON over the container's standard input and output.
 *
 *     harness ─ start ─▶ node        the program, its configuration, its seed, whom to dial through what
 *     harness ◀ listening ─ node     the address is known, nothing is registered: links can be laid now
 *     harness ─ go ─▶ node           register, warm up
 *     harness ◀ ready ─ node
 *     harness ─ drive ─▶ node        (consumers) the calls to make, as due times
 *     harness ◀ records ─ node       every 100 ms at most
 *     harness ─ annotate ─▶ node     (where calls are traced) what is being done to the fleet, for the spans that are open
 *     harness ─ audit ─▶ node        (who takes part in transactions) tell how they stand, and what is left of them
 *     harness ─ disturb ─▶ node      breaks it from inside, until settled (see `disturbance.ts`)
 *     harness ◀ disturbed ─ node
 *     harness ─ settle ─▶ node       ends that
 *     harness ◀ settled ─ node
 *     harness ─ machine ─▶ node      what is wrong with its clock and its disk now (see `machine.ts`)
 *     harness ◀ machine.set ─ node
 *     harness ─ drain ─▶ node        deregister, finish what is in flight, stop serving
 *     harness ─ collect ─▶ node      send every record now
 *     harness ─ stop ─▶ node         end at once, in order
 */
export const controlVersion = 1;

export type ToNode =
  | {
      readonly type: "start";
      readonly version: typeof controlVersion;
      /** "orders/0" */
      readonly node: string;
      /** A program's name: "provider". */
      readonly program: string;
      /** The program's own configuration; it checks it. */
      readonly config: unknown;
      /** The node's random streams are forks of this. */
      readonly seed: number;
      /** "host:port" to listen at; port 0 takes a free one. */
      readonly listen: string;
      /**
       * "host:port" that it registers, where others reach it by another address; port 0 stands for the one it listens at. Default: where
       * it listens.
       */
      readonly advertise?: string | undefined;
      /** It may listen beyond loopback. Default false. */
      readonly isExposed?: boolean | undefined;
      /** "host:port" to serve metrics at, for Prometheus. Default: it counts nothing. */
      readonly metrics?: string | undefined;
      readonly dial: DialMap;
      /** Who it is to other nodes, all of which it talks to over mutual TLS. Absent: without TLS. */
      readonly tls?: TlsIdentity | undefined;
      /** Absent: calls aren't traced. */
      readonly tracing?: Tracing;
      /** Absent: nothing is wrong with its machine, and nothing will be. */
      readonly machine?: MachineState | undefined;
    }
  | { readonly type: "go" }
  | { readonly type: "dial"; readonly dial: DialMap }
  | { readonly type: "drive"; readonly drive: Drive }
  | { readonly type: "slow"; readonly factor: number }
  | { readonly type: "disturb"; readonly id: number; readonly disturbance: Disturbance }
  | { readonly type: "settle"; readonly id: number }
  | { readonly type: "machine"; readonly machine: MachineState }
  | { readonly type: "annotate"; readonly note: Note }
  /** `xids`: the transactions that are asked for; each node knows what it can tell. */
  | { readonly type: "audit"; readonly xids: readonly string[] }
  | { readonly type: "drain" }
  | { readonly type: "collect" }
  | { readonly type: "stop" };

export type FromNode =
  | { readonly type: "listening"; readonly address: string | undefined }
  | { readonly type: "ready" }
  | { readonly type: "records"; readonly events: readonly RuntimeEvent[] }
  /** Every planned call of the last `drive` has ended. */
  | { readonly type: "driven" }
  | { readonly type: "audited" }
  | { readonly type: "disturbed" }
  | { readonly type: "settled" }
  | { readonly type: "machine.set" }
  | { readonly type: "drained" }
  | { readonly type: "collected" }
  | { readonly type: "stopped" }
  /** The node can't go on. It ends after this. */
  | { readonly type: "failed"; readonly message: string; readonly hint?: string };

/** How a node traces its calls. */
export interface Tracing {
  /** The share of traces that is recorded, 0 to 1: decided where a trace begins. */
  readonly sample: number;
  /** The trace store's OTLP endpoint: "http://127.0.0.1:4318". Absent: spans go into the history only. */
  readonly otlp?: string;
  /** Names the run, where several share a trace store: no two have ids in common then. Absent: ids are the seed's alone. */
  readonly run?: string;
}

/** Addresses that a node reaches by another way: from the address that it knows to the one to connect to. */
export type DialMap = Readonly<Record<string, string>>;

/** Calls to make, open loop: each starts when it is due, whatever became of the ones before. */
export interface Drive {
  /** On the machine's monotonic clock (virtual time in `sim`). */
  readonly startUs: number;
  /** Microseconds after `startUs`, ascending. */
  readonly dueUs: readonly number[];
  /** Marks calls whose results don't count. */
  readonly isWarmUp: boolean;
}
