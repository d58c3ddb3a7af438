import { request as httpsRequest } from "node:https";
import { connect, type Socket } from "node:net";
import { gunzipSync, gzipSync } from "node:zlib";

import fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";

import { metadata } from "../../call/metadata.ts";
import { Call } from "../../call/call.ts";
import { createServer } from "../../call/server.ts";
import { methodsOf } from "../../call/service.ts";
import { RpcError } from "../../call/status.ts";
import { Registry } from "../../discovery/proto/registry_pb.ts";
import { Health } from "../../health/health.ts";
import { ServerReflection } from "../../reflection/proto/reflection_pb.ts";
import type { Listener, Transport } from "../../ports/transport.ts";
import { Authority } from "../authority.ts";
import { systemClock } from "../clock.ts";
import type { TlsIdentity } from "../tls.ts";
import { tripleTransport } from "../triple.ts";

const clock = systemClock();
const lookup = methodsOf(Registry).get("lookup")!;
const watch = methodsOf(Registry).get("watch")!;
const authority = new Authority("ours", clock.wallMs());
const orders = authority.issue({ name: "orders", hosts: ["127.0.0.1"] });
const storefront = authority.issue({ name: "storefront", hosts: ["127.0.0.1"] });

let transport: Transport;
let listener: Listener;
let principal: string | undefined;
let release: (() => void) | undefined;
/** The stream's handler is through. */
let hasReturned: boolean;
const opened: Transport[] = [];
const sockets: Socket[] = [];

async function listen(tls?: TlsIdentity): Promise<void> {
  transport = tripleTransport({ clock, tls, messageBytesMax: 64 * 1024 });
  opened.push(transport);
  const unexpected = (): never => {
    throw new RpcError("not in this test", { code: "UNIMPLEMENTED" });
  };
  listener = await createServer({ transport })
    .add(Registry, {
      ...{ openSession: unexpected, keepAlive: unexpected, closeSession: unexpected },
      ...{ register: unexpected, deregister: unexpected },
      // One message and then silence, or messages for as long as somebody takes them.
      async *watch({ service }) {
        try {
          do yield { service: service === "endless" ? "x".repeat(60_000) : service, version: 1 };
          while (service === "endless");
          await new Promise<void>((resolve) => (release = resolve));
        } finally {
          hasReturned = true;
        }
      },
      lookup: async ({ service }, call) => {
        principal = call.principal;
        if (service === "") {
          const trailers = metadata({ "x-field": "service", "grpc-status-details-bin": details });
          throw new RpcError("no name", { code: "FAILED_PRECONDITION", trailers });
        }
        if (service === "slow") await new Promise<void>((resolve) => (release = resolve));
        return { service: service === "long" ? "x".repeat(5000) : service, version: 7 };
      },
    })
    .listen("127.0.0.1:0");
}
beforeEach(() => {
  release = undefined;
  hasReturned = false;
  return listen();
});
afterEach(async () => {
  release?.();
  for (const socket of sockets.splice(0)) socket.destroy();
  await Promise.all(opened.splice(0).map((one) => one.close()));
});

/** google.rpc.Status: code 9, "no name", one detail of the type t.Why with the bytes 1 2. */
const details = Buffer.from(
  "0809" +
    "1207" +
    "6e6f206e616d65" +
    "1a1f" +
    "0a19" +
    Buffer.from("type.googleapis.com/t.Why").toString("hex") +
    "12020102",
  "hex",
).toString("base64");

const post = (body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}, path = lookup.path) =>
  fetch(`http://${listener.address}${path}`, {
    method: "POST",
    body,
    headers: { "content-type": "application/json", ...headers },
  });

function open(text: string | Buffer = ""): Socket {
  const [host, port] = listener.address.split(":");
  const socket = connect(Number(port), host).on("error", () => undefined);
  sockets.push(socket);
  socket.write(text);
  return socket;
}

/** Everything that the server sends until it closes the connection. */
function raw(text: string | Buffer): Promise<string> {
  const socket = open(text);
  let answer = "";
  socket.setEncoding("latin1").on("data", (data: string) => (answer += data));
  return new Promise((resolve) => socket.once("close", () => resolve(answer)));
}

async function grpcAnswers(): Promise<void> {
  const call = new Call({ clock, service: "", method: lookup.path, timeoutUs: 3_000_000 });
  const response = await transport.invoke(listener.address, lookup, call, lookup.input.create({ service: "orders" }));
  call.end();
  expect(response).toMatchObject({ message: { service: "orders", version: 7 } });
}

