import type { Socket } from "node:net";

import { Call, whileWaiting } from "../../call/call.ts";
import { givesStream, inCodec, requestFrom, takesStream } from "../../call/service.ts";
import { RpcError, toRpcError } from "../../call/status.ts";
import { StreamSender } from "../../call/stream-sender.ts";
import type { Clock } from "../../ports/clock.ts";
import type { Listener, ListenOptions, Response, ServedMethod, StreamResponse } from "../../ports/transport.ts";
import { httpJson } from "../../protocols/http-json.ts";
import { reflectionMethods } from "../../reflection/served.ts";
import { listenAt } from "../address.ts";
import { Allowance } from "../allowance.ts";
import { HeldShare, inflationAllowed, outgoing, type Held } from "../grpc/messages.ts";
import {
  GrpcServerCall,
  readRequest,
  refuseCall,
  type GrpcRequest,
  type ServerCallEvents,
} from "../grpc/server-call.ts";
import { errorCodes } from "../http2/errors.ts";
import type { Fields } from "../http2/hpack/field-list.ts";
import { Http2Session } from "../http2/session.ts";
import type { Http2Stream } from "../http2/stream.ts";
import { HttpConnections } from "../http-connections.ts";
import { PeersMemory, type PeerMemory } from "../peer-memory.ts";
import { acceptorOf, breakOff, type Accepted, type TlsIdentity } from "../tls.ts";
import { byFirstBytes } from "./first-bytes.ts";
import { StreamReader } from "./stream-reader.ts";

export interface TripleListenerOptions {
  readonly clock: Clock;
  readonly messageBytesMax: number;
  readonly keepalive: { readonly idleMs: number; readonly timeoutMs: number };
  readonly isLoopbackOnly: boolean;
  readonly memoryBytesMax: number | undefined;
  readonly tls: TlsIdentity | undefined;
}

/** Connections that one listener holds; more are closed as they come. */
const connectionsMax = 4096;
/** Calls in flight on one connection; a client that has more waits. */
const concurrentStreamsMax = 1000;
/** Handlers at work for one connection, those of calls that were cancelled included. */
const handlersMax = 2 * concurrentStreamsMax;

/** Starts serving. Rejects with UNAVAILABLE when the address is taken, and with INVALID_ARGUMENT when it isn't a loopback one. */
export async function listenTriple(
  { address, methods, services }: ListenOptions,
  options: TripleListenerOptions,
): Promise<Listener> {
  const { clock, messageBytesMax, isLoopbackOnly, tls } = options;
  const connections = new Set<ServerConnection>();
  const sockets = new Set<Socket>();
  let isDraining = false;
  const offered = services === undefined ? methods : new Map([...methods, ...reflectionMethods(services)]);
  const memory = new PeersMemory(options.memoryBytesMax);
  const serveHttp2 = (accepted: Accepted): void => {
    const share = memory.join(() => connection.expel());
    const connection: ServerConnection = new ServerConnection({ accepted, offered, memory: share }, options, () => {
      share.leave();
      connections.delete(connection);
    });
    connections.add(connection);
    if (isDraining) connection.leave();
  };
  const http1 = new HttpConnections(
    { handle: httpJson.answer({ clock, methods }), errorBody: httpJson.errorBody },
    { bodyBytesMax: messageBytesMax },
    memory,
  );
  const acceptor = acceptorOf(
    tls,
    (accepted) =>
      byFirstBytes(accepted.socket, clock, {
        http2: () => serveHttp2(accepted),
        http1: (socket) => http1.accept(socket),
      }),
    ["h2", "http/1.1"],
  );
  acceptor.maxConnections = connectionsMax;
  acceptor.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    socket.on("error", () => undefined);
  });
  const listening = await listenAt(acceptor, address, isLoopbackOnly).catch((error: unknown) => {
    http1.close();
    throw error;
  });

  let closed: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closed ??= new Promise((resolve) => {
      acceptor.close(() => resolve());
      for (const connection of [...connections]) connection.reset();
      http1.close();
      for (const socket of sockets) breakOff(socket);
    });
    return closed;
  };
  return {
    address: listening,
    drain: (graceUs) =>
      new Promise((resolve) => {
        if (closed !== undefined) return resolve(closed);
        isDraining = true;
        acceptor.close();
        const stopWaiting = clock.after(graceUs, () => void close().then(resolve));
        // A connection goes with its last call; who isn't one yet is no reason to wait.
        void Promise.all([...[...connections].map((connection) => connection.left), http1.drain()]).then(() => {
          stopWaiting();
          resolve();
        });
        for (const connection of connections) connection.leave();
      }),
    close,
  };
}

interface ServerConnectionWhat {
  readonly accepted: Accepted;
  readonly offered: ListenOptions["methods"];
  readonly memory: PeerMemory;
}

