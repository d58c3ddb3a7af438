import { connect, createServer, type AddressInfo, type Socket } from "node:net";

import { systemClock } from "../clock.ts";
import { clientPreface, frame, FrameReader, frameTypes } from "./frames.ts";
import { HpackDecoder } from "./hpack/decoder.ts";
import { encodeFields } from "./hpack/encoder.ts";
import { Http2Session, type Http2Options, type SessionEvents } from "./session.ts";
import { writeSettings } from "./settings.ts";
import type { Http2Stream, StreamEvents } from "./stream.ts";

const clock = systemClock();

/** A frame as a raw peer saw it. */
export interface SeenFrame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly payload: Buffer;
}

/** For tests: the other end of a connection, that sends whatever it is told to and understands no more than frames. */
export class RawPeer {
  readonly seen: SeenFrame[] = [];
  readonly socket: Socket;
  isClosed = false;
  #wake = (): void => undefined;

  constructor(socket: Socket, ignoredBytes = 0) {
    this.socket = socket;
    let toIgnore = ignoredBytes;
    const reader = new FrameReader((type, flags, streamId, payload) => {
      this.seen.push({ type, flags, streamId, payload: Buffer.from(payload) });
    });
    socket.on("data", (chunk: Buffer) => {
      const skipped = Math.min(toIgnore, chunk.length);
      toIgnore -= skipped;
      reader.push(chunk.subarray(skipped));
      this.#wake();
    });
    socket.on("error", () => undefined);
    for (const event of ["end", "close"]) {
      socket.on(event, () => {
        this.isClosed = true;
        this.#wake();
      });
    }
  }

  send(...frames: readonly Uint8Array[]): void {
    this.socket.write(Buffer.concat(frames));
  }

  /** The first frame, seen or yet to come, that is so; rejects when the connection ends without one, or after 3 s. */
  async frame(isIt: (seen: SeenFrame) => boolean): Promise<SeenFrame> {
    let found: SeenFrame | undefined;
    await this.#until(() => (found = this.seen.find(isIt)) !== undefined || this.isClosed);
    if (found !== undefined) return found;
    throw new Error(`it closed after ${this.#latest}`);
  }

  /** Resolves when the other side has ended the connection. */
  closed(): Promise<void> {
    return this.#until(() => this.isClosed);
  }

  get #latest(): string {
    const latest = this.seen.slice(-5).map(({ type, flags, streamId, payload }) => {
      return `${type}/${flags} of ${streamId}: ${payload.subarray(0, 40).toString("hex")}`;
    });
    return `${this.seen.length} frames: … ${latest.join(", ")}`;
  }

  async #until(isSo: () => boolean): Promise<void> {
    const untilUs = clock.nowUs() + 3_000_000;
    while (!isSo()) {
      if (clock.nowUs() > untilUs) throw new Error(`nothing came after ${this.#latest}`);
      await new Promise<void>((resolve) => {
        const stop = clock.after(100_000, resolve);
        this.#wake = () => (stop(), resolve());
      });
    }
  }

  /** The code of the GOAWAY with which the connection ends. */
  async goaway(): Promise<number> {
    const { payload } = await this.frame(({ type }) => type === frameTypes.goaway);
    return payload.readUInt32BE(4);
  }

  /** The code of the RST_STREAM. */
  async reset(id: number): Promise<number> {
    const { payload } = await this.frame(({ type, streamId }) => type === frameTypes.rstStream && streamId === id);
    return payload.readUInt32BE();
  }

  /** Resolves when everything that was sent before has been dealt with. */
  async settled(): Promise<void> {
    const payload = Buffer.alloc(8);
    payload.writeUInt32BE(++pings);
    this.send(frame(frameTypes.ping, 0, 0, payload));
    await this.frame(
      ({ type, flags, payload: back }) => type === frameTypes.ping && flags === 1 && back.equals(payload),
    );
  }

  /** The data of a stream so far. */
  data(id: number): Buffer {
    const parts = this.seen.filter(({ type, streamId }) => type === frameTypes.data && streamId === id);
    return Buffer.concat(parts.map(({ payload }) => payload));
  }

  /** Field sections of a stream so far. */
  fields(id: number): readonly (readonly string[])[] {
    const decoder = new HpackDecoder({ listBytesMax: 1 << 20 });
    const blocks: Buffer[] = [];
    const lists: (readonly string[])[] = [];
    for (const { type, flags, streamId, payload } of this.seen) {
      if (type !== frameTypes.headers && type !== frameTypes.continuation) continue;
      blocks.push(payload);
      if (!(flags & 4)) continue;
      const { list } = decoder.decode(Buffer.concat(blocks.splice(0)));
      if (streamId === id) lists.push(list);
    }
    return lists;
  }
}

