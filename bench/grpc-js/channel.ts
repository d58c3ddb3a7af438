import {
  Channel,
  connectivityState,
  credentials,
  status as grpcStatus,
  type ChannelCredentials,
  type ChannelOptions,
  type Metadata as GrpcMetadata,
} from "@grpc/grpc-js";

import type { Call } from "../../runtime/call/call.ts";
import { replyFrom, type Method } from "../../runtime/call/service.ts";
import { RpcError, toRpcError } from "../../runtime/call/status.ts";
import type { Clock } from "../../runtime/ports/clock.ts";
import type { Response } from "../../runtime/ports/transport.ts";
import { tlsTrouble, type TlsIdentity } from "../../runtime/node/tls.ts";
import { StreamReader } from "../../runtime/node/triple/stream-reader.ts";
import { codecHeader, fromGrpc, fromStatus, isConnectionLost, timeoutHeader, toGrpc } from "./wire.ts";

export interface GrpcJsChannelOptions {
  readonly messageBytesMax: number;
  readonly reconnect: { readonly initialMs: number; readonly maxMs: number };
  readonly clock: Clock;
  readonly tls: TlsIdentity | undefined;
}

type GrpcCall = ReturnType<Channel["createCall"]>;
type GrpcStatus = Parameters<Parameters<GrpcCall["start"]>[1]["onReceiveStatus"]>[0];

/** `propagate.DEFAULTS`; nothing is propagated, because there is no parent call of @grpc/grpc-js's. */
const noPropagation = null;

/**
 * The way to one address: one connection, made when the first call wants it and again when a call finds it gone; while the
 * peer refuses, calls fail at once and attempts back off. Below @grpc/grpc-js's `Client`, whose per-call surface (an event
 * emitter, two stack traces, a timer) costs more than the call.
 */
export class GrpcJsChannel {
  /** The address that callers know. */
  readonly address: string;
  /** The address that is dialled. */
  readonly target: string;
  readonly #channel: Channel;
  readonly #options: GrpcJsChannelOptions;
  readonly #inFlight = new Set<(reason: string) => void>();
  #onRetired: (() => void) | undefined;

  constructor(address: string, target: string, options: GrpcJsChannelOptions) {
    this.address = address;
    this.target = target;
    this.#channel = new Channel(uriOf(target), credentialsOf(options.tls), channelOptions(options));
    this.#options = options;
  }

  invoke(method: Method<unknown, unknown>, call: Call, request: unknown): Promise<Response> {
    return method.kind === "unary" ? this.#unary(method, call, request) : this.#stream(method, call, request);
  }

  /** For a channel that gets no new calls: closes it when those in flight have ended, and says so. */
  retire(onClosed: () => void): void {
    this.#onRetired = onClosed;
    this.#closeWhenIdle();
  }

