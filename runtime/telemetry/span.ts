import type { RpcCode } from "../call/status.ts";

/**
 * One span of a trace, once it has ended: a logical call (`internal`), one attempt of it (`client`), or a call that was served
 * (`server`). An attempt's parent is its logical call; a served call's parent is the attempt that reached it, on another node; a
 * logical call's parent is the served call on whose behalf it was made.
 *
 * OpenTelemetry's conventions for RPC would have the logical call a client span as well. It is internal here so that a trace has
 * exactly as many client spans as attempts, which is what a reader counts, and what HTTP's conventions say of resent requests.
 */
export interface Span {
  readonly type: "span";
  /** When it ended. */
  readonly atUs: number;
  readonly beginUs: number;
  /** 32 hexadecimal digits. */
  readonly traceId: string;
  /** 16 hexadecimal digits, unique within the trace. */
  readonly spanId: string;
  /** Absent for the root of a trace. */
  readonly parentId?: string;
  /** "flyball.worker.v1.Worker/Do"; of a logical call "call orders flyball.worker.v1.Worker/Do". */
  readonly name: string;
  readonly kind: "internal" | "client" | "server";
  /** `error` by the conventions' table: on the caller's side whatever isn't OK, on the server's side what is its own fault. */
  readonly status: "unset" | "error";
  /** For `error`: why, for people. */
  readonly message?: string;
  readonly attributes: Attributes;
  /** What happened to the fleet while the span was open, in the order of its times. Absent: nothing. */
  readonly events?: readonly SpanEvent[];
  /** Of other tracing systems, as it came. */
  readonly tracestate?: string;
  /** Where the record comes from. Absent: from the node itself; `jaeger`: read back from the trace store. */
  readonly source?: "jaeger";
}

export type Attributes = Readonly<Record<string, string | number | boolean>>;

export interface SpanEvent {
  readonly atUs: number;
  /** "flyball.rule", "flyball.step" */
  readonly name: string;
  readonly attributes: Attributes;
}

/**
 * The names of a span's attributes: OpenTelemetry's where it has one (https://opentelemetry.io/docs/specs/semconv/rpc/), our own
 * under "flyball.".
 */
export const attribute = {
  /** The kind of RPC. */
  system: "rpc.system.name",
  /** "flyball.worker.v1.Worker/Do" */
  method: "rpc.method",
  /** The status as text: "UNAVAILABLE". Its name changed in every other release of the conventions: it is said here alone. */
  statusCode: "rpc.status_code",
  /** The status again, only where the span's status is `error`. */
  errorType: "error.type",
  /** Of an attempt: the host that it went to. Of a logical call: the service's name, which discovery resolves. */
  serverAddress: "server.address",
  /** Of an attempt. */
  serverPort: "server.port",
  /** The request tag. */
  tag: "dubbo.tag",
  /** Of a logical call: its number within its node, the one in `call.begin`. */
  call: "flyball.call",
  /** Of a logical call: how many attempts it took. */
  attempts: "flyball.attempts",
  /** Of an attempt: which one it is, from 1. */
  attempt: "flyball.attempt",
  /** Of an attempt: the instance's id, "orders/0". */
  instance: "flyball.instance",
  /** Of an attempt: true where the call was over before it was. */
  isUnanswered: "flyball.unanswered",
  /** Followed by a key of the baggage: "baggage.tenant". */
  baggage: "baggage.",
} as const;

/** Status codes and wire format are gRPC's. */
export const rpcSystem = "grpc";

/** Codes that are a server's own fault; of the others (a wrong argument, something that isn't there) its caller is the cause. */
const serverFaults: ReadonlySet<RpcCode> = new Set<RpcCode>([
  "UNKNOWN",
  "DEADLINE_EXCEEDED",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
]);

/** Whether a span that ended with this code is an error. */
export function isError(kind: Span["kind"], code: RpcCode): boolean {
  return kind === "server" ? serverFaults.has(code) : code !== "OK";
}

/** Something that happened to the fleet, for the spans that are open at that moment. */
export interface Note extends SpanEvent {
  /** Nodes that it is about: spans on them, and attempts at them, show it. Absent with `links`: it concerns every span. */
  readonly nodes?: readonly string[];
  /** Pairs that it is about: calls and attempts from the one to the other show it. */
  readonly links?: readonly { readonly from: string; readonly to: string }[];
}
