import { noMetadata, type Metadata } from "../../../runtime/call/metadata.ts";
import type { RpcError } from "../../../runtime/call/status.ts";
import type { Codec } from "../../../runtime/codec/codec.ts";
import type { Random } from "../../../runtime/ports/random.ts";
import { sample, type Distribution } from "../../../services/distribution.ts";
import { sampleAddedLatency } from "../latency.ts";
import type { LinkShape } from "../world.ts";
import { hashValue } from "./digest.ts";
import { kindOf, SimEvent, type Engine } from "./engine.ts";
import type { SimParameters } from "./parameters.ts";
import type { SimProcess } from "./process.ts";

/** One side of a connection: what a process does with the connection's frames. */
export interface End {
  receive(frame: Frame): void;
  /** The connection is gone; nothing more will come. */
  lost(why: Loss): void;
}

/** How a connection went: it was never made, the peer closed it, or it broke on the way. */
export type Loss = "refused" | "closed" | "reset";

/** Accepts connections at an address. */
export interface Acceptor {
  accept(connection: Connection): End;
}

/** A machine on the network. It outlives the processes that run on it. */
export class SimHost {
  /** What addresses begin with: "10.0.0.7". */
  readonly name: string;
  /** The node that runs here, for link names, and its number. */
  readonly id: string;
  readonly node: number;
  /** The process that runs, or ran last. */
  process: SimProcess;
  /** By port. */
  readonly acceptors = new Map<number, Acceptor>();
  /** The last port that was given to somebody who asked for any. */
  lastFreePort = 32_767;
  /** Who its connections prove to be; undefined: they prove nothing. */
  principal: string | undefined;
  /** Its cable is pulled: nothing gets in or out. */
  isDisconnected = false;
  /** Open on this side; in the order in which they were made. */
  readonly connections = new Set<Connection>();
  /** By the number of the node at the other end. */
  readonly links = new Map<number, Link>();

  constructor(name: string, id: string, process: SimProcess) {
    this.name = name;
    this.id = id;
    this.node = process.node;
    this.process = process;
  }
}

/** Hosts, and links between them. */
export class Network {
  readonly engine: Engine;
  readonly parameters: SimParameters;
  readonly #hosts = new Map<string, SimHost>();

  constructor(engine: Engine, parameters: SimParameters) {
    this.engine = engine;
    this.parameters = parameters;
  }

  addHost(name: string, id: string, process: SimProcess): SimHost {
    const host = new SimHost(name, id, process);
    this.#hosts.set(name, host);
    return host;
  }

  host(name: string): SimHost | undefined {
    return this.#hosts.get(name);
  }

  /** The way that connections from one host to another take. */
  link(from: SimHost, to: SimHost): Link {
    let link = from.links.get(to.node);
    if (link === undefined) from.links.set(to.node, (link = new Link(this, from, to)));
    return link;
  }

  /** Begins a connection. The client's end hears `accept` once it is made. */
  connect(from: SimHost, to: SimHost, port: number, end: End): Connection {
    const connection = new Connection(this.link(from, to), port, end);
    from.connections.add(connection);
    const { connectOverheadUs } = this.parameters;
    connection.send(new Frame(connection, true, frameKinds.connect), connectOverheadUs);
    return connection;
  }

  /** Breaks every connection of a process that is no more; its peers are told. */
  crash(host: SimHost): void {
    const { connections } = host;
    host.acceptors.clear();
    for (const connection of [...connections]) {
      if (connection.link.from === host) connection.close(true);
      if (connection.link.to === host) connection.close(false);
    }
  }
}

/**
 * The connections that one host makes to another. Chance on it is its own, one stream a concern: what happens on one link, or a
 * fault that comes or goes, moves no other draw.
 */
export class Link {
  readonly network: Network;
  readonly from: SimHost;
  readonly to: SimHost;
  /** Undefined while the link is healthy. */
  shape: LinkShape | undefined;
  /** When the bandwidth is free again, in each direction. */
  #busyUntil: [forward: number, backward: number] | undefined;
  #latency: Random | undefined;
  #jitter: Random | undefined;
  #loss: Random | undefined;

  constructor(network: Network, from: SimHost, to: SimHost) {
    this.network = network;
    this.from = from;
    this.to = to;
  }

