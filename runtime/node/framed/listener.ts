import type { Socket } from "node:net";

import { Call, whileWaiting } from "../../call/call.ts";
import { noMetadata } from "../../call/metadata.ts";
import { givesStream, inCodec, refuseClientStreams } from "../../call/service.ts";
import { RpcError, toRpcError } from "../../call/status.ts";
import { StreamSender, type StreamSink } from "../../call/stream-sender.ts";
import type { Clock } from "../../ports/clock.ts";
import type { Listener, ListenOptions, Response, ServedMethod, StreamResponse } from "../../ports/transport.ts";
import { listenAt } from "../address.ts";
import { acceptorOf, breakOff, type Accepted, type TlsIdentity } from "../tls.ts";
import { PeersMemory, type PeerMemory } from "../peer-memory.ts";
import { unavailable } from "../unavailable.ts";
import { creditInitial } from "./channel.ts";
import { FramedConnection, type Keepalive } from "./connection.ts";
import { decodeCredit, decodeRequest, encodeEnd, encodeText, frameTypes, malformed, type Frame } from "./wire.ts";

export interface FramedListenerOptions {
  readonly clock: Clock;
  readonly messageBytesMax: number;
  readonly isLoopbackOnly: boolean;
  readonly keepalive: Keepalive;
  readonly memoryBytesMax: number | undefined;
  readonly tls: TlsIdentity | undefined;
}

/** Connections that one listener holds; more are closed as they come. */
const connectionsMax = 4096;
/** Calls in flight on one connection; one more is refused RESOURCE_EXHAUSTED. */
const callsMax = 1000;
/** Handlers at work for one connection, those of calls that were cancelled included. */
const handlersMax = 2 * callsMax;

/** Starts serving. Rejects with UNAVAILABLE when the address is taken, and with INVALID_ARGUMENT when it isn't a loopback one. */
export async function listenFramed(
  { address, methods }: ListenOptions,
  options: FramedListenerOptions,
): Promise<Listener> {
  const { clock, isLoopbackOnly, tls } = options;
  const connections = new Set<ServerConnection>();
  const sockets = new Set<Socket>();
  let isDraining = false;
  for (const { method } of methods.values()) refuseClientStreams(method, "framed TCP");
  const memory = new PeersMemory(options.memoryBytesMax);
  const acceptor = acceptorOf(tls, (accepted) => {
    const share = memory.join(() => connection.expel());
    const connection: ServerConnection = new ServerConnection(accepted, methods, { ...options, memory: share }, () => {
      share.leave();
      connections.delete(connection);
    });
    connections.add(connection);
    if (isDraining) connection.leave();
  });
  acceptor.maxConnections = connectionsMax;
  acceptor.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    socket.on("error", () => undefined);
  });
  const listening = await listenAt(acceptor, address, isLoopbackOnly);

  let closed: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closed ??= new Promise((resolve) => {
      acceptor.close(() => resolve());
      for (const connection of [...connections]) connection.reset();
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
        void Promise.all([...connections].map((connection) => connection.left)).then(() => {
          stopWaiting();
          resolve();
        });
        for (const connection of connections) connection.leave();
      }),
    close,
  };
}

class ServerConnection {
  /** Resolves when it is gone, or has answered all and was asked to leave. */
  readonly left: Promise<void>;
  readonly #connection: FramedConnection;
  readonly #methods: ListenOptions["methods"];
  readonly #clock: Clock;
  readonly #accepted: Accepted;
  readonly #memory: PeerMemory;
  readonly #calls = new Map<number, ServerCall>();
  #last = 0;
  #handlers = 0;
  #isLeaving = false;
  #setLeft!: () => void;