test("one port answers gRPC on HTTP/2, and JSON and protobuf on HTTP/1.1", async () => {
  const answer = await post('{"service":"orders"}', { "connect-protocol-version": "1", "connect-timeout-ms": "3000" });
  expect([answer.status, answer.headers.get("content-type")]).toEqual([200, "application/json"]);
  expect(await answer.json()).toEqual({ service: "orders", version: 7 });
  const proto = await post(new Uint8Array([10, 1, 97]), { "content-type": "application/proto" });
  expect(lookup.output.decode(new Uint8Array(await proto.arrayBuffer()))).toMatchObject({ service: "a" });
  await grpcAnswers();
});

test("an error has its code, its details and an HTTP status; its trailers come as headers", async () => {
  const answer = await post("{}");
  expect([answer.status, answer.headers.get("trailer-x-field")]).toEqual([400, "service"]);
  expect(await answer.json()).toEqual({
    code: "failed_precondition",
    message: "no name",
    details: [{ type: "t.Why", value: "AQI" }],
  });
});

test("a deadline that is over is deadline_exceeded, and 504", async () => {
  const answer = await post('{"service":"slow"}', { "connect-timeout-ms": "30" });
  expect([answer.status, await answer.json()]).toEqual([504, expect.objectContaining({ code: "deadline_exceeded" })]);
});

test.each<[string, () => Promise<Response>, number, string]>([
  ["a path that isn't served", () => post("{}", {}, "/t.T/Nothing"), 404, "unimplemented"],
  ["GET", () => fetch(`http://${listener.address}${lookup.path}`), 405, "unimplemented"],
  ["a type that isn't spoken", () => post("a=b", { "content-type": "text/plain" }), 415, "unimplemented"],
  ["a version of the protocol to come", () => post("{}", { "connect-protocol-version": "2" }), 400, "invalid_argument"],
  ["a deadline that is none", () => post("{}", { "connect-timeout-ms": "1e3" }), 400, "invalid_argument"],
  ["no JSON", () => post("{"), 400, "invalid_argument"],
  ["no UTF-8", () => post(new Uint8Array([0x22, 0xff])), 400, "invalid_argument"],
  ["too large a message", () => post(`"${"x".repeat(70_000)}"`), 413, "resource_exhausted"],
  ["a coding that isn't spoken", () => post("{}", { "content-encoding": "br" }), 415, "unimplemented"],
  ["what isn't gzip", () => post("{}", { "content-encoding": "gzip" }), 400, "invalid_argument"],
  [
    "a message that is large behind its compression",
    () => post(new Uint8Array(gzipSync(Buffer.alloc(10_000_000, 32))), { "content-encoding": "gzip" }),
    413,
    "resource_exhausted",
  ],
])("%s is told so in Connect's words", async (_, ask, status, code) => {
  const answer = await ask();
  expect(answer.status).toBe(status);
  expect(await answer.json()).toMatchObject({ code, message: expect.any(String) as string });
});

test("gzip is read, and long answers are written in it for those that take it", async () => {
  const compressed = new Uint8Array(gzipSync('{"service":"long"}'));
  const body = Buffer.from(compressed).toString("latin1");
  const answerTo = async (accepted: string): Promise<[string, Buffer]> => {
    const head = `POST ${lookup.path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n`;
    const own = `content-encoding: gzip\r\naccept-encoding: ${accepted}\r\ncontent-length: ${body.length}\r\n\r\n`;
    const answer = await raw(Buffer.from(head + own + body, "latin1"));
    const at = answer.indexOf("\r\n\r\n");
    return [answer.slice(0, at), Buffer.from(answer.slice(at + 4), "latin1")];
  };
  const [head, bytes] = await answerTo("br, gzip;q=0.5");
  expect(head).toMatch(/^HTTP\/1\.1 200[^]*content-encoding: gzip/i);
  expect(JSON.parse(gunzipSync(bytes).toString())).toMatchObject({ service: "x".repeat(5000) });
  for (const accepted of ["identity", "gzip;q=0, *", "br"]) {
    const [plain, text] = await answerTo(accepted);
    expect(plain).not.toMatch(/content-encoding/i);
    expect(JSON.parse(text.toString())).toMatchObject({ service: "x".repeat(5000) });
  }
});

