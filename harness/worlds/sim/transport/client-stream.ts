import type { Call, Cancellable } from "../../../../runtime/call/call.ts";
import type { Metadata } from "../../../../runtime/call/metadata.ts";
import { givesStream, type Method } from "../../../../runtime/call/service.ts";
import { RpcError, toRpcError } from "../../../../runtime/call/status.ts";
import type { Response } from "../../../../runtime/ports/transport.ts";
import type { InFlight } from "./in-flight.ts";
import { frameKinds, type Frame } from "../network.ts";
import { MessageQueue } from "./message-queue.ts";
import { WindowedSender } from "./windowed-sender.ts";

/** The connection that a call goes over, as the call sees it. */
export interface CallCarrier {
  message(stream: ClientStream, message: unknown): void;
  requestsEnd(stream: ClientStream): void;
  /** There is room for more of the answer's messages. */
  room(stream: ClientStream): void;
  /** Tells the server that nobody waits for this call any more. */
  cancel(stream: ClientStream): void;
  over(stream: ClientStream): void;
}

/** The same call as its server sees it. */
export interface ServedStream {
  /** One of the messages that the client streams. */
  message(message: unknown): void;
  requestsEnd(): void;
  /** There is room for more of the answer's messages. */
  room(): void;
  cancel(why: string): void;
}

/** One call as its client sees it. The object itself stands for the stream's number on the wire. */
export class ClientStream implements InFlight<ClientStream>, Cancellable {
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
  served: ServedStream | undefined;
  #end: CallCarrier | undefined;
  #messages: MessageQueue | undefined;
  /** Of what its client streams. */
  #sender: WindowedSender | undefined;
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

  sent(end: CallCarrier, id: number): void {
    this.id = id;
    this.#end = end;
    this.remainingUs = this.call.remainingUs();
  }

  /** Sends what its client streams, as it comes. */
  sendAll(): void {
    const carrier = this.#end!;
    const { input } = this.method;
    this.#sender = new WindowedSender(this.request as AsyncIterable<unknown>, (message) =>
      carrier.message(this, input.copy(message)),
    );
    this.#sender.sent.then(
      () => carrier.requestsEnd(this),
      (error: unknown) => this.cancel(toRpcError(error)),
    );
    // A server may wait to hear something before it answers: the caller's stream of answers has begun with the call.
    if (givesStream(this.method)) this.#begun();
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
      this.#begun();
    } else if (kind === frameKinds.room) {
      this.#sender?.onRoom();
    } else {
      this.#messages?.push(message);
    }
  }

  #begun(): void {
    if (this.#messages !== undefined) return;
    this.#messages = new MessageQueue({
      onRoom: () => {
        if (!this.isOver) this.#end!.room(this);
      },
      onLeave: () => this.cancel(new RpcError("the reader left", { code: "CANCELLED" })),
    });
    this.#resolve({ kind: "stream", messages: this.#messages });
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
    this.#sender?.stop();
    this.#end?.cancel(this);
    this.#fail(reason);
  }

  #over(): void {
    this.isOver = true;
    this.#sender?.stop();
    this.call.detach(this);
    this.#end?.over(this);
  }

  #fail(error: RpcError): void {
    if (this.#messages === undefined) this.#reject(error);
    else this.#messages.fail(error);
  }
}
