import { Call, whileWaiting, type Cancellable } from "../../../runtime/call/call.ts";
import type { Metadata } from "../../../runtime/call/metadata.ts";
import type { Method } from "../../../runtime/call/service.ts";
import { RpcError, toRpcError, type Reach } from "../../../runtime/call/status.ts";
import type { Clock } from "../../../runtime/ports/clock.ts";
import type {
  Listener,
  ListenOptions,
  Response,
  ServedMethod,
  StreamResponse,
  Transport,
} from "../../../runtime/ports/transport.ts";
import { InFlightList, type InFlight } from "./in-flight.ts";
import {
  Frame,
  frameKinds,
  type Acceptor,
  type Connection,
  type End,
  type Loss,
  type Network,
  type SimHost,
} from "./network.ts";
import type { SimProcess, Timer } from "./process.ts";

export interface SimTransportOptions {
  readonly network: Network;
  /** The machine that it sends from and listens at. */
  readonly host: SimHost;
  /** The process that it belongs to and ends with. */
  readonly process: SimProcess;
  readonly clock: Clock;
}

/**
 * The `Transport` of a simulated process. One connection for each address, made on the first call, kept, and made again as
 * the real transports do it (`Reconnecting`): where it couldn't be made, calls fail at once for 100 ms, then for 1.6 times as long each
 * time, and the first one after that tries again; one that broke is made again by the next call.
 */
export class SimTransport implements Transport {
  readonly options: SimTransportOptions;
  readonly #channels = new Map<string, Channel>();
  /** Those that get no new calls, until their last one has ended. */
  readonly #leaving = new Set<Channel>();
  readonly #listeners = new Set<SimListener>();
  #isClosed = false;

  constructor(options: SimTransportOptions) {
    this.options = options;
  }

  async listen({ address, methods }: ListenOptions): Promise<Listener> {
    const { host, process } = this.options;
    const wanted = portOf(address);
    const port = wanted === 0 ? freePort(host) : wanted;
    if (host.acceptors.has(port)) {
      throw new RpcError(`${address} is taken`, { code: "UNAVAILABLE", hint: "listen at another port, or at port 0" });
    }
    const listener = new SimListener(this.options, port, methods);
    if (process.isAlive) {
      host.acceptors.set(port, listener);
      this.#listeners.add(listener);
    }
    return listener;
  }