test("a first byte that comes alone decides as all of them would", async () => {
  const text = `POST ${lookup.path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`;
  for (const cut of [1, 2, 3, 4]) {
    const socket = open(text.slice(0, cut));
    await clock.sleep(20_000);
    socket.write(text.slice(cut));
    const answer = await new Promise<string>((resolve) => socket.once("data", (data) => resolve(String(data))));
    expect(answer).toMatch(/^HTTP\/1\.1 415/);
  }
  // Its preface in pieces, and its SETTINGS: the server's own come back.
  const socket = open("P");
  await clock.sleep(20_000);
  socket.write("RI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
  const bytes = await new Promise<Buffer>((resolve) => socket.once("data", resolve));
  expect(bytes[3]).toBe(4);
});

test.each([
  ["a preface that turns into something else", "PRI * HTTP/1.1\r\n\r\nSM\r\n\r\n"],
  [
    "smuggling",
    `POST ${lookup.path} HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`,
  ],
  ["headers without end", `POST ${lookup.path} HTTP/1.1\r\nhost: x\r\n${"a: b\r\n".repeat(5000)}`],
  ["TLS where there is none", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"],
])("%s ends its connection, and nobody else's", async (_, text) => {
  await raw(text);
  await grpcAnswers();
});

test("whatever bytes come, the next clients of both kinds are served", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({ maxLength: 100 }),
      fc.constantFrom("", "P", "PRI", "PRI *", `POST ${lookup.path} HTTP/1.1\r\n`),
      async (bytes, beginning) => {
        open(Buffer.concat([Buffer.from(beginning), bytes]));
        expect((await post('{"service":"orders"}')).status).toBe(200);
      },
    ),
    { numRuns: 50 },
  );
  await grpcAnswers();
});

test("draining answers what is in flight on HTTP/1.1, and ends idle connections", async () => {
  await post('{"service":"orders"}');
  const idle = raw("");
  const answer = post('{"service":"slow"}');
  while (release === undefined) await clock.sleep(5_000);
  const drained = listener.drain(60_000_000);
  await clock.sleep(50_000);
  release();
  expect(await (await answer).json()).toMatchObject({ service: "slow" });
  await drained;
  await listener.close();
  expect(await idle).toBe("");
});

/** A stream asked for over a connection that the client would keep. */
function watching(service: string, headers: string): Socket {
  const message = Buffer.from(JSON.stringify({ service }));
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  const type = "content-type: application/connect+json\r\n";
  const lines = `POST ${watch.path} HTTP/1.1\r\nhost: x\r\n${type}${headers}content-length: ${head.length + message.length}\r\n\r\n`;
  return open(Buffer.concat([Buffer.from(lines), head, message]));
}

test("draining ends a kept connection with the stream that began before", async () => {
  const closed = new Promise((resolve) => watching("orders", "").resume().once("close", resolve));
  while (release === undefined) await clock.sleep(5_000);
  const drained = listener.drain(60_000_000);
  await clock.sleep(20_000);
  release();
  await drained;
  await closed;
});

test("whoever doesn't read a stream loses it at its deadline, and its handler is let go", async () => {
  const socket = watching("endless", "connect-timeout-ms: 300\r\n");
  const closed = new Promise((resolve) => socket.once("close", resolve));
  await expect.poll(() => hasReturned, { timeout: 10_000 }).toBe(true);
  socket.resume();
  await closed;
});

test("over mutual TLS a client that speaks HTTP/1.1 is known by its certificate, whatever it says in the handshake", async () => {
  await listen(orders);
  const ask = (options: object): Promise<unknown> => {
    const [host, port] = listener.address.split(":");
    const { ca } = storefront;
    return new Promise((resolve, reject) => {
      httpsRequest({ host, port, method: "POST", path: lookup.path, ca, agent: false, ...options }, (response) => {
        response.resume().once("end", () => resolve(response.statusCode));
      })
        .setHeader("content-type", "application/json")
        .on("error", reject)
        .end('{"service":"orders"}');
    });
  };
  const { cert, key } = storefront;
  for (const ALPNProtocols of [["http/1.1"], undefined]) {
    principal = undefined;
    expect(await ask({ cert, key, ALPNProtocols })).toBe(200);
    expect(principal).toBe("storefront");
  }
  await grpcAnswers();
  await expect(ask({})).rejects.toThrow();
});

test("curl hears by its name whether a server serves, and that nobody can stream to it over HTTP/1.1", async () => {
  const health = new Health();
  health.set(true);
  const own = tripleTransport({ clock });
  opened.push(own);
  const { address } = await createServer({ transport: own, health }).listen("127.0.0.1:0");
  const streamed = await createServer({ transport: own })
    .add(ServerReflection, { async *serverReflectionInfo() {} })
    .listen("127.0.0.1:0");
  const post = (at: string, path: string) =>
    fetch(`http://${at}${path}`, { method: "POST", headers: { "content-type": "application/json" }, body: "{}" });
  expect(await (await post(address, "/grpc.health.v1.Health/Check")).json()).toEqual({ status: "SERVING" });
  const answer = await post(streamed.address, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo");
  expect(answer.status).toBe(501);
  expect(await answer.json()).toMatchObject({ code: "unimplemented" });
});
