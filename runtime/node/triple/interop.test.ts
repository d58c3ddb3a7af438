import {
  Client,
  credentials,
  Metadata,
  Server,
  ServerCredentials,
  status,
  type handleUnaryCall,
  type ServiceError,
} from "@grpc/grpc-js";
import { create } from "@bufbuild/protobuf";
import { afterEach, beforeEach, expect, test } from "vitest";

import { Call } from "../../call/call.ts";
import { metadata } from "../../call/metadata.ts";
import { createServer } from "../../call/server.ts";
import { methodsOf } from "../../call/service.ts";
import { RpcError } from "../../call/status.ts";
import { LookupRequestSchema, Registry } from "../../discovery/proto/registry_pb.ts";
import type { Transport } from "../../ports/transport.ts";
import { systemClock } from "../clock.ts";
import { tripleTransport } from "../triple.ts";

// The other side is @grpc/grpc-js as anybody uses it, so what is proven here holds for any gRPC peer.

const clock = systemClock();
const lookup = methodsOf(Registry).get("lookup")!;
const watch = methodsOf(Registry).get("watch")!;
const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes);

let transport: Transport;
beforeEach(() => {
  transport = tripleTransport({ clock });
});
afterEach(() => transport.close());

const unexpected = async (): Promise<never> => {
  throw new RpcError("not in this test", { code: "UNIMPLEMENTED" });
};
const unused = {
  openSession: unexpected,
  keepAlive: unexpected,
  closeSession: unexpected,
  register: unexpected,
  deregister: unexpected,
};

test("a plain gRPC client calls our server", async () => {
  const seen: Call[] = [];
  const { address } = await createServer({ transport })
    .add(Registry, {
      ...unused,
      lookup: async ({ service }, call) => {
        seen.push(call);
        if (service === "")
          throw new RpcError("no name", { code: "INVALID_ARGUMENT", trailers: metadata({ "x-field": "service" }) });
        return { service, version: 7 };
      },
      async *watch({ service }) {
        yield { service, version: 1 };
        yield { service, version: 2 };
      },
    })
    .listen("127.0.0.1:0");
  const client = new Client(address, credentials.createInsecure());
  const sent = new Metadata();
  sent.set("dubbo.tag", "gray");
  sent.add("x-raw-bin", Buffer.from([0, 1]));
  sent.add("x-raw-bin", Buffer.from([255]));
  const ask = (service: string): Promise<unknown> =>
    new Promise((resolve, reject) => {
      client.makeUnaryRequest(
        lookup.path,
        (message: unknown) => asBuffer(lookup.input.encode(message)),
        lookup.output.decode,
        create(LookupRequestSchema, { service }),
        sent,
        { deadline: Date.now() + 2_000 },
        (error, reply) => (error === null ? resolve(reply) : reject(error)),
      );
    });
  try {
    expect(await ask("orders")).toMatchObject({ service: "orders", version: 7 });
    expect(seen[0]?.metadata.get("dubbo.tag")).toBe("gray");
    expect(seen[0]?.metadata.get("x-raw-bin")).toBe("AAE=,/w==");
    expect([...(seen[0]?.metadata.keys() ?? [])]).toEqual(["dubbo.tag", "x-raw-bin"]);
    expect(seen[0]?.peer).toMatch(/^127\.0\.0\.1:\d+$/);
    const error = (await ask("").catch((e: unknown) => e)) as ServiceError;
    expect(error.code).toBe(status.INVALID_ARGUMENT);
    expect(error.details).toBe("no name");
    expect(error.metadata.get("x-field")).toEqual(["service"]);
    const versions: unknown[] = [];
    const stream = client.makeServerStreamRequest(
      watch.path,
      (message: unknown) => asBuffer(watch.input.encode(message)),
      watch.output.decode as (bytes: Buffer) => { readonly version: number },
      watch.input.create({ service: "orders" }),
    );
    for await (const message of stream) versions.push((message as { readonly version: number }).version);
    expect(versions).toEqual([1, 2]);
  } finally {
    client.close();
  }
});

test("our client calls a plain gRPC server", async () => {
  const server = new Server();
  const headers: Record<string, unknown>[] = [];
  const deadlines: number[] = [];
  const handle: handleUnaryCall<{ readonly service: string }, unknown> = (call, callback) => {
    headers.push(call.metadata.getMap());
    deadlines.push(Number(call.getDeadline()) - Date.now());
    const trailers = new Metadata();
    trailers.set("x-cost", "3");
    if (call.request.service === "") callback({ code: status.ABORTED, details: "50 %", metadata: trailers });
    else callback(null, lookup.output.create({ service: call.request.service, version: 9 }), trailers);
  };
  server.register(
    lookup.path,
    handle,
    (message) => asBuffer(lookup.output.encode(message)),
    (bytes) => lookup.input.decode(bytes) as { readonly service: string },
    "unary",
  );
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  const ask = async (service: string) => {
    const call = new Call({
      clock,
      service: "registry",
      method: lookup.path,
      timeoutUs: 1_500_000,
      metadata: metadata({ "dubbo.tag": "gray", "grpc-timeout": "1n", "x-raw-bin": "AAE=,/w==" }),
    });
    try {
      return await transport.invoke(`127.0.0.1:${port}`, lookup, call, lookup.input.create({ service }));
    } finally {
      call.end();
    }
  };
  try {
    for (let time = 0; time < 2; time++) {
      const response = await ask("orders");
      expect(response.kind === "unary" && response.message).toMatchObject({ service: "orders", version: 9 });
      expect(response.kind === "unary" && [...response.trailers]).toEqual([["x-cost", "3"]]);
    }
    expect(headers[0]).toMatchObject({ "dubbo.tag": "gray", "x-raw-bin": Buffer.from([0, 1]) });
    for (const leftMs of deadlines) {
      expect(leftMs).toBeGreaterThan(500);
      expect(leftMs).toBeLessThanOrEqual(1500);
    }
    const error: unknown = await ask("").catch((e: unknown) => e);
    expect(error).toMatchObject({ code: "ABORTED", message: "50 %", trailers: new Map([["x-cost", "3"]]) });
  } finally {
    server.forceShutdown();
  }
});
