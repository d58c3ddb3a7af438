import { Call, whileWaiting } from "../../../../runtime/call/call.ts";
import type { Metadata } from "../../../../runtime/call/metadata.ts";
import { takesStream } from "../../../../runtime/call/service.ts";
import { RpcError, toRpcError } from "../../../../runtime/call/status.ts";
import type { Clock } from "../../../../runtime/ports/clock.ts";
import type { Listener, ServedMethod, StreamResponse } from "../../../../runtime/ports/transport.ts";
import { InFlightList, type InFlight } from "./in-flight.ts";
import { Frame, frameKinds, type Acceptor, type Connection, type End } from "../network.ts";
import type { ClientStream, ServedStream } from "./client-stream.ts";
import { MessageQueue } from "./message-queue.ts";
import type { SimTransportOptions } from "./options.ts";
import { unavailable } from "./unavailable.ts";
import { WindowedSender } from "./windowed-sender.ts";

/** The server's side of an address. */
export class SimListener implements Listener, Acceptor {
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
    else if (frame.kind === frameKinds.message) stream.served?.message(frame.message);
    else if (frame.kind === frameKinds.requestsEnd) stream.served?.requestsEnd();
    else if (frame.kind === frameKinds.room) stream.served?.room();
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
class ServerCall implements InFlight<ServerCall>, ServedStream {
  earlier: ServerCall | undefined;
  later: ServerCall | undefined;
  isListed = false;
  readonly #end: ServerEnd;
  readonly #connection: Connection;
  readonly #stream: ClientStream;
  readonly #served: ServedMethod;
  #call: Call | undefined;
  /** What the client streams. */
  #requests: MessageQueue | undefined;
  /** Of what it answers. */
  #sender: WindowedSender | undefined;

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
    if (takesStream(method)) this.#requests = this.#requestsOf(this.#call);
    this.#served.serve(this.#call, this.#requests ?? request).then(
      (response) => {
        if (response.kind === "stream") this.#sendAll(response);
        else this.#finish(undefined, this.#served.method.output.copy(response.message), response.trailers);
      },
      (error: unknown) => this.#finish(toRpcError(error)),
    );
  }

  message(message: unknown): void {
    this.#requests?.push(message);
  }

  requestsEnd(): void {
    this.#requests?.end();
  }

  room(): void {
    this.#sender?.onRoom();
  }

  cancel(why: string): void {
    const call = this.#call;
    if (call === undefined) return;
    this.#over();
    call.cancel(new RpcError(why, { code: "CANCELLED" }));
    call.end();
  }

  #sendAll({ messages }: StreamResponse): void {
    const call = this.#call;
    if (call === undefined) return;
    this.#send(frameKinds.headers);
    const { output } = this.#served.method;
    const sender = (this.#sender = new WindowedSender(messages, (message) =>
      this.#send(frameKinds.message, output.copy(message)),
    ));
    whileWaiting(call, sender.sent).then(
      () => this.#finish(undefined),
      (error: unknown) => {
        this.#finish(toRpcError(error));
        sender.stop();
      },
    );
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

  /** Who waits for a message waits no longer than the call lasts. */
  #requestsOf(call: Call): MessageQueue {
    const requests = new MessageQueue({
      onRoom: () => {
        if (this.#call !== undefined) this.#send(frameKinds.room);
      },
      onLeave: () => undefined,
    });
    call.onCancel((reason) => requests.fail(reason));
    return requests;
  }
}
