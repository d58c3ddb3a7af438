import { createServer, type AddressInfo } from "node:net";

import {
  Server,
  ServerCredentials,
  status,
  type handleBidiStreamingCall,
  type handleUnaryCall,
  type ServerDuplexStream,
} from "@grpc/grpc-js";
import { afterEach, expect, test } from "vitest";

import { Call } from "../../call/call.ts";
import type { RpcError } from "../../call/status.ts";
import { ManualClock } from "../../testing/clock.ts";
import { systemClock } from "../clock.ts";
import { GrpcConnection, grpcAddress, type GrpcConnectionOptions } from "./grpc-connection.ts";
import { decodePayload, encodePayload, type Payload } from "./payload.ts";

const clock = systemClock();
const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const asItIs = (bytes: Buffer): Buffer => bytes;

/** The two methods of a Nacos server, by @grpc/grpc-js: it takes a connection up with the second question about its health. */
class ScriptedNacos {
  readonly heard: Payload[] = [];
  address = "";
  /** The server's side of the latest connection. */
  stream: ServerDuplexStream<Buffer, Buffer> | undefined;
  /** Answers what isn't about the connection itself; undefined: never. */
  answer: (request: Payload) => Payload | Buffer | undefined = () => ok("AnyResponse");
  readonly #server: Server;
  #healthChecks = 0;

  private constructor(streamsMax: number) {
    this.#server = new Server({ "grpc.max_concurrent_streams": streamsMax });
  }

  static async start({ streamsMax = 100 } = {}): Promise<ScriptedNacos> {
    const nacos = new ScriptedNacos(streamsMax);
    const unary: handleUnaryCall<Buffer, Buffer> = ({ request }, reply) => {
      const answer = nacos.#answerTo(decodePayload(request));
      if (answer !== undefined) reply(null, Buffer.isBuffer(answer) ? answer : encodePayload(answer));
    };
    const streaming: handleBidiStreamingCall<Buffer, Buffer> = (stream) => {
      nacos.stream = stream;
      stream.on("data", (bytes: Buffer) => nacos.heard.push(decodePayload(bytes)));
      stream.on("error", () => undefined);
      stream.on("end", () => stream.end());
    };
    nacos.#server.register("/Request/request", unary, asItIs, asItIs, "unary");
    nacos.#server.register("/BiRequestStream/requestBiStream", streaming, asItIs, asItIs, "bidi");
    const port = await new Promise<number>((resolve, reject) =>
      nacos.#server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      ),
    );
    nacos.address = `127.0.0.1:${port}`;
    closing.push(() => nacos.stop());
    return nacos;
  }

  push(payload: Payload | Buffer): void {
    this.stream!.write(Buffer.isBuffer(payload) ? payload : encodePayload(payload));
  }

  stop(): void {
    this.#server.forceShutdown();
  }

  #answerTo(request: Payload): Payload | Buffer | undefined {
    this.heard.push(request);
    if (request.type === "ServerCheckRequest") return ok("ServerCheckResponse");
    if (request.type !== "HealthCheckRequest") return this.answer(request);
    if (++this.#healthChecks > 1) return ok("HealthCheckResponse");
    return { type: "ErrorResponse", body: { resultCode: 500, errorCode: 301, message: "Connection is unregistered." } };
  }
}

const ok = (type: string, more: object = {}): Payload => ({ type, body: { resultCode: 200, ...more } });

const caller = (): Call => new Call({ clock, service: "nacos", method: "" });

/** Opens it; `ended` resolves with its end. */
async function open(
  address: string,
  options: Partial<GrpcConnectionOptions> = {},
): Promise<{ readonly connection: GrpcConnection; readonly ended: Promise<void> }> {
  const { promise: ended, resolve: onEnd } = Promise.withResolvers<void>();
  const common = { clock, address, target: address, namespace: "blue", module: "naming" as const };
  const connection = await GrpcConnection.open({ ...common, onRequest: () => undefined, onEnd, ...options }, caller());
  closing.push(() => connection.close());
  return { connection, ended };
}

const until = async (isSo: () => boolean): Promise<void> => {
  while (!isSo()) await clock.sleep(2_000);
};

