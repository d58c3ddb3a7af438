import { createServer, type AddressInfo, type Server, type Socket } from "node:net";

import { FrameReader } from "../zookeeper/connection.ts";
import { JuteReader, JuteWriter } from "../zookeeper/jute.ts";

/** For tests: a ZooKeeper that does what no real one does on demand. It lies, forgets, falls silent, and refuses. */
export class HostileServer {
  readonly #server: Server;
  readonly sockets: Socket[] = [];
  /** What clients sent to take up a session. */
  readonly handshakes: { readonly lastZxid: bigint; readonly session: bigint }[] = [];
  /** Requests after that: [xid, type]. */
  readonly requests: [number, number][] = [];
  timeoutMs = 600;
  onHandshake: (socket: Socket, session: bigint) => void = (socket, session) => this.accept(socket, session);
  onRequest: (socket: Socket, xid: number, type: number) => void = (socket, xid) => this.reply(socket, xid);

  private constructor() {
    this.#server = createServer((socket) => this.#serve(socket));
  }

  static async start(): Promise<HostileServer> {
    const server = new HostileServer();
    await new Promise<void>((resolve) => server.#server.listen(0, "127.0.0.1", resolve));
    return server;
  }

  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  accept(socket: Socket, session: bigint): void {
    const id = session === 0n ? BigInt(this.handshakes.length) : session;
    socket.write(new JuteWriter().int(0).int(this.timeoutMs).long(id).buffer(new Uint8Array(16)).bool(false).frame());
  }

  expire(socket: Socket): void {
    socket.write(new JuteWriter().int(0).int(0).long(0n).buffer(new Uint8Array(16)).bool(false).frame());
  }

  /** A reply without content, at a state. */
  reply(socket: Socket, xid: number, { zxid = 1n, error = 0 } = {}): void {
    socket.write(new JuteWriter().int(xid).long(zxid).int(error).frame());
  }

  close(): void {
    this.#server.close();
    for (const socket of this.sockets) socket.destroy();
  }

  #serve(socket: Socket): void {
    this.sockets.push(socket);
    socket.on("error", () => undefined);
    const frames = new FrameReader();
    let isFirst = true;
    socket.on("data", (chunk) => {
      frames.push(chunk);
      for (let frame = frames.next(); frame !== undefined; frame = frames.next()) {
        const reader = new JuteReader(frame);
        if (isFirst) {
          isFirst = false;
          reader.int();
          const lastZxid = reader.long();
          reader.int();
          const session = reader.long();
          this.handshakes.push({ lastZxid, session });
          this.onHandshake(socket, session);
        } else {
          const [xid, type] = [reader.int(), reader.int()];
          this.requests.push([xid, type]);
          this.onRequest(socket, xid, type);
        }
      }
    });
  }
}