  /** Ends every call with UNAVAILABLE, and the connection. */
  close(): void {
    for (const end of [...this.#inFlight]) end("the transport was closed");
    this.#channel.close();
  }

  #closeWhenIdle(): void {
    if (this.#onRetired === undefined || this.#inFlight.size > 0) return;
    this.#channel.close();
    this.#onRetired();
  }

  #unary(method: Method<unknown, unknown>, call: Call, request: unknown): Promise<Response> {
    return new Promise((resolve, reject) => {
      let bytes: Uint8Array | undefined;
      const active = this.#start(method, call, request, {
        onHeaders: () => undefined,
        onMessage: (message) => {
          if (bytes === undefined) bytes = message;
          else active.end("the server sent more than one message for a unary call");
          active.grpc.startRead();
        },
        onEnd: (error, trailers) => {
          if (error !== undefined) return reject(error);
          if (bytes === undefined) return reject(new RpcError("the server sent no message", { code: "UNIMPLEMENTED" }));
          try {
            resolve({ kind: "unary", message: replyFrom(method, bytes), trailers: fromGrpc(trailers) });
          } catch (malformed) {
            reject(toRpcError(malformed));
          }
        },
      });
      active.grpc.startRead();
    });
  }

  #stream(method: Method<unknown, unknown>, call: Call, request: unknown): Promise<Response> {
    return new Promise((resolve, reject) => {
      const reader = new StreamReader(
        (bytes) => replyFrom(method, bytes),
        () => active.grpc.startRead(),
        () => active.cancel(),
      );
      const active = this.#start(method, call, request, {
        onHeaders: () => resolve({ kind: "stream", messages: reader }),
        onMessage: (message) => reader.onMessage(message),
        onEnd: (error) => {
          reader.onEnd(error);
          // A stream that ended OK without any message has no headers of its own: it is an empty stream.
          if (error === undefined) resolve({ kind: "stream", messages: reader });
          else reject(error);
        },
      });
    });
  }

  #start(method: Method<unknown, unknown>, call: Call, request: unknown, events: CallEvents): ActiveCall {
    const metadata = toGrpc(call.metadata);
    if (method.isCodecChosen === true) metadata.set(codecHeader, method.codecName);
    const message = method.input.encode(request);
    const grpc = this.#channel.createCall(method.path, this.#deadline(call, metadata), null, null, noPropagation);
    const end = (reason: string): void => grpc.cancelWithStatus(grpcStatus.UNAVAILABLE, reason);
    const leave = call.onCancel(() => grpc.cancelWithStatus(grpcStatus.CANCELLED, "the caller cancelled"));
    this.#inFlight.add(end);
    let isCommitted = false;
    grpc.start(metadata, {
      onReceiveMetadata: () => {
        isCommitted = true;
        events.onHeaders();
      },
      onReceiveMessage: (received: Uint8Array) => events.onMessage(received),
      onReceiveStatus: (status: GrpcStatus) => {
        leave();
        this.#inFlight.delete(end);
        this.#closeWhenIdle();
        const error = status.code === grpcStatus.OK ? undefined : (call.reason ?? this.#errorOf(status, isCommitted));
        events.onEnd(error, status.metadata);
      },
    });
    grpc.sendMessageWithContext({}, Buffer.from(message.buffer, message.byteOffset, message.byteLength));
    grpc.halfClose();
    return { grpc, end, cancel: () => grpc.cancelWithStatus(grpcStatus.CANCELLED, "the reader left the stream") };
  }

  #errorOf(status: GrpcStatus, isCommitted: boolean): RpcError {
    const error = fromStatus(status, this.address, isCommitted);
    // A status of the server's own is none of the connection's.
    if (isCommitted || error.trailers.size > 0 || !isConnectionLost(status.details)) return error;
    const { clock, tls } = this.#options;
    const trouble = tlsTrouble(status.details, tls, clock.wallMs());
    if (trouble === undefined) return error;
    const { code, reach } = error;
    return new RpcError(`${this.address}: ${trouble.message}`, { code, reach, hint: trouble.hint });
  }

  /**
   * On a live connection the header is written here, in microseconds, and the call's own timer is the only one. Else
   * @grpc/grpc-js has to write it when the connection is there (in milliseconds), to count the time that connecting took.
   */
  #deadline(call: Call, metadata: GrpcMetadata): number {
    const leftUs = call.remainingUs();
    if (leftUs === Infinity) return Infinity;
    if (this.#channel.getConnectivityState(false) !== connectivityState.READY) return Date.now() + leftUs / 1000;
    metadata.set("grpc-timeout", timeoutHeader(leftUs));
    return Infinity;
  }
}

interface CallEvents {
  readonly onHeaders: () => void;
  readonly onMessage: (bytes: Uint8Array) => void;
  readonly onEnd: (error: RpcError | undefined, trailers: GrpcMetadata) => void;
}

interface ActiveCall {
  readonly grpc: GrpcCall;
  readonly end: (reason: string) => void;
  readonly cancel: () => void;
}

function credentialsOf(tls: TlsIdentity | undefined): ChannelCredentials {
  if (tls === undefined) return credentials.createInsecure();
  return credentials.createSsl(Buffer.from(tls.ca), Buffer.from(tls.key), Buffer.from(tls.cert));
}

function channelOptions({ messageBytesMax, reconnect, tls }: GrpcJsChannelOptions): ChannelOptions {
  return {
    ...(tls?.serverName !== undefined && { "grpc.ssl_target_name_override": tls.serverName }),
    "grpc.max_receive_message_length": messageBytesMax,
    "grpc.max_send_message_length": messageBytesMax,
    "grpc.initial_reconnect_backoff_ms": reconnect.initialMs,
    "grpc.max_reconnect_backoff_ms": reconnect.maxMs,
    // Retries, balancing and addresses are the runtime's business.
    "grpc.enable_retries": 0,
    "grpc.service_config_disable_resolution": 1,
    "grpc.use_local_subchannel_pool": 1,
    "grpc.enable_http_proxy": 0,
    "grpc.enable_channelz": 0,
  };
}

/** A target that @grpc/grpc-js resolves without asking a name server wherever the host is an address. */
function uriOf(target: string): string {
  if (/^\d+\.\d+\.\d+\.\d+:\d+$/.test(target)) return `ipv4:${target}`;
  if (target.startsWith("[")) return `ipv6:${target}`;
  return `dns:${target}`;
}
