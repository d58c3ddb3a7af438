import { connect, createServer, type AddressInfo, type Socket } from "node:net";

import type { Clock } from "../../ports/clock.ts";
import type { TransportFact } from "../../ports/transport.kit.ts";
import type { Transport } from "../../ports/transport.ts";
import { systemClock } from "../clock.ts";

/** Makes one of the two transports of a world. */
export type MakeTransport = (options: {
  readonly clock: Clock;
  readonly dial?: (address: string) => string;
}) => Transport;

/** Client and server on loopback; the client's connections go through proxies that can reset them. */
export async function inWorld(holds: TransportFact, make: MakeTransport): Promise<void> {
  const clock = systemClock();
  const proxies = new Map<string, Awaited<ReturnType<typeof resettableProxy>>>();
  const client = make({ clock, dial: (address) => proxies.get(address)?.address ?? address });
  const server = make({ clock });
  try {
    await holds({
      clock,
      client,
      server: {
        ...server,
        listen: async (options) => {
          const listener = await server.listen(options);
          if (!proxies.has(listener.address)) proxies.set(listener.address, await resettableProxy(listener.address));
          return listener;
        },
      },
      listenAt: "127.0.0.1:0",
      breakConnections: () => proxies.forEach((proxy) => proxy.reset()),
    });
  } finally {
    await client.close();
    await server.close();
    for (const proxy of proxies.values()) proxy.close();
  }
}

async function resettableProxy(target: string) {
  const sockets = new Set<Socket>();
  const reset = (): void => sockets.forEach((socket) => void socket.resetAndDestroy());
  const [host, port] = target.split(":");
  const acceptor = createServer((near) => {
    const far = connect(Number(port), host);
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(socket);
      socket.pipe(other);
      socket.on("error", () => other.resetAndDestroy());
      socket.on("close", () => sockets.delete(socket));
    }
  });
  await new Promise<void>((resolve) => acceptor.listen(0, "127.0.0.1", resolve));
  const close = (): void => {
    acceptor.close();
    reset();
  };
  return { address: `127.0.0.1:${(acceptor.address() as AddressInfo).port}`, reset, close };
}
