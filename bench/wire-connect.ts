import { once } from "node:events";
import { createServer } from "node:http2";
import type { AddressInfo } from "node:net";

import { createClient } from "@connectrpc/connect";
import { connectNodeAdapter, createGrpcTransport } from "@connectrpc/connect-node";

import { Worker } from "../services/proto/worker_pb.ts";

/**
 * gRPC as the users of @connectrpc/connect-node have it, on node:http2 without TLS, with the metadata and the deadline of the governed
 * call.
 */
export async function serveConnect(): Promise<string> {
  const adapter = connectNodeAdapter({
    routes: ({ service }) => service(Worker, { do: ({ payload }) => ({ instance: "workers/0", payload }) }),
  });
  const server = createServer((request, response) => adapter(request, response));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

export function callConnect(
  address: string,
  options: { readonly metadata: ReadonlyMap<string, string>; readonly timeoutMs: number },
): (payload: string) => Promise<unknown> {
  const client = createClient(Worker, createGrpcTransport({ baseUrl: `http://${address}` }));
  const { metadata, timeoutMs } = options;
  return (payload) =>
    client.do({ key: "k", payload }, { headers: [...metadata].map(([key, value]) => [key, value]), timeoutMs });
}
