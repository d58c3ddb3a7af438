import { createServer, type Http2Server, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { gzipSync } from "node:zlib";

import { afterEach, expect, test } from "vitest";

import { Call } from "../../call/call.ts";
import { metadata } from "../../call/metadata.ts";
import { createServer as createRpcServer } from "../../call/server.ts";
import { methodsOf } from "../../call/service.ts";
import { RpcError } from "../../call/status.ts";
import { Health } from "../../health/health.ts";
import { Health as HealthService } from "../../health/proto/health_pb.ts";
import type { Transport } from "../../ports/transport.ts";
import { systemClock } from "../clock.ts";
import { tripleTransport } from "../triple.ts";

const clock = systemClock();
const { check, watch } = Object.fromEntries(methodsOf(HealthService));
const opened: { close(): unknown }[] = [];
afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one.close();
});

function transportOf(): Transport {
  const transport = tripleTransport({ clock });
  opened.push(transport);
  return transport;
}

const callOf = (): Call => new Call({ clock, service: "", method: check!.path, timeoutUs: 20_000_000 });
const ask = (transport: Transport, address: string, call = callOf(), method = check!, service = "") =>
  transport.invoke(address, method, call, method.input.create({ service }));

/** A server of no scruples: what it answers to a call is up to the test. */
async function server(answer: (stream: ServerHttp2Stream) => void, encoding = "identity"): Promise<string> {
  const http2: Http2Server = createServer();
  const sessions = new Set<{ destroy(): void }>();
  http2.on("session", (session) => void sessions.add(session.on("error", () => undefined)));
  http2.on("stream", (stream) => {
    stream.on("error", () => undefined);
    const fields = { ":status": 200, "content-type": "application/grpc", "grpc-encoding": encoding };
    stream.respond(fields, { waitForTrailers: true });
    answer(stream);
  });
  await new Promise<void>((resolve) => http2.listen(0, "127.0.0.1", resolve));
  opened.push({
    close: () => {
      for (const session of sessions) session.destroy();
      http2.close();
    },
  });
  return `127.0.0.1:${(http2.address() as AddressInfo).port}`;
}

function framed(length: number): Buffer {
  const bytes = Buffer.alloc(5 + length);
  bytes.writeUInt32BE(length, 1);
  return bytes;
}

test("replies whose end never comes hold 64 MiB of a connection, and no more: the others are RESOURCE_EXHAUSTED, and reset", async () => {
  const closed: number[] = [];
  const body = gzipSync(Buffer.alloc(4 * 1024 * 1024));
  const message = Buffer.concat([framed(body.length).subarray(0, 5), body]);
  message[0] = 1;
  const address = await server((stream) => {
    stream.on("close", () => closed.push(stream.rstCode));
    stream.write(message);
  }, "gzip");
  const transport = transportOf();
  const calls = Array.from({ length: 20 }, callOf);
  const failed: RpcError[] = [];
  const asked = calls.map((call) => ask(transport, address, call).catch((error: RpcError) => failed.push(error)));
  // 16 of them hold 64 MiB.
  await expect.poll(() => failed.length, { timeout: 15_000 }).toBe(4);
  expect(failed.map(({ code }) => code)).toEqual(Array(4).fill("RESOURCE_EXHAUSTED"));
  await expect.poll(() => closed, { timeout: 15_000 }).toEqual(Array(4).fill(8));
  // Those that are over make room for others.
  for (const call of calls) call.cancel();
  await Promise.all(asked);
  expect(failed).toHaveLength(20);
  const late = ask(transport, address).catch((error: RpcError) => error.code);
  expect(await Promise.race([late, clock.sleep(300_000).then(() => "waits")])).toBe("waits");
}, 30_000);

test("a second message of a reply ends its call as soon as it is there", async () => {
  const address = await server((stream) => stream.write(Buffer.concat([framed(10), framed(10)])));
  await expect(ask(transportOf(), address)).rejects.toMatchObject({ code: "INTERNAL", message: /more than one/ });
});

test("google.rpc.Status travels both ways as it is, whoever the server is", async () => {
  const details = Buffer.from([8, 9, 18, 2, 0x6e, 0x6f]).toString("base64");
  const foreign = await server((stream) => {
    stream.on("wantTrailers", () => {
      const bare = details.replace(/=+$/, "");
      stream.sendTrailers({ "grpc-status": "9", "grpc-message": "no", "grpc-status-details-bin": bare });
    });
    stream.end();
  });
  const trailers = metadata({ "grpc-status-details-bin": details });
  const health = Object.assign(new Health(), {
    handlers: { check: () => Promise.reject(new RpcError("no", { code: "FAILED_PRECONDITION", trailers })) },
  });
  const transport = transportOf();
  const { address: own } = await createRpcServer({ transport, health }).listen("127.0.0.1:0");
  for (const address of [foreign, own]) {
    const error = (await ask(transport, address).catch((thrown: unknown) => thrown)) as RpcError;
    expect([error.code, error.message]).toEqual(["FAILED_PRECONDITION", "no"]);
    expect([...error.trailers]).toEqual([["grpc-status-details-bin", details]]);
  }
});

test("health on the wire: Check knows its services only; Watch stays open for one that isn't known yet, and hears of leaving", async () => {
  const [health, transport] = [new Health(), transportOf()];
  const listener = await createRpcServer({ transport, health }).listen("127.0.0.1:0");
  await expect(ask(transport, listener.address, callOf(), check, "orders")).rejects.toMatchObject({
    code: "NOT_FOUND",
  });
  const response = await ask(transport, listener.address, callOf(), watch, "orders");
  if (response.kind !== "stream") throw new Error("no stream");
  const statuses = response.messages[Symbol.asyncIterator]();
  const next = async (): Promise<unknown> => (await statuses.next()).value as unknown;
  expect(await next()).toMatchObject({ status: 3 });
  health.set(true, ["orders"]);
  expect(await next()).toMatchObject({ status: 1 });
  health.shutdown();
  expect(await next()).toMatchObject({ status: 2 });
  health.close();
  await listener.drain(20_000_000);
  expect(await statuses.next()).toMatchObject({ done: true });
});