let pings = 0;

export const emptySettings = frame(frameTypes.settings, 0, 0);
export const settingsFrame = (...entries: [number, number][]): Buffer =>
  frame(frameTypes.settings, 0, 0, writeSettings(entries));
export const beginning = Buffer.concat([clientPreface, emptySettings]);
export const requestList = [":method", "POST", ":scheme", "http", ":path", "/t.T/Echo", ":authority", "here"] as const;
export const block = (...list: string[]): Buffer => encodeFields(list).bytes;
export const requestBlock = block(...requestList);

export interface TestServer {
  readonly port: number;
  readonly sessions: Http2Session[];
  readonly streams: { readonly stream: Http2Stream; readonly list: readonly string[]; resets: number[] }[];
  /** A raw client of it. */
  open(...sent: Uint8Array[]): Promise<RawPeer>;
  close(): void;
}

/** For tests: a server whose streams answer with what they are sent, fields first, trailers last. */
export async function echoServer(options: Partial<Http2Options> = {}, echoes = true): Promise<TestServer> {
  const sessions: Http2Session[] = [];
  const streams: TestServer["streams"] = [];
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    const session: Http2Session = new Http2Session(
      socket,
      false,
      { clock, ...options },
      sessionEvents({
        onStream: (stream, { list }, isEnd) => {
          const record = { stream, list, resets: [] as number[] };
          streams.push(record);
          stream.events = streamEvents({
            onFields: () => echoes && stream.trailers({ block: encodeFields(["x-end", "1"]), list: [] }),
            onData: (bytes, isLast) => {
              if (!echoes) return;
              stream.consumed(bytes.length);
              // What is lent can't wait for room.
              stream.data(Buffer.from(bytes));
              if (isLast) stream.trailers({ block: encodeFields(["x-end", "1"]), list: [] });
            },
            onReset: ({ code }) => void record.resets.push(code),
          });
          if (!echoes) return;
          stream.fields({ block: encodeFields([":status", "200"]), list: [] });
          if (isEnd) stream.trailers({ block: encodeFields(["x-end", "1"]), list: [] });
        },
      }),
    );
    sessions.push(session);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    port,
    sessions,
    streams,
    open: async (...sent) => {
      const socket = connect({ port, host: "127.0.0.1", noDelay: true });
      sockets.push(socket);
      const peer = new RawPeer(socket);
      await new Promise<void>((resolve) => socket.once("connect", () => resolve()));
      if (sent.length > 0) peer.send(...sent);
      return peer;
    },
    close: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

/** For tests: one of our clients, and a raw server at its other end. */
export async function clientOf(events: Partial<SessionEvents> = {}, options: Partial<Http2Options> = {}) {
  let accept: (peer: RawPeer) => void;
  const accepted = new Promise<RawPeer>((resolve) => (accept = resolve));
  const server = createServer((socket) => accept(new RawPeer(socket, clientPreface.length)));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
  const session = new Http2Session(socket, true, { clock, ...options }, sessionEvents(events));
  const peer = await accepted;
  const close = (): void => {
    socket.destroy();
    peer.socket.destroy();
    server.close();
  };
  return { session, peer, socket, close };
}

const nothing = (): void => undefined;

export const sessionEvents = (events: Partial<SessionEvents>): SessionEvents => ({
  onReady: nothing,
  onGoaway: nothing,
  onRoom: nothing,
  onStream: nothing,
  onClosed: nothing,
  ...events,
});

/** Those that aren't given do nothing. */
export const streamEvents = (events: {
  readonly [Name in keyof StreamEvents]?: (...input: Parameters<StreamEvents[Name]>) => unknown;
}): StreamEvents => ({ onFields: nothing, onData: nothing, onReset: nothing, onDrain: nothing, ...events });
