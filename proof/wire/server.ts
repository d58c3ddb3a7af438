import { createServer as createTcpServer, type AddressInfo, type Socket } from "node:net";
import { createServer as createTlsServer, type TlsOptions } from "node:tls";

import { noMetadata, type Metadata } from "../../runtime/call/metadata.ts";
import { RpcError, toRpcError } from "../../runtime/call/status.ts";
import { systemClock } from "../../runtime/node/clock.ts";
import { GrpcServerCall, readRequest, refuseCall, type ServerCallEvents } from "../../runtime/node/grpc/server-call.ts";
import { Http2Session } from "../../runtime/node/http2/session.ts";
import { sessionEvents } from "../../runtime/node/http2/testing.ts";
import { Inbox } from "./inbox.ts";

const clock = systemClock();

/** Answers a call of any of gRPC's four kinds: with the trailers of one that went well, or by throwing what it failed with. */
export type Handler = (call: ServedCall) => Promise<Metadata | void>;

export interface WireServer {
  readonly port: number;
  close(): void;
}

/**
 * Serves methods by their paths on our HTTP/2 and gRPC, at a port of 127.0.0.1. Connections over TLS need no certificate unless `tls` says
 * so.
 */
export async function serveWire(
  handlers: Readonly<Record<string, Handler>>,
  { tls, messageBytesMax = 4 * 1024 * 1024 }: { readonly tls?: TlsOptions; readonly messageBytesMax?: number } = {},
): Promise<WireServer> {
  const sockets = new Set<Socket>();
  const accept = (socket: Socket): void => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    const held = { bytes: 0 };
    new Http2Session(
      socket,
      false,
      { clock },
      sessionEvents({
        onStream: (stream, fields, isEnd) => {
          try {
            const request = readRequest(stream, fields);
            if (request === undefined) return;
            const handler = handlers[request.path];
            if (handler === undefined) {
              throw new RpcError(`${request.path} isn't served here`, { code: "UNIMPLEMENTED" });
            }
            const call = new ServedCall(
              new GrpcServerCall(stream, request, isEnd, { messageBytesMax, sendBytesMax: Infinity, held }),
            );
            void call.answer(handler);
          } catch (error) {
            refuseCall(stream, toRpcError(error));
          }
        },
      }),
    );
  };
  const server =
    tls === undefined
      ? createTcpServer({ noDelay: true }, accept)
      : createTlsServer({ ALPNProtocols: ["h2"], noDelay: true, ...tls }, accept);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** One call as its handler sees it. */
export class ServedCall implements ServerCallEvents {
  readonly messages: Inbox;
  readonly #grpc: GrpcServerCall;
  readonly #cancelled = new AbortController();
  #onDrain: (() => void) | undefined;

  constructor(grpc: GrpcServerCall) {
    this.#grpc = grpc;
    this.messages = new Inbox(() => grpc.read());
    grpc.events = this;
  }

  get metadata(): Metadata {
    return this.#grpc.request.metadata;
  }

  get timeoutUs(): number | undefined {
    return this.#grpc.request.timeoutUs;
  }

  /** Sends what stands before the messages, now. */
  begin(metadata?: Metadata): void {
    this.#grpc.begin(metadata);
  }

  /** Resolves when there is room for more. Rejects when nobody waits any more. */
  async send(message: Uint8Array): Promise<void> {
    this.#cancelled.signal.throwIfAborted();
    this.#grpc.send(message);
    if (this.#grpc.isWritable) return;
    await new Promise<void>((resolve) => (this.#onDrain = resolve));
    this.#cancelled.signal.throwIfAborted();
  }

  sleep(ms: number): Promise<void> {
    return clock.sleep(1000 * ms, this.#cancelled.signal);
  }

  async answer(handler: Handler): Promise<void> {
    try {
      const trailers = await handler(this);
      this.#grpc.end(trailers ?? noMetadata);
    } catch (error) {
      this.#grpc.fail(toRpcError(error));
    }
  }

  onMessage(message: Buffer): void {
    this.messages.onMessage(message);
  }

  onEnd(): void {
    this.messages.onEnd();
  }

  onCancel(error: RpcError): void {
    this.#cancelled.abort(error);
    this.messages.onEnd(error);
    this.#onDrain?.();
  }

  onDrain(): void {
    this.#onDrain?.();
  }
}