test("it checks the server, says who it is, and is open once the server has taken it up", async () => {
  const nacos = await ScriptedNacos.start();
  await open(nacos.address);
  const [first, ...others] = nacos.heard.map(({ type }) => type);
  expect(first).toBe("ServerCheckRequest");
  expect(others.toSorted()).toEqual(["ConnectionSetupRequest", "HealthCheckRequest", "HealthCheckRequest"]);
  const { body } = nacos.heard.find(({ type }) => type === "ConnectionSetupRequest")!;
  expect(body).toMatchObject({ tenant: "blue", labels: { source: "sdk", module: "naming" } });
});

test("what a server or a proxy before it doesn't take at a time waits for its turn, and no longer than it may", async () => {
  const nacos = await ScriptedNacos.start({ streamsMax: 3 });
  const { connection } = await open(nacos.address);
  nacos.answer = ({ type }) => ok(`${type} answered`);
  const types = Array.from({ length: 20 }, (_, index) => `Request ${index}`);
  await Promise.all(types.map((type) => connection.request(type, {})));
  nacos.answer = () => undefined;
  // Those that wait for a turn are over before there is one: Node's server refuses who takes a place at the moment that it gets free.
  const waiting = types.slice(0, 5).map((type, index) => connection.request(type, {}, index < 3 ? 900 : 300));
  const codes = await Promise.all(waiting.map((answer) => answer.catch(({ code }: RpcError) => code)));
  expect(codes).toEqual(Array(5).fill("DEADLINE_EXCEEDED"));
  const late = types.slice(0, 5).map((type) => connection.request(type, {}));
  connection.close();
  const ends = await Promise.all(late.map((answer) => answer.catch(({ code }: RpcError) => code)));
  expect(ends).toEqual(Array(5).fill("UNAVAILABLE"));
});

test("many requests at a time get each its own answer, large ones too", async () => {
  const nacos = await ScriptedNacos.start();
  const { connection } = await open(nacos.address);
  nacos.answer = ({ body }) => ok("EchoResponse", { echo: body["text"] });
  const texts = Array.from({ length: 200 }, (_, index) => String(index).padEnd(index === 100 ? 1_000_000 : 10, "x"));
  const answers = await Promise.all(texts.map((text) => connection.request("EchoRequest", { text })));
  expect(answers.map(({ echo }) => echo)).toEqual(texts);
});

test("what the server asks is told, and acknowledged by its number", async () => {
  const nacos = await ScriptedNacos.start();
  const asked: Payload[] = [];
  await open(nacos.address, { onRequest: (payload) => void asked.push(payload) });
  const push = { type: "NotifySubscriberRequest", body: { requestId: "7", serviceInfo: { name: "orders" } } };
  nacos.push(push);
  nacos.push({ type: "ClientDetectionRequest", body: { requestId: "8" } });
  const acks = (): readonly Payload[] => nacos.heard.filter(({ body }) => body["success"] === true);
  await until(() => acks().length === 2);
  expect(asked[0]).toEqual(push);
  expect(acks().map(({ type, body }) => `${type} ${String(body["requestId"])}`)).toEqual([
    "NotifySubscriberResponse 7",
    "ClientDetectionResponse 8",
  ]);
});

test.each([
  [400, "INVALID_ARGUMENT"],
  [403, "PERMISSION_DENIED"],
  [30001, "UNAVAILABLE"],
])("the server's error %i is %s", async (errorCode, code) => {
  const nacos = await ScriptedNacos.start();
  const { connection } = await open(nacos.address);
  nacos.answer = () => ({ type: "ErrorResponse", body: { resultCode: 500, errorCode, message: "no" } });
  await expect(connection.request("InstanceRequest", {})).rejects.toMatchObject({
    code,
    message: `Nacos refuses InstanceRequest: no (${errorCode})`,
  });
});

test("an answer that is no payload is an error of that request alone", async () => {
  const nacos = await ScriptedNacos.start();
  const { connection } = await open(nacos.address);
  nacos.answer = () => Buffer.from([0x12, 0xff]);
  await expect(connection.request("InstanceRequest", {})).rejects.toMatchObject({ code: "INTERNAL" });
  nacos.answer = () => ok("InstanceResponse");
  await expect(connection.request("InstanceRequest", {})).resolves.toEqual({ resultCode: 200 });
});

