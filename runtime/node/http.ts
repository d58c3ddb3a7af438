import type { Socket } from "node:net";

import type { Clock } from "../ports/clock.ts";
import type { Http, HttpListener, HttpListenOptions } from "../ports/http.ts";
import { listenAt } from "./address.ts";
import { HttpConnections, type HttpLimits } from "./http-connections.ts";
import { acceptorOf, type TlsIdentity } from "./tls.ts";

export interface HttpOptions extends HttpLimits {
  readonly clock: Clock;
  /** Default true: other machines can't connect. */
  readonly isLoopbackOnly?: boolean | undefined;
  /** Mutual TLS: only clients whose certificate the authority has signed. Default none. */
  readonly tls?: TlsIdentity | undefined;
}

/** Connections that one listener holds; more are closed as they come. */
const connectionsMax = 4096;

/** HTTP/1.1 by node:http. */
export function nodeHttp(options: HttpOptions): Http {
  return { listen: (what) => listenHttp(what, options) };
}

async function listenHttp(what: HttpListenOptions, options: HttpOptions): Promise<HttpListener> {
  const { clock, isLoopbackOnly = true, tls } = options;
  const connections = new HttpConnections(what, options);
  /** Those in a handshake included. */
  const sockets = new Set<Socket>();
  const acceptor = acceptorOf(tls, ({ socket }) => connections.accept(socket), ["http/1.1"]);
  acceptor.maxConnections = connectionsMax;
  acceptor.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  const listening = await listenAt(acceptor, what.address, isLoopbackOnly).catch((error: unknown) => {
    connections.close();
    throw error;
  });

  let closed: Promise<void> | undefined;
  const stopListening = (): Promise<void> =>
    (closed ??= new Promise((resolve) => void acceptor.close(() => resolve())));
  const close = (): Promise<void> => {
    const ended = stopListening();
    connections.close();
    for (const socket of sockets) socket.destroy();
    return ended;
  };
  return {
    address: listening,
    drain: async (graceUs) => {
      void stopListening();
      const stopWaiting = clock.after(graceUs, () => void close());
      await connections.drain();
      stopWaiting();
      await close();
    },
    close,
  };
}