class ServerConnection {
  /** Resolves when it is gone, or has answered all and was asked to leave. */
  readonly left: Promise<void>;
  readonly #accepted: Accepted;
  readonly #offered: ListenOptions["methods"];
  readonly #options: TripleListenerOptions;
  readonly #session: Http2Session;
  readonly #held: Held;
  readonly #peer: string;
  #handlers = 0;

  constructor({ accepted, offered, memory }: ServerConnectionWhat, options: TripleListenerOptions, onGone: () => void) {
    const { socket } = accepted;
    const { clock, keepalive } = options;
    this.#accepted = accepted;
    this.#offered = offered;
    this.#held = { bytes: 0, memory, inflation: new Allowance(clock, inflationAllowed) };
    this.#options = options;
    this.#peer = `${socket.remoteAddress}:${socket.remotePort}`;
    let setLeft!: () => void;
    this.left = new Promise((resolve) => (setLeft = resolve));
    socket.once("finish", setLeft);
    this.#session = new Http2Session(
      socket,
      false,
      { clock, keepalive, concurrentStreamsMax, memory },
      {
        onReady: () => undefined,
        onRoom: () => undefined,
        onGoaway: () => undefined,
        onStream: (stream, fields, isEnd) => this.#begin(stream, fields, isEnd),
        onClosed: () => {
          onGone();
          setLeft();
        },
      },
    );
  }

  leave(): void {
    this.#session.leave();
  }

  /** It makes this side keep more than any other. */
  expel(): void {
    this.#session.expel("too much is kept for it");
  }

  reset(): void {
    this.#session.destroy(new Error("the server was closed"));
  }

  #begin(stream: Http2Stream, fields: Fields, isEnd: boolean): void {
    let request: GrpcRequest | undefined;
    let served: ServedMethod | undefined;
    try {
      request = readRequest(stream, fields);
      if (request === undefined) return;
      served = this.#served(request);
    } catch (error) {
      return refuseCall(stream, toRpcError(error));
    }
    if (this.#handlers >= handlersMax) return stream.reset(errorCodes.refusedStream);
    const { clock, messageBytesMax } = this.#options;
    const { path, metadata, timeoutUs, fieldsBytes } = request;
    const grpc = new GrpcServerCall(stream, request, isEnd, { messageBytesMax, held: this.#held });
    const begun = clock.nowUs();
    const callOf = (message: unknown): Call =>
      new Call({
        clock,
        // The name in discovery stays with the client; the path says it all.
        service: "",
        method: path,
        metadata,
        // From when the call arrived: its message may have taken its time.
        timeoutUs: timeoutUs === undefined ? undefined : Math.max(0, timeoutUs - (clock.nowUs() - begun)),
        peer: this.#peer,
        principal: this.#accepted.principal,
        request: message,
      });
    const held = new HeldShare(this.#held);
    held.set(0, fieldsBytes);
    const what = { served, callOf, held, count: (by: number) => void (this.#handlers += by) };
    if (takesStream(served.method)) return void new StreamedCall(grpc, what);
    // A message that doesn't come must not hold a stream beyond the call's own deadline.
    const disarm =
      timeoutUs === undefined
        ? undefined
        : clock.after(timeoutUs, () => {
            held.set(0);
            grpc.fail(new RpcError("the deadline passed before the request was whole", { code: "DEADLINE_EXCEEDED" }));
          });
    new MessageCall(grpc, what, disarm);
  }

  #served({ path, subtype }: GrpcRequest): ServedMethod {
    const served = this.#offered.get(path);
    if (served === undefined) {
      throw new RpcError(`${path.slice(0, 300)} isn't served here`, { code: "UNIMPLEMENTED" });
    }
    const method = subtype === undefined ? served.method : inCodec(served.method, subtype);
    if (method === undefined)
      throw new RpcError(`the codec ${subtype?.slice(0, 100)} isn't spoken here`, { code: "UNIMPLEMENTED" });
    return method === served.method ? served : { method, serve: served.serve };
  }
}

interface ServerCallWhat {
  readonly served: ServedMethod;
  readonly callOf: (request: unknown) => Call;
  /** What is kept for it: its request's fields from the beginning, until nobody waits for a handler and none is at work. */
  readonly held: HeldShare;
  readonly count: (handlers: number) => void;
}

/** One call as its server sees it, from when its handler begins. */
abstract class ServerCall implements ServerCallEvents {
  protected readonly grpc: GrpcServerCall;
  protected readonly what: ServerCallWhat;
  #call: Call | undefined;
  #sender: StreamSender | undefined;

  constructor(grpc: GrpcServerCall, what: ServerCallWhat) {
    this.grpc = grpc;
    this.what = what;
    grpc.events = this;
  }

  abstract onMessage(bytes: Buffer): void;
  abstract onEnd(): void;

  onCancel(error: RpcError): void {
    this.#call?.cancel(error);
  }

  protected get hasBegun(): boolean {
    return this.#call !== undefined;
  }

  onDrain(): void {
    this.#sender?.onDrain();
  }

  /** Serves it: `request` is what the handler gets, `message` what its call says that it was asked. Resolves when the handler is done. */
  protected async run(request: unknown, message: unknown): Promise<void> {
    const { served, callOf, held, count } = this.what;
    const call = (this.#call = callOf(message));
    count(1);
    try {
      this.began(call);
      const response = await served.serve(call, request);
      await this.#answer(response, call);
    } catch (thrown) {
      this.grpc.fail(toRpcError(thrown));
    } finally {
      call.end();
    }
    // Nobody waited for a handler whose call was cancelled: it may still be at work, and keeps what it was given.
    if (call.isCancelled) await call.handling?.catch(() => undefined);
    count(-1);
    held.set(0);
  }

  /** Its handler is about to begin. */
  protected began(_call: Call): void {
    // Nothing to do where there is one message, and it is here.
  }

  async #answer(response: Response, call: Call): Promise<void> {
    const { method } = this.what.served;
    if ((response.kind === "stream") !== givesStream(method)) {
      throw new RpcError("a stream answered a unary call, or one message a stream", { code: "INTERNAL" });
    }
    if (response.kind === "unary") {
      this.grpc.send(outgoing(method.output, response.message));
      return this.grpc.end(response.trailers);
    }
    this.grpc.begin();
    await this.#sendAll(response, call);
    this.grpc.end();
  }

  async #sendAll({ messages }: StreamResponse, call: Call): Promise<void> {
    const { grpc, what } = this;
    const sender = new StreamSender(messages, {
      send: (message) => grpc.send(outgoing(what.served.method.output, message)),
      get isWritable() {
        return grpc.isWritable;
      },
    });
    this.#sender = sender;
    try {
      await whileWaiting(call, sender.sent);
    } finally {
      sender.stop();
    }
  }
}

/** One message, and then the handler. */
class MessageCall extends ServerCall {
  /** It is whole, or nobody waits for it: its deadline is the handler's now. */
  readonly #disarm: (() => void) | undefined;
  #request: { readonly message: unknown; readonly bytes: number } | undefined;

  constructor(grpc: GrpcServerCall, what: ServerCallWhat, disarm: (() => void) | undefined) {
    super(grpc, what);
    this.#disarm = disarm;
    grpc.read();
  }

  onMessage(bytes: Buffer): void {
    if (this.#request !== undefined) {
      return this.#fail(new RpcError("more than one message for a call that takes one", { code: "UNIMPLEMENTED" }));
    }
    try {
      this.#request = { message: requestFrom(this.what.served.method, bytes), bytes: bytes.length };
      // Until the caller has ended its side and the handler begins.
      if (!this.grpc.isCallerDone) this.what.held.set(bytes.length, this.grpc.request.fieldsBytes);
    } catch (error) {
      return this.#fail(error as RpcError);
    }
    this.grpc.read();
  }

  onEnd(): void {
    const request = this.#request;
    if (request === undefined) {
      return this.#fail(new RpcError("no message for a call that takes one", { code: "UNIMPLEMENTED" }));
    }
    this.#letGo();
    // A handler has it now, and the listener keeps it as long.
    this.what.held.set(0, request.bytes + this.grpc.request.fieldsBytes);
    void this.run(request.message, request.message);
  }

  override onCancel(error: RpcError): void {
    if (!this.hasBegun) this.#letGo();
    super.onCancel(error);
  }

  #fail(error: RpcError): void {
    this.#letGo();
    this.grpc.fail(error);
  }

  #letGo(): void {
    this.#disarm?.();
    this.#request = undefined;
    this.what.held.set(0);
  }
}

/** The handler at once, and messages as it asks for them. */
class StreamedCall extends ServerCall {
  readonly #requests: StreamReader;
  /** Its handler has heard enough: what still comes is for nobody, and must not hold up the connection's other calls. */
  #hasLeft = false;

  constructor(grpc: GrpcServerCall, what: ServerCallWhat) {
    super(grpc, what);
    this.#requests = new StreamReader(
      (bytes) => requestFrom(what.served.method, bytes),
      () => grpc.read(),
      () => {
        this.#hasLeft = true;
        grpc.read();
      },
    );
    void this.run(this.#requests, undefined);
  }

  onMessage(bytes: Buffer): void {
    if (this.#hasLeft) this.grpc.read();
    else this.#requests.onMessage(bytes);
  }

  onEnd(): void {
    this.#requests.onEnd(undefined);
  }

  /** Who waits for a message waits no longer than the call lasts. */
  protected override began(call: Call): void {
    call.onCancel((reason) => this.#requests.onEnd(reason));
  }
}