  constructor(
    accepted: Accepted,
    methods: ListenOptions["methods"],
    options: FramedListenerOptions & { readonly memory: PeerMemory },
    onGone: () => void,
  ) {
    this.left = new Promise((resolve) => (this.#setLeft = resolve));
    this.#accepted = accepted;
    this.#memory = options.memory;
    this.#methods = methods;
    this.#clock = options.clock;
    this.#connection = new FramedConnection(accepted.socket, options, {
      onReady: () => undefined,
      onFrame: (frame) => this.#receive(frame),
      onLost: () => {
        onGone();
        this.#setLeft();
        for (const call of this.#calls.values()) call.cancel("the caller's connection is gone");
        this.#calls.clear();
      },
      isBusy: () => this.#calls.size > 0,
    });
  }

  /** Takes no more calls, says so, and goes when those in flight have ended. */
  leave(): void {
    if (this.#isLeaving) return;
    this.#isLeaving = true;
    this.#connection.send(frameTypes.goaway, this.#last, encodeText("the server is going away"));
    this.#goWhenIdle();
  }

  reset(): void {
    this.#connection.reset(unavailable("the server was closed"));
  }

  /** It makes this side keep more than any other. */
  expel(): void {
    this.#connection.fail(new RpcError("too much is kept for it", { code: "RESOURCE_EXHAUSTED" }));
  }

  #receive({ type, stream: id, payload }: Frame): void {
    if (type === frameTypes.request) {
      if (id <= this.#last) throw malformed(`call ${id} after call ${this.#last}: numbers only grow`);
      this.#last = id;
      return this.#begin(id, payload);
    }
    if (id === 0 || id > this.#last) throw malformed(`a frame for call ${id}, which was never made`);
    if (type === frameTypes.cancel) {
      this.#calls.get(id)?.cancel("the caller cancelled");
      this.#calls.delete(id);
      this.#goWhenIdle();
    } else if (type === frameTypes.credit) {
      const messages = decodeCredit(payload);
      if (messages === 0) throw malformed("a credit of nothing");
      this.#calls.get(id)?.credit(messages);
    } else throw malformed(`a frame of type ${type} from a client`);
  }

  #begin(id: number, payload: Buffer): void {
    const request = decodeRequest(payload);
    const refuse = (error: RpcError): void => this.#end(id, { error });
    if (this.#isLeaving) return refuse(unavailable("the server is going away"));
    if (this.#calls.size >= callsMax || this.#handlers >= handlersMax) {
      return refuse(new RpcError(`more than ${callsMax} calls on one connection`, { code: "RESOURCE_EXHAUSTED" }));
    }
    const served = this.#methods.get(request.path);
    const method = served && inCodec(served.method, request.codec);
    if (served === undefined || method === undefined) {
      const what = served === undefined ? request.path : `the codec ${request.codec} of ${request.path}`;
      return refuse(new RpcError(`${what.slice(0, 300)} isn't served here`, { code: "UNIMPLEMENTED" }));
    }
    let message: unknown;
    try {
      message = method.input.decode(request.message);
    } catch (cause) {
      return refuse(new RpcError(`the request of ${method.path} is malformed`, { code: "INVALID_ARGUMENT", cause }));
    }
    const { socket, principal } = this.#accepted;
    const call = new Call({
      clock: this.#clock,
      service: "",
      method: method.path,
      metadata: request.metadata,
      timeoutUs: request.timeoutUs,
      peer: `${socket.remoteAddress}:${socket.remotePort}`,
      principal,
      request: message,
    });
    const own = new ServerCall(
      call,
      { method, serve: served.serve },
      {
        accepted: () => this.#connection.send(frameTypes.accepted, id),
        message: (bytes) => this.#send(frameTypes.message, id, bytes),
        end: (end) => {
          if (!this.#calls.delete(id)) return;
          this.#end(id, end);
          this.#goWhenIdle();
        },
      },
    );
    this.#calls.set(id, own);
    this.#handlers++;
    const bytes = payload.length;
    this.#memory.add(bytes);
    void own.run(message).finally(() => {
      this.#handlers--;
      this.#memory.add(-bytes);
    });
  }

  #send(type: number, id: number, payload: Uint8Array): void {
    if (payload.length > this.#connection.payloadBytesMax) throw tooLarge(payload.length);
    this.#connection.send(type, id, payload);
  }

  #end(id: number, { error, response }: CallEnd): void {
    const trailers = error?.trailers ?? response?.trailers ?? noMetadata;
    let payload: Buffer;
    try {
      payload = encodeEnd({ error, trailers, message: response?.message });
      if (payload.length > this.#connection.payloadBytesMax) throw tooLarge(payload.length);
    } catch (thrown) {
      payload = encodeEnd({ error: error ?? toRpcError(thrown), trailers: noMetadata, message: undefined });
    }
    this.#connection.send(frameTypes.end, id, payload);
  }

  #goWhenIdle(): void {
    if (!this.#isLeaving || this.#calls.size > 0) return;
    this.#setLeft();
    this.#connection.end();
  }
}

const tooLarge = (bytes: number): RpcError =>
  new RpcError(`a reply of ${bytes} bytes is larger than the caller takes`, { code: "RESOURCE_EXHAUSTED" });

interface CallEnd {
  readonly error?: RpcError;
  readonly response?: { readonly message?: Uint8Array; readonly trailers: ReadonlyMap<string, string> };
}

interface Line {
  accepted(): void;
  message(bytes: Uint8Array): void;
  end(end: CallEnd): void;
}

/** One call as its server sees it. */
class ServerCall implements StreamSink {
  readonly #call: Call;
  readonly #served: ServedMethod;
  readonly #line: Line;
  #credit = creditInitial;
  #sender: StreamSender | undefined;

  constructor(call: Call, served: ServedMethod, line: Line) {
    this.#call = call;
    this.#served = served;
    this.#line = line;
  }

  /** Resolves when the handler is done. */
  async run(request: unknown): Promise<void> {
    try {
      const response = await this.#served.serve(this.#call, request);
      await this.#answer(response);
    } catch (thrown) {
      this.#call.end();
      this.#line.end({ error: toRpcError(thrown) });
    }
    // Nobody waited for a handler whose call was cancelled: it may still be at work, and keeps what it was given.
    if (this.#call.isCancelled) await this.#call.handling?.catch(() => undefined);
  }

  cancel(why: string): void {
    this.#call.cancel(new RpcError(why, { code: "CANCELLED" }));
    this.#call.end();
  }

  credit(messages: number): void {
    // What nobody can use up needn't be counted.
    this.#credit = Math.min(this.#credit + messages, 0xffffffff);
    this.#sender?.onDrain();
  }

  async #answer(response: Response): Promise<void> {
    const { method } = this.#served;
    if ((response.kind === "stream") !== givesStream(method)) {
      throw new RpcError("a stream answered a unary call, or one message a stream", { code: "INTERNAL" });
    }
    if (response.kind === "unary") {
      const message = method.output.encode(response.message);
      this.#call.end();
      return this.#line.end({ response: { message, trailers: response.trailers } });
    }
    this.#line.accepted();
    await this.#send(response);
    this.#call.end();
    this.#line.end({});
  }

  /** Takes the next message only when its reader has room for it. */
  async #send({ messages }: StreamResponse): Promise<void> {
    const sender = (this.#sender = new StreamSender(messages, this));
    try {
      await whileWaiting(this.#call, sender.sent);
    } finally {
      sender.stop();
    }
  }

  send(message: unknown): void {
    this.#credit--;
    this.#line.message(this.#served.method.output.encode(message));
  }

  get isWritable(): boolean {
    return this.#credit > 0;
  }
}
