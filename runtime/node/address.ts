import type { AddressInfo, Server } from "node:net";

import { RpcError } from "../call/status.ts";

/**
 * Has a server listen at "host:port" and answers where it really does. Rejects with an `RpcError`: UNAVAILABLE when the address
 * is taken, INVALID_ARGUMENT when it is none, or isn't a loopback one and only those are allowed.
 */
export async function listenAt(server: Server, address: string, isLoopbackOnly: boolean): Promise<string> {
  const { host, bareHost, port } = splitAddress(address);
  if (isLoopbackOnly && !isLoopback(host)) {
    throw new RpcError(`${address} can be reached from other machines`, {
      code: "INVALID_ARGUMENT",
      hint: "listen at 127.0.0.1 or [::1]; in a container, --expose allows it",
    });
  }
  await bind(server, { host: bareHost, port, address });
  return `${host}:${(server.address() as AddressInfo).port}`;
}

function bind(
  server: Server,
  { host, port, address }: { readonly host: string; readonly port: number; readonly address: string },
): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => {
      const isTaken = cause.code === "EADDRINUSE";
      reject(
        new RpcError(isTaken ? `${address} is in use` : `can't listen at ${address}`, {
          code: "UNAVAILABLE",
          hint: isTaken ? "stop what listens there, or listen at port 0 for a free one" : cause.message,
          cause,
        }),
      );
    });
    server.listen({ host, port }, () => {
      server.removeAllListeners("error");
      // Such as a lack of file descriptors: this connection fails at its client, the next may not.
      server.on("error", () => undefined);
      resolve();
    });
  });
}

export interface SplitAddress {
  readonly host: string;
  /** The host as sockets take it: an IPv6 one without its brackets. */
  readonly bareHost: string;
  readonly port: number;
}

/** Throws INVALID_ARGUMENT where the text is no "host:port". */
export function splitAddress(address: string): SplitAddress {
  const match = /^(\[[0-9a-fA-F:.]+\]|[^:]+):(\d{1,5})$/.exec(address);
  const port = Number(match?.[2]);
  if (match === null || port > 65535) {
    throw new RpcError(`"${address}" is no address`, { code: "INVALID_ARGUMENT", hint: 'write "127.0.0.1:20880"' });
  }
  const host = match[1]!;
  return { host, bareHost: host.replace(/^\[|\]$/g, ""), port };
}

const isLoopback = (host: string): boolean =>
  /^127\.\d+\.\d+\.\d+$/.test(host) || host === "[::1]" || host === "localhost";
