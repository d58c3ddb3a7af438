import { create, fromBinary, toBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { connect, type ClientHttp2Session } from "node:http2";

import { afterEach, beforeEach, expect, test } from "vitest";

import { createServer } from "../../call/server.ts";
import { Health } from "../../health/health.ts";
import type { Transport } from "../../ports/transport.ts";
import { ServerReflectionRequestSchema, ServerReflectionResponseSchema } from "../../reflection/proto/reflection_pb.ts";
import { reflectionPaths } from "../../reflection/reflection.ts";
import { systemClock } from "../clock.ts";
import { tripleTransport } from "../triple.ts";

const clock = systemClock();
let transport: Transport;
let session: ClientHttp2Session;
beforeEach(async () => {
  transport = tripleTransport({ clock, messageBytesMax: 100_000 });
  const { address } = await createServer({ transport, health: new Health() }).listen("127.0.0.1:0");
  session = connect(`http://${address}`).on("error", () => undefined);
});
afterEach(async () => {
  session.destroy();
  await transport.close();
});

type Asked = MessageInitShape<typeof ServerReflectionRequestSchema>;

function framed(bytes: Uint8Array): Buffer {
  const message = Buffer.alloc(5 + bytes.length);
  message.writeUInt32BE(bytes.length, 1);
  message.set(bytes, 5);
  return message;
}
const question = (asked: Asked): Buffer =>
  framed(toBinary(ServerReflectionRequestSchema, create(ServerReflectionRequestSchema, asked)));
const list: Asked = { messageRequest: { case: "listServices", value: "" } };
const symbol = (value: string): Asked => ({ messageRequest: { case: "fileContainingSymbol", value } });

function begin(path = reflectionPaths[0]!, headers: Record<string, string> = {}) {
  const stream = session.request({
    ...{ ":path": path, ":method": "POST", "content-type": "application/grpc", te: "trailers" },
    ...headers,
  });
  const chunks: Buffer[] = [];
  let status = -1;
  const hear = (heard: { readonly [name: string]: unknown }): void => {
    if (heard["grpc-status"] !== undefined) status = Number(heard["grpc-status"]);
  };
  stream
    .on("response", hear)
    .on("trailers", hear)
    .on("error", () => undefined);
  const answers = () => {
    const bytes = Buffer.concat(chunks);
    const all = [];
    for (let at = 0; at + 5 <= bytes.length; at += 5 + bytes.readUInt32BE(at + 1)) {
      const end = at + 5 + bytes.readUInt32BE(at + 1);
      if (end <= bytes.length) all.push(fromBinary(ServerReflectionResponseSchema, bytes.subarray(at + 5, end)));
    }
    return all;
  };
  const read = (): void => void stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  const ended = new Promise<number>((resolve) => stream.on("close", () => resolve(status)));
  return { stream, answers, read, ended };
}

test.each(reflectionPaths)("%s answers question after question on one stream, until its caller ends", async (path) => {
  const { stream, answers, read, ended } = begin(path);
  read();
  stream.write(question(list));
  await expect.poll(answers, { timeout: 10_000 }).toHaveLength(1);
  stream.write(Buffer.concat([question(symbol("grpc.health.v1.Health")), question(symbol("no.Thing"))]));
  await expect.poll(answers, { timeout: 10_000 }).toHaveLength(3);
  stream.end();
  expect(await ended).toBe(0);
  expect(answers().map(({ messageResponse }) => messageResponse.case)).toEqual([
    "listServicesResponse",
    "fileDescriptorResponse",
    "errorResponse",
  ]);
});

test.each<[string, Buffer, number]>([
  ["no question", Buffer.alloc(0), 0],
  ["a question that asks nothing", question({}), 3],
  ["what is no question", framed(Buffer.from([0xff, 0xff, 0xff])), 13],
  ["a question cut off", question(list).subarray(0, 3), 13],
  ["a question that is too large", framed(Buffer.alloc(100_001)), 8],
  ["a question that would be too large in its answer", question(symbol("x".repeat(99_900))), 8],
])("%s ends its stream with a status, and no other", async (_, bytes, status) => {
  const other = begin();
  other.read();
  const { stream, read, ended } = begin();
  read();
  stream.end(bytes);
  expect(await ended).toBe(status);
  other.stream.end(question(list));
  expect(await other.ended).toBe(0);
  expect(other.answers()).toHaveLength(1);
});

test("a caller that asks and never reads is answered as far as its window goes, and its questions wait", async () => {
  const { stream, answers, read, ended } = begin();
  const asked = 1_000;
  stream.end(Buffer.concat(Array.from({ length: asked }, () => question(symbol("grpc.reflection.v1.ErrorResponse")))));
  await expect.poll(() => stream.readableLength, { timeout: 10_000 }).toBeGreaterThan(0);
  await clock.sleep(200_000);
  expect(stream.readableLength).toBeLessThan(300_000);
  read();
  expect(await ended).toBe(0);
  expect(answers()).toHaveLength(asked);
});

test("its deadline ends it", async () => {
  const { read, ended } = begin(reflectionPaths[0], { "grpc-timeout": "50m" });
  read();
  expect(await ended).toBe(4);
});
