import type { Socket } from "node:net";

import {
  Server,
  ServerCredentials,
  type handleServerStreamingCall,
  type handleUnaryCall,
  type sendUnaryData,
  type ServerUnaryCall,
  type ServerWritableStream,
} from "@grpc/grpc-js";

import { Call, whileWaiting } from "../../runtime/call/call.ts";
import { inCodec } from "../../runtime/call/service.ts";
import { RpcError, toRpcError } from "../../runtime/call/status.ts";
import type { Clock } from "../../runtime/ports/clock.ts";
import type { Listener, ListenOptions, ServedMethod, StreamResponse } from "../../runtime/ports/transport.ts";
import { listenAt } from "../../runtime/node/address.ts";
import { acceptorOf, breakOff, type TlsIdentity } from "../../runtime/node/tls.ts";
import { codecHeader, fromGrpc, toGrpc, toStatus } from "./wire.ts";

export interface GrpcJsListenerOptions {
  readonly clock: Clock;
  readonly messageBytesMax: number;
  readonly isLoopbackOnly: boolean;
  readonly tls: TlsIdentity | undefined;
}

/** Connections that one listener holds; more are closed as they come. */
const connectionsMax = 4096;
/** Calls in flight on one connection; a client that has more waits. */
const concurrentStreamsMax = 1000;
/** Megabytes of frames and replies that one connection may hold unsent; above it new streams are refused. */
const sessionMegabytesMax = 64;

/**
 * Starts serving. Rejects with UNAVAILABLE when the address is taken, and with INVALID_ARGUMENT when it isn't a loopback one.
 * The sockets are ours and @grpc/grpc-js is handed connections: its own force close leaves them open.
 */
export async function listenGrpcJs(
  { address, methods }: ListenOptions,
  { clock, messageBytesMax, isLoopbackOnly, tls }: GrpcJsListenerOptions,
): Promise<Listener> {
  const server = new Server({
    "grpc.max_receive_message_length": messageBytesMax,
    "grpc.max_send_message_length": messageBytesMax,
    "grpc.max_concurrent_streams": concurrentStreamsMax,
    "grpc-node.max_session_memory": sessionMegabytesMax,
    "grpc.enable_channelz": 0,
  });
  /** Who is at the other end, by its address: proven by the handshake. */
  const principals = new Map<string, string>();
  const toCall: ToCall = (grpc) => serverCall(grpc, clock, principals.get(grpc.getPeer()));
  for (const [path, served] of methods) register(server, path, served, toCall);
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());

  const sockets = new Set<Socket>();
  const acceptor = acceptorOf(
    tls,
    ({ socket, principal }) => {
      const peer = `${socket.remoteAddress}:${socket.remotePort}`;
      if (principal !== undefined) principals.set(peer, principal);
      sockets.add(socket);
      socket.once("close", () => {
        sockets.delete(socket);
        principals.delete(peer);
      });
      injector.injectConnection(socket);
    },
    ["h2"],
  );
  acceptor.maxConnections = connectionsMax;
  const listening = await listenAt(acceptor, address, isLoopbackOnly);

  let closed: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closed ??= new Promise((resolve) => {
      server.forceShutdown();
      acceptor.close(() => resolve());
      for (const socket of sockets) breakOff(socket);
    });
    return closed;
  };
  return {
    address: listening,
    drain: (graceUs) =>
      new Promise((resolve) => {
        if (closed !== undefined) return resolve(closed);
        acceptor.close();
        const stopWaiting = clock.after(graceUs, () => void close().then(resolve));
        // The library answers before calls in flight have ended. A connection whose last call has ended is ended by this side.
        void Promise.all([...sockets].map(ended)).then(() => {
          stopWaiting();
          resolve();
        });
        server.tryShutdown(() => undefined);
      }),
    close,
  };
}

const ended = (socket: Socket): Promise<void> =>
  new Promise((resolve) => {
    socket.once("finish", resolve);
    socket.once("close", () => resolve());
  });

/** Makes the runtime's call of the library's. */
type ToCall = (grpc: ServerUnaryCall<Buffer, Buffer> | ServerWritableStream<Buffer, Buffer>) => Call;

function register(server: Server, path: string, served: ServedMethod, toCall: ToCall): void {
  // Which codec it is stands in the call's metadata, which the library doesn't show to its own coding.
  const asItIs = (bytes: Buffer): Buffer => bytes;
  if (served.method.kind === "unary") {
    const handle: handleUnaryCall<Buffer, Buffer> = (grpc, answer) => serveUnary(grpc, answer, served, toCall);
    server.register(path, handle, asItIs, asItIs, "unary");
  } else {
    const handle: handleServerStreamingCall<Buffer, Buffer> = (grpc) => void serveStream(grpc, served, toCall);
    server.register(path, handle, asItIs, asItIs, "serverStream");
  }
}

