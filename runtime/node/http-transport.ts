import type { Agent as PlainAgent, IncomingMessage } from "node:http";

import type { Call } from "../call/call.ts";
import { refuseClientStreams, type Method } from "../call/service.ts";
import { RpcError, toRpcError } from "../call/status.ts";
import type { Clock } from "../ports/clock.ts";
import type { HttpListener } from "../ports/http.ts";
import type { Response, Transport } from "../ports/transport.ts";
import type { HttpProtocol, IncomingResponse, OutgoingRequest } from "../protocols/protocol.ts";
import { splitAddress } from "./address.ts";
import { nodeHttp } from "./http.ts";
import { onDemand } from "./on-demand.ts";
import { clientOptionsOf, tlsTrouble, type TlsIdentity } from "./tls.ts";

export interface HttpTransportOptions {
  readonly clock: Clock;
  /** Where an address is really dialled; asked for each call. Default: the address itself. */
  readonly dial?: ((address: string) => string) | undefined;
  /** A larger message, either way, ends its call RESOURCE_EXHAUSTED. Default 4 MiB (gRPC's). */
  readonly messageBytesMax?: number | undefined;
  /** Default true: other machines can't connect. */
  readonly isLoopbackOnly?: boolean | undefined;
  /** Mutual TLS, both as client and as server. Default none. */
  readonly tls?: TlsIdentity | undefined;
}

/** Connections to one address: HTTP/1.1 carries one call on each at a time, the others wait. */
const connectionsMax = 256;
/** A connection that nobody has used for so long is closed: before its server closes it with a call on its way. */
const idleMs = 30_000;

/**
 * A protocol over HTTP/1.1 by node:http: its server is the one that the gateway has (`nodeHttp`), its client keeps connections.
 * Nothing is retried or balanced here. A peer that refuses fails calls with UNAVAILABLE; one that is silent lets them wait until
 * their deadlines.
 */
export function httpTransport(protocol: HttpProtocol, options: HttpTransportOptions): Transport {
  const { clock, dial = (address) => address, messageBytesMax = 4 * 1024 * 1024, isLoopbackOnly = true, tls } = options;
  const http = nodeHttp({ clock, isLoopbackOnly, bodyBytesMax: messageBytesMax, tls });
  const pool = { keepAlive: true, maxSockets: connectionsMax, timeout: idleMs, scheduling: "lifo" } as const;
  const protocolOf = () => (tls === undefined ? onDemand.http() : onDemand.https());
  /** The connections to each address. */
  const agents = new Map<string, PlainAgent>();
  const agentTo = (target: string): PlainAgent => {
    let agent = agents.get(target);
    if (agent === undefined) {
      agent = new (protocolOf().Agent)({ ...pool, ...(tls !== undefined && clientOptionsOf(tls)) });
      agents.set(target, agent);
    }
    return agent;
  };
  const listeners = new Set<HttpListener>();
  const inFlight = new Set<(error: RpcError) => void>();
  let isClosed = false;

  const reasonOf: ReasonOf = (said) => tlsTrouble(said, tls, clock.wallMs());

  const exchange = (target: string, { path, headers, body }: OutgoingRequest, call: Call): Promise<IncomingResponse> =>
    new Promise((resolve, reject) => {
      const { bareHost: host, port } = splitAddress(target);
      const request = protocolOf().request({
        host,
        port,
        agent: agentTo(target),
        method: "POST",
        path,
        headers: { ...headers, "content-length": body.length },
        maxHeaderSize: 64 * 1024,
      });
      // One that waits for a connection, because there are enough, says nothing until it gets one.
      const stop = (error: RpcError): void => {
        request.destroy(error);
        reject(error);
      };
      const leave = call.onCancel(stop);
      inFlight.add(stop);
      const over = (): void => {
        leave();
        inFlight.delete(stop);
      };
      request.once("close", over);
      request.on("error", (error) => reject(lost(target, error, reasonOf)));
      request.once("response", (incoming) => {
        resolve({
          status: incoming.statusCode ?? 0,
          headers: headersOf(incoming),
          body: bodyOf(target, incoming, stop, reasonOf),
        });
      });
      request.end(body);
    });

  return {
    listen: async ({ address, methods }) => {
      const { errorBody } = protocol;
      for (const { method } of methods.values()) refuseClientStreams(method, "HTTP/1.1");
      const listener = await http.listen({ address, handle: protocol.answer({ clock, methods }), errorBody });
      listeners.add(listener);
      return listener;
    },
    invoke: async (
      address: string,
      method: Method<unknown, unknown>,
      call: Call,
      message: unknown,
    ): Promise<Response> => {
      if (isClosed) throw new RpcError("the transport was closed", { code: "UNAVAILABLE" });
      if (call.reason !== undefined) throw call.reason;
      refuseClientStreams(method, "HTTP/1.1");
      const request = protocol.request(method, call, message);
      if (request.body.length > messageBytesMax) {
        throw new RpcError(`a request has at most ${messageBytesMax} bytes`, { code: "RESOURCE_EXHAUSTED" });
      }
      return protocol.response(method, await exchange(dial(address), request, call), messageBytesMax);
    },
    release: (address) => {
      const target = dial(address);
      const agent = agents.get(target);
      if (agent === undefined) return;
      agents.delete(target);
      // Node.js asks this when an answer has come: a connection that isn't kept is closed then.
      Object.assign(agent, { keepSocketAlive: () => false });
      for (const socket of Object.values(agent.freeSockets).flatMap((free) => free ?? [])) socket.destroy();
    },
    close: async () => {
      isClosed = true;
      for (const stop of inFlight) stop(new RpcError("the transport was closed", { code: "UNAVAILABLE" }));
      for (const agent of agents.values()) agent.destroy();
      await Promise.all([...listeners].map((listener) => listener.close()));
      listeners.clear();
    },
  };
}

function headersOf({ headers }: IncomingMessage): Map<string, string> {
  const all = new Map<string, string>();
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) all.set(name, Array.isArray(value) ? value.join(", ") : value);
  }
  return all;
}

/** Read only as fast as somebody asks for it. Who leaves before the end closes the connection. */
async function* bodyOf(
  target: string,
  incoming: IncomingMessage,
  stop: (error: RpcError) => void,
  reasonOf: ReasonOf,
): AsyncGenerator<Uint8Array> {
  let isWhole = false;
  try {
    for await (const chunk of incoming) yield chunk as Uint8Array;
    isWhole = true;
  } catch (error) {
    throw lost(target, error, reasonOf);
  } finally {
    if (!isWhole) stop(new RpcError("the reader left", { code: "CANCELLED" }));
  }
}

/** What TLS had to do with it. */
type ReasonOf = (said: string) => ReturnType<typeof tlsTrouble>;

function lost(target: string, error: unknown, reasonOf: ReasonOf): RpcError {
  if (error instanceof RpcError) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  const reason = reasonOf(`${code ?? ""} ${message}`);
  return new RpcError(`${target}: ${reason?.message ?? code ?? toRpcError(error).message}`, {
    code: "UNAVAILABLE",
    hint: reason?.hint ?? "is a node listening there, and is the network between healthy?",
    cause: error,
  });
}