  setShape(shape: LinkShape): void {
    this.shape = Object.keys(shape).length === 0 ? undefined : shape;
    if (shape.isRefusing === true) this.reset();
  }

  /** Both ends of every connection see it break now. */
  reset(): void {
    for (const connection of [...this.from.connections, ...this.to.connections]) {
      if (connection.link === this) connection.reset();
    }
  }

  /** Whether bytes in this direction get nowhere. */
  isCut(isForward: boolean): boolean {
    if (this.from.isDisconnected || this.to.isDisconnected) return true;
    const cut = this.shape?.cut;
    return cut !== undefined && (cut === "both" || (cut === "forward") === isForward);
  }

  /** A draw of the network's own latency, or of another cost on the way. */
  draw(distribution: Distribution): number {
    if (distribution.kind === "constant") return distribution.us;
    this.#latency ??= this.#fork("latency");
    return sample(distribution, this.#latency);
  }

  /** What the present shape adds to a frame's delay; Infinity when each of its copies gets lost. */
  added(shape: LinkShape, frame: Frame): number {
    const { parameters, engine } = this.network;
    let delay = 0;
    if (shape.latency !== undefined) {
      this.#jitter ??= this.#fork("jitter");
      delay += sampleAddedLatency(shape.latency, this.#jitter);
    }
    if (shape.bandwidthBytesPerSecond !== undefined) {
      const busyUntil = (this.#busyUntil ??= [0, 0]);
      const direction = frame.isForward ? 0 : 1;
      const from = Math.max(engine.now, busyUntil[direction]);
      const until = from + Math.ceil((frame.bytes() * 1_000_000) / shape.bandwidthBytesPerSecond);
      busyUntil[direction] = until;
      delay += until - engine.now;
    }
    // An RST is sent once; here it always gets through, else both sides would have to wait for nothing.
    if (shape.lossProbability !== undefined && shape.lossProbability > 0 && frame.kind !== frameKinds.reset) {
      this.#loss ??= this.#fork("loss");
      let wait = parameters.retransmissionUs;
      for (let lost = 0; this.#loss.float() < shape.lossProbability; lost++) {
        if (lost === parameters.retransmissionsMax) return Infinity;
        delay += wait;
        wait *= 2;
      }
    }
    return delay;
  }

  #fork(concern: string): Random {
    return this.network.engine.random.fork(`link ${this.from.id} ${this.to.id} ${concern}`);
  }
}

/** The kinds of events that are frames on a connection. */
export const frameKinds = {
  connect: kindOf("connect"),
  accept: kindOf("accept"),
  refuse: kindOf("refuse"),
  request: kindOf("request"),
  headers: kindOf("headers"),
  message: kindOf("message"),
  end: kindOf("end"),
  cancel: kindOf("cancel"),
  goaway: kindOf("goaway"),
  reset: kindOf("reset"),
  close: kindOf("close"),
  requestsEnd: kindOf("requests end"),
  room: kindOf("room"),
} as const;

/** What crosses a connection at once; it happens when it arrives. */
export class Frame extends SimEvent {
  readonly connection: Connection;
  readonly isForward: boolean;
  /** Whose it is; the client's object stands for the number that a real frame has. */
  readonly stream: unknown;
  readonly message: unknown;
  readonly codec: Codec<unknown> | undefined;
  /** How a call ended, in an `end`. */
  readonly status: RpcError | undefined;
  readonly trailers: Metadata;
  /** Its place in the order of its lane. */
  sequence = -1;
  /** It is in the receiver's socket. */
  hasArrived = false;

  constructor(
    connection: Connection,
    isForward: boolean,
    kind: number,
    stream?: { readonly id: number },
    message?: unknown,
    codec?: Codec<unknown>,
    status?: RpcError,
    trailers?: Metadata,
  ) {
    const { from, to } = connection.link;
    const [sender, receiver] = isForward ? [from, to] : [to, from];
    let payload = Math.imul(sender.node, 0x9e3779b1) ^ connection.port ^ (stream === undefined ? 0 : stream.id << 8);
    if (message !== undefined) payload = hashValue(message, payload);
    if (status !== undefined) payload = hashValue(status.message, hashValue(status.code, payload));
    super(kind, receiver.node, payload);
    this.connection = connection;
    this.isForward = isForward;
    this.stream = stream;
    this.message = message;
    this.codec = codec;
    this.status = status;
    this.trailers = trailers ?? noMetadata;
  }

  fire(): void {
    this.connection.deliver(this);
  }

  /** Its size on a real wire, roughly: HTTP/2 and gRPC add about 80 bytes to a message. */
  bytes(): number {
    return 80 + (this.codec === undefined ? 0 : this.codec.encode(this.message).length);
  }
}

/** One direction of a connection: what was sent first arrives first. */
class Lane {
  sent = 0;
  received = 0;
  /** When the last frame arrives, if nothing is lost. */
  arrivalUs = 0;
  /** What didn't get through. */
  held: Retransmission | undefined;
  /** What got through before something that was sent earlier, by its place in the order. */
  early: Map<number, Frame> | undefined;
  /** What got through without the sender hearing of it. */
  unacknowledged: Retransmission | undefined;
  /** Bytes are missing for ever. */
  isBroken = false;
}

/** A connection between two processes, as TCP gives it: ordered in each direction, and gone for its sides at different times. */
export class Connection {
  readonly link: Link;
  readonly port: number;
  /** Undefined once that side is gone. */
  client: End | undefined;
  server: End | undefined;
  readonly #forward = new Lane();
  readonly #backward = new Lane();
  /** One side has told the other, or is telling it, that the connection is gone. */
  #isNotified = false;

  constructor(link: Link, port: number, client: End) {
    this.link = link;
    this.port = port;
    this.client = client;
  }

  /** Sends a frame, which takes the link's latency and what is spent before and after. */
  send(frame: Frame, before?: Distribution, after?: Distribution): void {
    const { link } = this;
    const { engine, parameters } = link.network;
    const lane = frame.isForward ? this.#forward : this.#backward;
    if (lane.isBroken) return;
    const isAgain = frame.sequence >= 0;
    if (!isAgain && frame.kind !== frameKinds.reset) frame.sequence = lane.sent++;
    let delay = link.draw(parameters.link);
    if (before !== undefined) delay += link.draw(before);
    if (after !== undefined) delay += link.draw(after);
    if (link.shape !== undefined) {
      delay += link.added(link.shape, frame);
      if (delay === Infinity) {
        lane.isBroken = true;
        this.reset(patience(parameters));
        return;
      }
      if (frame.kind === frameKinds.close) delay += link.shape.slowCloseUs ?? 0;
    }
    let at = engine.now + Math.round(delay);
    // What is sent again comes when it comes: the others wait for it.
    if (!isAgain) {
      if (at < lane.arrivalUs) at = lane.arrivalUs;
      else lane.arrivalUs = at;
    }
    engine.at(frame, at);
  }

  /** One side lets go of the connection and tells the other. */
  close(isClient: boolean): void {
    if ((isClient ? this.client : this.server) === undefined) return;
    this.#forget(isClient);
    if (this.#isNotified) return;
    this.#isNotified = true;
    this.send(new Frame(this, isClient, frameKinds.close));
  }

  /** Something between the two breaks the connection: both sides see it after `delayUs`. */
  reset(delayUs = 0): void {
    const { engine } = this.link.network;
    this.#isNotified = true;
    engine.after(new Frame(this, false, frameKinds.reset), delayUs);
    engine.after(new Frame(this, true, frameKinds.reset), delayUs);
  }

  /** A frame has come to the end of its way. */
  deliver(frame: Frame): void {
    const { link } = this;
    const { isForward, kind } = frame;
    const host = isForward ? link.to : link.from;
    const lane = isForward ? this.#forward : this.#backward;
    if (!frame.hasArrived && kind !== frameKinds.reset) {
      if (link.isCut(isForward)) {
        this.#hold(frame);
        return;
      }
      if (link.isCut(!isForward)) this.#awaitAcknowledgement(isForward);
      if (frame.sequence !== lane.received) {
        (lane.early ??= new Map()).set(frame.sequence, frame);
        return;
      }
      lane.received++;
      frame.hasArrived = true;
      const next = lane.early?.get(lane.received);
      if (next !== undefined) {
        lane.early!.delete(lane.received);
        link.network.engine.after(next, 0);
      }
    }
    if (host.process.holds(frame)) return;
    if (kind === frameKinds.connect) {
      this.#connected(host);
      return;
    }
    const end = isForward ? this.server : this.client;
    const loss = losses.get(kind);
    if (end === undefined) {
      // Nobody is here any more: TCP answers with RST.
      if (loss === undefined) this.#sendReset(!isForward);
    } else if (loss !== undefined) {
      this.#forget(!isForward);
      host.process.protect(() => end.lost(loss));
    } else {
      end.receive(frame);
    }
  }

  /** The time for another try has come: at last it gets through, or the connection is given up. */
  retry(retransmission: Retransmission): void {
    const { link } = this;
    const { engine, parameters } = link.network;
    const { isForward, frames, isHeld } = retransmission;
    const lane = isForward ? this.#forward : this.#backward;
    if (!link.isCut(isHeld ? isForward : !isForward)) {
      if (isHeld) lane.held = undefined;
      else lane.unacknowledged = undefined;
      for (const frame of frames) this.send(frame);
    } else if (retransmission.tries < parameters.retransmissionsMax) {
      retransmission.again();
    } else {
      lane.isBroken = true;
      engine.after(new Frame(this, !isForward, frameKinds.reset), 0);
    }
  }

  #hold(frame: Frame): void {
    const lane = frame.isForward ? this.#forward : this.#backward;
    if (lane.held === undefined) {
      lane.held = new Retransmission(this, frame.isForward, true);
      lane.held.again();
    }
    lane.held.frames.push(frame);
  }

  #awaitAcknowledgement(isForward: boolean): void {
    const lane = isForward ? this.#forward : this.#backward;
    if (lane.unacknowledged !== undefined) return;
    lane.unacknowledged = new Retransmission(this, isForward, false);
    lane.unacknowledged.again();
  }

  #connected(host: SimHost): void {
    const isRefusing = this.link.shape?.isRefusing === true || !host.process.isAlive;
    const acceptor = isRefusing ? undefined : host.acceptors.get(this.port);
    if (acceptor === undefined) {
      this.send(new Frame(this, false, frameKinds.refuse));
      return;
    }
    this.server = acceptor.accept(this);
    host.connections.add(this);
    this.send(new Frame(this, false, frameKinds.accept));
  }