/** The method in the codec that the caller has chosen. */
function methodOf(grpc: ServerUnaryCall<Buffer, Buffer> | ServerWritableStream<Buffer, Buffer>, served: ServedMethod) {
  const [wanted] = grpc.metadata.get(codecHeader);
  if (wanted === undefined) return served.method;
  const method = inCodec(served.method, String(wanted));
  if (method !== undefined) return method;
  throw new RpcError(`the codec ${String(wanted).slice(0, 100)} isn't spoken here`, { code: "UNIMPLEMENTED" });
}

function decoded({ input, path }: ServedMethod["method"], bytes: Buffer): unknown {
  try {
    return input.decode(bytes);
  } catch (cause) {
    throw new RpcError(`the request of ${path} is malformed`, { code: "INTERNAL", cause });
  }
}

function encoded({ output }: ServedMethod["method"], message: unknown): Buffer {
  const bytes = output.encode(message);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function serveUnary(
  grpc: ServerUnaryCall<Buffer, Buffer>,
  answer: sendUnaryData<Buffer>,
  served: ServedMethod,
  toCall: ToCall,
): void {
  let method: ServedMethod["method"];
  let request: unknown;
  try {
    method = methodOf(grpc, served);
    request = decoded(method, grpc.request);
  } catch (error) {
    return answer(toStatus(toRpcError(error)));
  }
  const call = toCall(grpc);
  served
    .serve(call, request)
    .then((response) => {
      if (response.kind !== "unary") throw new RpcError("a stream answered a unary call", { code: "INTERNAL" });
      const trailers = response.trailers.size === 0 ? undefined : toGrpc(response.trailers);
      const message = encoded(method, response.message);
      call.end();
      answer(null, message, trailers);
    })
    .catch((thrown: unknown) => {
      call.end();
      answer(toStatus(toRpcError(thrown)));
    });
}

async function serveStream(
  grpc: ServerWritableStream<Buffer, Buffer>,
  served: ServedMethod,
  toCall: ToCall,
): Promise<void> {
  const call = toCall(grpc);
  try {
    const method = methodOf(grpc, served);
    const response = await served.serve(call, decoded(method, grpc.request));
    if (response.kind !== "stream") throw new RpcError("one message answered a streaming call", { code: "INTERNAL" });
    grpc.sendMetadata(toGrpc(new Map()));
    await send(response, { grpc, call, method });
    grpc.end();
  } catch (thrown) {
    grpc.emit("error", toStatus(toRpcError(thrown)));
  } finally {
    call.end();
  }
}

/** Takes the next message only when the connection has room for it. */
async function send(
  response: StreamResponse,
  {
    grpc,
    call,
    method,
  }: {
    readonly grpc: ServerWritableStream<Buffer, Buffer>;
    readonly call: Call;
    readonly method: ServedMethod["method"];
  },
): Promise<void> {
  const messages = response.messages[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await whileWaiting(call, messages.next());
      if (next.done === true) return;
      if (!grpc.write(encoded(method, next.value))) await whileWaiting(call, drained(grpc));
    }
  } catch (error) {
    // Not awaited: a generator that is stuck in a wait of its own would hold the stream open.
    messages.return?.().catch(() => undefined);
    throw error;
  }
}

const drained = (grpc: ServerWritableStream<Buffer, Buffer>): Promise<void> =>
  new Promise((resolve) => grpc.once("drain", resolve));

function serverCall(grpc: Parameters<ToCall>[0], clock: Clock, principal: string | undefined): Call {
  const deadline = grpc.getDeadline();
  const call = new Call({
    clock,
    // The name in discovery stays with the client; the path says it all.
    service: "",
    method: grpc.getPath(),
    metadata: fromGrpc(grpc.metadata),
    timeoutUs: deadline === Infinity ? undefined : Math.max(0, Number(deadline) - Date.now()) * 1000,
    peer: grpc.getPeer(),
    principal,
  });
  grpc.once("cancelled", () => {
    // @grpc/grpc-js says the same for a deadline of its own, which is this call's within a millisecond.
    if (call.remainingUs() > 1500) call.cancel(new RpcError("the caller has gone", { code: "CANCELLED" }));
    else call.cancel(new RpcError(`deadline exceeded while serving ${call.method}`, { code: "DEADLINE_EXCEEDED" }));
  });
  return call;
}