test("a request that isn't answered in time fails, and the connection lives on", async () => {
  const nacos = await ScriptedNacos.start();
  const { connection } = await open(nacos.address);
  nacos.answer = ({ type }) => (type === "SlowRequest" ? undefined : ok("QuickResponse"));
  await expect(connection.request("SlowRequest", {}, 20)).rejects.toMatchObject({ code: "DEADLINE_EXCEEDED" });
  await expect(connection.request("QuickRequest", {})).resolves.toEqual({ resultCode: 200 });
});

test.each<[string, (nacos: ScriptedNacos, connection: GrpcConnection) => unknown]>([
  ["its owner closes it", (_, connection) => connection.close()],
  ["the server goes", (nacos) => nacos.stop()],
  ["the server ends its stream", (nacos) => nacos.stream!.end()],
  ["the server's stream fails", (nacos) => nacos.stream!.emit("error", { code: status.INTERNAL, details: "no" })],
  ["the server asks for a reset", (nacos) => nacos.push({ type: "ConnectResetRequest", body: { requestId: "1" } })],
  ["the server sends what is no payload", (nacos) => nacos.push(Buffer.from([0x12, 0xff]))],
])("it ends when %s: what waits fails, what comes later too, and its owner hears of it", async (_, end) => {
  const nacos = await ScriptedNacos.start();
  const { connection, ended } = await open(nacos.address);
  nacos.answer = () => undefined;
  const waiting = connection.request("SlowRequest", {}).catch((error: unknown) => error);
  await until(() => nacos.heard.some(({ type }) => type === "SlowRequest"));
  end(nacos, connection);
  expect(await waiting).toMatchObject({ code: "UNAVAILABLE" });
  await ended;
  await expect(connection.request("LateRequest", {})).rejects.toMatchObject({
    code: "UNAVAILABLE",
    message: `the connection to ${nacos.address} has ended`,
  });
});

test("where nobody listens it says at once that it can't be reached, and which port that is", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  await new Promise((resolve) => server.close(resolve));
  await expect(open(address)).rejects.toMatchObject({
    code: "UNAVAILABLE",
    message: expect.stringContaining(`${address} can't be reached over gRPC`) as string,
    hint: expect.stringContaining("port 1000 above") as string,
  });
});

test("a server that accepts and never says anything is given up after 3 s", async () => {
  const virtual = new ManualClock();
  const accepted = Promise.withResolvers<void>();
  const server = createServer((socket) => void socket.on("error", () => undefined).on("data", accepted.resolve));
  server.listen(0, "127.0.0.1");
  closing.push(() => server.close());
  await new Promise((resolve) => server.once("listening", resolve));
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  let isOver = false;
  const outcome = open(address, { clock: virtual })
    .catch((error: unknown) => error)
    .finally(() => (isOver = true));
  await accepted.promise;
  await virtual.advance(2_900_000);
  expect(isOver).toBe(false);
  await virtual.advance(200_000);
  expect(await outcome).toMatchObject({ code: "DEADLINE_EXCEEDED" });
});

test("who stops waiting for it leaves nothing open", async () => {
  const nacos = await ScriptedNacos.start();
  const parent = caller();
  const { promise: ended, resolve: onEnd } = Promise.withResolvers<void>();
  const common = {
    clock,
    address: nacos.address,
    target: nacos.address,
    namespace: "public",
    module: "config" as const,
  };
  const opening = GrpcConnection.open({ ...common, onRequest: () => undefined, onEnd }, parent);
  parent.cancel();
  await expect(opening).rejects.toMatchObject({ code: "CANCELLED" });
  await ended;
});

test("what ends with a connection that never was isn't told as its reason", async () => {
  const parent = caller();
  const address = "127.0.0.1:1";
  const common = { clock, address, target: address, namespace: "public", module: "naming" as const };
  const opening = GrpcConnection.open({ ...common, onRequest: () => undefined, onEnd: () => parent.cancel() }, parent);
  await expect(opening).rejects.toMatchObject({
    code: "UNAVAILABLE",
    message: expect.stringContaining(`${address} can't be reached over gRPC`) as string,
  });
});

test("gRPC is 1000 ports above HTTP", () => {
  expect(grpcAddress("127.0.0.1:8848")).toBe("127.0.0.1:9848");
  expect(grpcAddress("[::1]:8848")).toBe("[::1]:9848");
});