  #forget(isClient: boolean): void {
    const { from, to } = this.link;
    if (isClient) this.client = undefined;
    else this.server = undefined;
    // A host that talks to itself has both ends.
    if (this.client === undefined || from !== to) (isClient ? from : to).connections.delete(this);
    if (from === to && (this.client ?? this.server) !== undefined) from.connections.add(this);
  }

  #sendReset(isForward: boolean): void {
    // Sent once and never again: a cut link swallows it, and the next frame provokes another.
    if (this.#isNotified || this.link.isCut(isForward)) return;
    this.#isNotified = true;
    this.send(new Frame(this, isForward, frameKinds.reset));
  }
}

const losses: ReadonlyMap<number, Loss> = new Map([
  [frameKinds.refuse, "refused"],
  [frameKinds.close, "closed"],
  [frameKinds.reset, "reset"],
]);

const retransmitKind = kindOf("retransmit");

/** What a sender does about bytes that nobody acknowledges: it waits, each time twice as long, and sends them again. */
class Retransmission extends SimEvent {
  readonly connection: Connection;
  readonly isForward: boolean;
  /** The bytes themselves are held up, not only their acknowledgement. */
  readonly isHeld: boolean;
  readonly frames: Frame[] = [];
  tries = -1;
  #waitUs: number;

  constructor(connection: Connection, isForward: boolean, isHeld: boolean) {
    const { from, to, network } = connection.link;
    super(retransmitKind, (isForward ? from : to).node, (isForward ? to : from).node);
    this.connection = connection;
    this.isForward = isForward;
    this.isHeld = isHeld;
    this.#waitUs = network.parameters.retransmissionUs;
  }

  again(): void {
    this.tries++;
    this.connection.link.network.engine.after(this, this.#waitUs);
    this.#waitUs *= 2;
  }

  fire(): void {
    this.connection.retry(this);
  }
}

/** How long a sender tries before it gives up a connection. */
function patience({ retransmissionUs, retransmissionsMax }: SimParameters): number {
  let total = 0;
  for (let tries = 0, wait = retransmissionUs; tries <= retransmissionsMax; tries++, wait *= 2) total += wait;
  return total;
}
