import { takesStream } from "../../../../runtime/call/service.ts";
import { InFlightList } from "./in-flight.ts";
import { Frame, frameKinds, type Connection, type End, type Loss, type SimHost } from "../network.ts";
import type { Timer } from "../process.ts";
import { hostOf, portOf } from "./address.ts";
import type { ClientStream } from "./client-stream.ts";
import type { SimTransportOptions } from "./options.ts";
import { unavailable } from "./unavailable.ts";

/** The clients' side: everything that one process sends to one address. */
export class Channel {
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
    const isStream = takesStream(stream.method);
    const frame = isStream
      ? new Frame(connection, true, frameKinds.request, stream)
      : new Frame(connection, true, frameKinds.request, stream, stream.request, stream.method.input);
    connection.send(frame, clientOverheadUs, serverOverheadUs);
    if (isStream) stream.sendAll();
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

  /** One of the messages that the client streams. */
  message(stream: ClientStream, message: unknown): void {
    this.#connection.send(new Frame(this.#connection, true, frameKinds.message, stream, message, stream.method.input));
  }

  requestsEnd(stream: ClientStream): void {
    this.#connection.send(new Frame(this.#connection, true, frameKinds.requestsEnd, stream));
  }

  room(stream: ClientStream): void {
    this.#connection.send(new Frame(this.#connection, true, frameKinds.room, stream));
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