  invoke(address: string, method: Method<unknown, unknown>, call: Call, request: unknown): Promise<Response> {
    if (this.#isClosed) return Promise.reject(new RpcError("this transport is closed", { code: "UNAVAILABLE" }));
    let channel = this.#channels.get(address);
    if (channel === undefined) this.#channels.set(address, (channel = new Channel(this.options, address)));
    const stream = new ClientStream(method, call, method.input.copy(request));
    channel.start(stream);
    return stream.response;
  }

  release(address: string): void {
    const channel = this.#channels.get(address);
    if (channel === undefined) return;
    this.#channels.delete(address);
    this.#leaving.add(channel);
    channel.retire(() => this.#leaving.delete(channel));
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const channel of [...this.#channels.values(), ...this.#leaving]) channel.close();
    for (const listener of this.#listeners) await listener.close();
  }
}

/** The clients' side: everything that one process sends to one address. */
class Channel {
  readonly #options: SimTransportOptions;
  readonly #address: string;
  readonly #target: SimHost | undefined;
  readonly #port: number;
  /** `failing`: the last attempt to connect failed. Calls fail at once until a pause is over; the first one after it tries again. */
  #state: "idle" | "connecting" | "ready" | "failing" | "closed" = "idle";
  #end: ClientEnd | undefined;
  /** Calls that wait for the connection; undefined while none does. */
  #waiting: ClientStream[] | undefined;
  #why = "";
  #onRetired: (() => void) | undefined;
  #backoffUs: number;
  #backoffUntilUs = 0;
  #timer: Timer | undefined;

  constructor(options: SimTransportOptions, address: string) {
    this.#options = options;
    this.#address = address;
    this.#target = options.network.host(hostOf(address));
    this.#port = portOf(address);
    this.#backoffUs = options.network.parameters.backoffInitialUs;
  }

  start(stream: ClientStream): void {
    // What a dead process still does in its last microtasks reaches nobody.
    if (stream.isOver || !this.#options.process.isAlive) return;
    switch (this.#state) {
      case "ready":
        this.#end!.send(stream);
        return;
      case "closed":
        stream.fail(unavailable("this transport is closed", "nowhere"));
        return;
      case "failing":
        if (this.#options.network.engine.now >= this.#backoffUntilUs) this.#connect(stream);
        else stream.fail(unavailable(`${this.#address} can't be reached: ${this.#why}`, "nowhere"));
        return;
      case "idle":
        this.#connect(stream);
        return;
      case "connecting":
        (this.#waiting ??= []).push(stream);
        return;
    }
  }

  /** It gets no new calls: the connection is closed when those in flight have ended, or was never made. */
  retire(onClosed: () => void): void {
    this.#onRetired = onClosed;
    if (this.#state === "ready") this.#end!.leave();
    else if (this.#state !== "connecting") this.#retired();
  }

  #retired(): void {
    this.#state = "closed";
    this.#disarm();
    this.#onRetired?.();
  }

  close(): void {
    this.#state = "closed";
    this.#disarm();
    this.#failWaiting("this transport is closed");
    const end = this.#end;
    this.#end = undefined;
    end?.close("this transport is closed");
  }

  connected(end: ClientEnd): void {
    if (this.#state === "closed" || this.#end !== end) return;
    this.#disarm();
    this.#state = "ready";
    this.#backoffUs = this.#options.network.parameters.backoffInitialUs;
    const waiting = this.#waiting;
    this.#waiting = undefined;
    for (const stream of waiting ?? []) if (!stream.isOver) end.send(stream);
    if (this.#onRetired !== undefined) end.leave();
  }

  /** The connection is gone, or takes no more calls: the next call makes a new one, unless this one was never made. */
  left(end: ClientEnd, why: string): void {
    if (this.#end !== end) return;
    this.#end = undefined;
    this.#disarm();
    if (this.#state === "ready") this.#state = "idle";
    else this.#failed(why);
    if (this.#onRetired !== undefined) this.#retired();
  }

  #connect(first: ClientStream): void {
    const { network, host, process } = this.#options;
    this.#state = "connecting";
    this.#waiting = [first];
    // When the next attempt may begin, should this one fail: counted from its own beginning, as gRPC does.
    this.#backoffUntilUs = network.engine.now + Math.round(this.#backoffUs);
    const target = this.#target;
    if (target === undefined) {
      this.#failed("there is no such host");
      return;
    }
    const end = new ClientEnd(this, (own) => network.connect(host, target, this.#port, own));
    this.#end = end;
    this.#timer = process.after(network.parameters.connectTimeoutUs, () => {
      end.close("nobody answers");
      this.left(end, "nobody answers");
    });
  }

  #failed(why: string): void {
    if (this.#state === "closed") return;
    this.#state = "failing";
    this.#why = why;
    this.#failWaiting(`${this.#address} can't be reached: ${why}`);
    this.#backoffUs = Math.min(this.#backoffUs * 1.6, this.#options.network.parameters.backoffMaxUs);
  }

  #failWaiting(message: string): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    for (const stream of waiting ?? []) stream.fail(unavailable(message, "nowhere"));
  }

  #disarm(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }
}

/** The client's end of a connection, with the calls in flight on it. */
class ClientEnd implements End {
  readonly #channel: Channel;
  readonly #connection: Connection;
  readonly #streams = new InFlightList<ClientStream>();
  #last = 0;
  /** No new calls; the connection goes when the last one has ended. */
  #isLeaving = false;

  constructor(channel: Channel, connect: (end: ClientEnd) => Connection) {
    this.#channel = channel;
    this.#connection = connect(this);
  }

  send(stream: ClientStream): void {
    stream.sent(this, ++this.#last);
    this.#streams.add(stream);
    const connection = this.#connection;
    const { clientOverheadUs, serverOverheadUs } = connection.link.network.parameters;
    const frame = new Frame(connection, true, frameKinds.request, stream, stream.request, stream.method.input);
    connection.send(frame, clientOverheadUs, serverOverheadUs);
  }

  receive(frame: Frame): void {
    if (frame.kind === frameKinds.accept) {
      this.#channel.connected(this);
    } else if (frame.kind === frameKinds.goaway) {
      this.#channel.left(this, "the server is going away");
      this.#isLeaving = true;
      this.#closeWhenIdle();
    } else {
      (frame.stream as ClientStream).receive(frame);
    }
  }

  lost(loss: Loss): void {
    this.#fail(lossTexts[loss]);
    this.#channel.left(this, lossTexts[loss]);
  }

  /** Tells the server that nobody waits for this call any more. */
  cancel(stream: ClientStream): void {
    const connection = this.#connection;
    if (connection.client === this) connection.send(new Frame(connection, true, frameKinds.cancel, stream));
    this.over(stream);
  }

  over(stream: ClientStream): void {
    this.#streams.remove(stream);
    this.#closeWhenIdle();
  }

  close(why: string): void {
    this.#connection.close(true);
    this.#fail(why);
  }

  #fail(why: string): void {
    this.#isLeaving = false;
    for (const stream of this.#streams.all()) stream.fail(unavailable(why));
  }

  /** Closes when the last call has ended. */
  leave(): void {
    this.#isLeaving = true;
    this.#closeWhenIdle();
  }

  #closeWhenIdle(): void {
    if (!this.#isLeaving || !this.#streams.isEmpty) return;
    this.#connection.close(true);
    this.#channel.left(this, "nobody needs it any more");
  }
}

const lossTexts: Readonly<Record<Loss, string>> = {
  refused: "the connection was refused",
  closed: "the server closed the connection",
  reset: "the connection broke",
};

/** One call as its client sees it. The object itself stands for the stream's number on the wire. */
class ClientStream implements InFlight<ClientStream>, Cancellable {
  readonly method: Method<unknown, unknown>;
  readonly call: Call;
  readonly request: unknown;
  readonly response: Promise<Response>;
  id = 0;
  earlier: ClientStream | undefined;
  later: ClientStream | undefined;
  isListed = false;
  /** What was left of the deadline when the request was sent. */
  remainingUs = Infinity;
  isOver = false;
  /** The server's side, kept here so that no table is needed to find it. */
  served: ServerCall | undefined;
  #end: ClientEnd | undefined;
  #messages: MessageQueue | undefined;
  #resolve!: (response: Response) => void;
  #reject!: (error: RpcError) => void;

  constructor(method: Method<unknown, unknown>, call: Call, request: unknown) {
    this.method = method;
    this.call = call;
    this.request = request;
    this.response = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    call.attach(this);
  }

  sent(end: ClientEnd, id: number): void {
    this.id = id;
    this.#end = end;
    this.remainingUs = this.call.remainingUs();
  }

  receive(frame: Frame): void {
    if (this.isOver) return;
    const { kind, message, status, trailers } = frame;
    if (kind === frameKinds.end) {
      this.#over();
      if (status !== undefined) this.#fail(this.#received(status, trailers));
      else if (this.#messages !== undefined) this.#messages.end();
      else this.#resolve({ kind: "unary", message, trailers });
    } else if (kind === frameKinds.headers) {
      this.#messages = new MessageQueue(() => this.cancel(new RpcError("the reader left", { code: "CANCELLED" })));
      this.#resolve({ kind: "stream", messages: this.#messages });
    } else {
      this.#messages?.push(message);
    }
  }

  /** What a handler met elsewhere says nothing about how far this call came. */
  #received({ message, code, reach }: RpcError, trailers: Metadata): RpcError {
    return new RpcError(message, { code, trailers, reach: this.served === undefined ? reach : "application" });
  }

  fail(error: RpcError): void {
    if (this.isOver) return;
    this.#over();
    this.#fail(error);
  }

  /** Nobody waits any more: the server is told. */
  cancel(reason: RpcError): void {
    if (this.isOver) return;
    this.isOver = true;
    this.#end?.cancel(this);
    this.#fail(reason);
  }

  #over(): void {
    this.isOver = true;
    this.call.detach(this);
    this.#end?.over(this);
  }

  #fail(error: RpcError): void {
    if (this.#messages === undefined) this.#reject(error);
    else this.#messages.fail(error);
  }
}

/** Messages of a stream between their arrival and their reader. */
class MessageQueue implements AsyncIterableIterator<unknown> {
  readonly #onLeave: () => void;
  #messages: unknown[] = [];
  #readers: { resolve: (result: IteratorResult<unknown>) => void; reject: (error: RpcError) => void }[] = [];
  #isEnded = false;
  #error: RpcError | undefined;

  constructor(onLeave: () => void) {
    this.#onLeave = onLeave;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  push(message: unknown): void {
    const reader = this.#readers.shift();
    if (reader === undefined) this.#messages.push(message);
    else reader.resolve({ done: false, value: message });
  }

  end(): void {
    this.#isEnded = true;
    for (const reader of this.#readers.splice(0)) reader.resolve(noMore);
  }

  fail(error: RpcError): void {
    this.#isEnded = true;
    // The first reader hears of it, the others find the end; without one it waits for the next.
    const reader = this.#readers.shift();
    if (reader === undefined) this.#error = error;
    else reader.reject(error);
    this.end();
  }

  next(): Promise<IteratorResult<unknown>> {
    if (this.#messages.length > 0) return Promise.resolve({ done: false, value: this.#messages.shift() });
    if (this.#error !== undefined) {
      const error = this.#error;
      this.#error = undefined;
      return Promise.reject(error);
    }
    if (this.#isEnded) return Promise.resolve(noMore);
    return new Promise((resolve, reject) => this.#readers.push({ resolve, reject }));
  }

  async return(): Promise<IteratorResult<unknown>> {
    this.#messages = [];
    this.#error = undefined;
    if (!this.#isEnded) {
      this.#onLeave();
      // Leaving is no error for the one who leaves.
      this.#error = undefined;
      this.end();
    }
    return noMore;
  }
}

const noMore: IteratorResult<unknown> = { done: true, value: undefined };

/** The server's side of an address. */
class SimListener implements Listener, Acceptor {
  readonly address: string;
  readonly options: SimTransportOptions;
  readonly #port: number;
  readonly methods: ReadonlyMap<string, ServedMethod>;
  readonly #ends = new Set<ServerEnd>();
  #inFlight = 0;
  #isDraining = false;
  #onIdle: (() => void) | undefined;

  constructor(options: SimTransportOptions, port: number, methods: ReadonlyMap<string, ServedMethod>) {
    this.options = options;
    this.#port = port;
    this.methods = methods;
    this.address = `${options.host.name}:${port}`;
  }

  get isDraining(): boolean {
    return this.#isDraining;
  }

  accept(connection: Connection): End {
    const end = new ServerEnd(this, connection);
    this.#ends.add(end);
    return end;
  }

  gone(end: ServerEnd): void {
    this.#ends.delete(end);
  }

  began(): void {
    this.#inFlight++;
  }

  ended(): void {
    this.#inFlight--;
    if (this.#inFlight === 0) this.#onIdle?.();
  }

  drain(graceUs: number): Promise<void> {
    this.#refuse();
    this.#isDraining = true;
    for (const end of this.#ends) end.goAway();
    if (this.#inFlight === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = this.options.process.after(graceUs, () => {
        void this.close();
        resolve();
      });
      this.#onIdle = () => {
        timer.cancel();
        resolve();
      };
    });
  }

  async close(): Promise<void> {
    this.#refuse();
    for (const end of [...this.#ends]) end.close();
  }

  /** New connections find nobody. */
  #refuse(): void {
    const { acceptors } = this.options.host;
    if (acceptors.get(this.#port) === this) acceptors.delete(this.#port);
  }
}

/** The server's end of a connection, with the calls that it works on. */
class ServerEnd implements End {
  readonly #listener: SimListener;
  readonly #connection: Connection;
  readonly #calls = new InFlightList<ServerCall>();

  constructor(listener: SimListener, connection: Connection) {
    this.#listener = listener;
    this.#connection = connection;
  }

  receive(frame: Frame): void {
    const stream = frame.stream as ClientStream;
    if (frame.kind === frameKinds.request) this.#begin(stream, frame.message);
    else stream.served?.cancel("the caller cancelled");
  }

  lost(): void {
    this.#listener.gone(this);
    for (const call of this.#calls.all()) call.cancel("the caller's connection is gone");
  }

  goAway(): void {
    const connection = this.#connection;
    connection.send(new Frame(connection, false, frameKinds.goaway));
  }

  close(): void {
    this.#connection.close(false);
    this.lost();
  }

  send(frame: Frame): void {
    // After the end of the process its last microtasks reach nobody.
    if (this.#connection.server === this) this.#connection.send(frame);
  }

  ended(call: ServerCall): void {
    if (this.#calls.remove(call)) this.#listener.ended();
  }

  #begin(stream: ClientStream, request: unknown): void {
    const { options, methods, isDraining } = this.#listener;
    const served = methods.get(stream.method.path);
    if (served === undefined || isDraining) {
      const status =
        served === undefined
          ? new RpcError(`${stream.method.path} isn't served here`, { code: "UNIMPLEMENTED" })
          : unavailable("the server is going away", "server");
      this.send(new Frame(this.#connection, false, frameKinds.end, stream, undefined, undefined, status));
      return;
    }
    const call = new ServerCall(this, this.#connection, stream, served);
    stream.served = call;
    this.#calls.add(call);
    this.#listener.began();
    call.run(request, options.clock);
  }
}

/** One call as its server sees it. */
class ServerCall implements InFlight<ServerCall> {
  earlier: ServerCall | undefined;
  later: ServerCall | undefined;
  isListed = false;
  readonly #end: ServerEnd;
  readonly #connection: Connection;
  readonly #stream: ClientStream;
  readonly #served: ServedMethod;
  #call: Call | undefined;

  constructor(end: ServerEnd, connection: Connection, stream: ClientStream, served: ServedMethod) {
    this.#end = end;
    this.#connection = connection;
    this.#stream = stream;
    this.#served = served;
  }

  run(request: unknown, clock: Clock): void {
    const { method, call, remainingUs } = this.#stream;
    this.#call = new Call({
      clock,
      service: call.service,
      method: method.path,
      metadata: call.metadata,
      timeoutUs: remainingUs === Infinity ? undefined : remainingUs,
      peer: this.#connection.link.from.name,
      principal: this.#connection.link.from.principal,
    });
    this.#served.serve(this.#call, request).then(
      (response) => {
        if (response.kind === "stream") void this.#pump(response);
        else this.#finish(undefined, this.#served.method.output.copy(response.message), response.trailers);
      },
      (error: unknown) => this.#finish(toRpcError(error)),
    );
  }

  cancel(why: string): void {
    const call = this.#call;
    if (call === undefined) return;
    this.#over();
    call.cancel(new RpcError(why, { code: "CANCELLED" }));
    call.end();
  }

  async #pump({ messages }: StreamResponse): Promise<void> {
    const call = this.#call;
    if (call === undefined) return;
    const { output } = this.#served.method;
    const iterator = messages[Symbol.asyncIterator]();
    this.#send(frameKinds.headers);
    try {
      for (;;) {
        const next = await whileWaiting(call, iterator.next());
        if (next.done === true) break;
        if (this.#call !== undefined) this.#send(frameKinds.message, output.copy(next.value));
      }
      this.#finish(undefined);
    } catch (error) {
      this.#finish(toRpcError(error));
      // The handler may be in the middle of something that never ends: nobody waits for it to leave.
      iterator.return?.().catch(() => undefined);
    }
  }

  #send(kind: number, message?: unknown): void {
    this.#end.send(new Frame(this.#connection, false, kind, this.#stream, message, this.#served.method.output));
  }

  #finish(status: RpcError | undefined, message?: unknown, trailers?: Metadata): void {
    const call = this.#call;
    if (call === undefined) return;
    this.#over();
    call.end();
    const codec = message === undefined ? undefined : this.#served.method.output;
    this.#end.send(
      new Frame(
        this.#connection,
        false,
        frameKinds.end,
        this.#stream,
        message,
        codec,
        status,
        trailers ?? status?.trailers,
      ),
    );
  }

  #over(): void {
    this.#call = undefined;
    this.#end.ended(this);
  }
}

function unavailable(message: string, reach?: Reach): RpcError {
  return new RpcError(message, { code: "UNAVAILABLE", reach });
}

/** "10.0.0.7:20880" → "10.0.0.7" */
function hostOf(address: string): string {
  return address.slice(0, address.lastIndexOf(":"));
}

function portOf(address: string): number {
  return Number(address.slice(address.lastIndexOf(":") + 1));
}

/** A port that nobody listens at, and a new one each time, as kernels choose them. */
function freePort(host: SimHost): number {
  do {
    host.lastFreePort = host.lastFreePort === 60_999 ? 32_768 : host.lastFreePort + 1;
  } while (host.acceptors.has(host.lastFreePort));
  return host.lastFreePort;
}
