import { connect, type Socket } from "node:net";

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import type { Listener, Transport } from "../runtime/ports/transport.ts";
import { createServer } from "../runtime/call/server.ts";
import { httpJson } from "../runtime/protocols/http-json.ts";
import { jsonRpc } from "../runtime/protocols/json-rpc.ts";
import type { HttpProtocol } from "../runtime/protocols/protocol.ts";
import { Worker } from "./proto/worker_pb.ts";
import { systemClock } from "../runtime/node/clock.ts";
import { httpTransport } from "../runtime/node/http-transport.ts";

const clock = systemClock();
const path = "/flyball.worker.v1.Worker";
let transport: Transport;
let listener: Listener;
const sockets: Socket[] = [];

async function listen(protocol: HttpProtocol): Promise<void> {
  transport = httpTransport(protocol, { clock, messageBytesMax: 256 * 1024 });
  const server = createServer({ transport }).add(Worker, {
    do: async ({ key, payload }) => ({ instance: key, payload }),
    async *stream({ count }) {
      for (let index = 0; index < count; index++) yield { instance: "w", payload: String(index) };
    },
  });
  listener = await server.listen("127.0.0.1:0");
}
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await transport.close();
});

const post = (where: string, body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}) =>
  fetch(`http://${listener.address}${where}`, {
    method: "POST",
    body,
    headers: { "content-type": "application/json", ...headers },
  });

/** What the server answers to these bytes until it closes the connection. */
function raw(text: string): Promise<string> {
  const [host, port] = listener.address.split(":");
  const socket = connect(Number(port), host);
  sockets.push(socket);
  let answer = "";
  socket.setEncoding("utf8").on("data", (data: string) => (answer += data));
  socket.on("error", () => undefined);
  socket.write(text);
  return new Promise((resolve) => socket.once("close", () => resolve(answer)));
}

describe("plain HTTP", () => {
  beforeEach(() => listen(httpJson));

  test("curl is answered: JSON in, JSON out, and a status that HTTP tools understand", async () => {
    const answer = await post(`${path}/Do`, '{"key":"u7","payload":"没有"}');
    expect([answer.status, await answer.json()]).toEqual([200, { instance: "u7", payload: "没有" }]);
    expect((await post(`${path}/Do`, "")).status).toBe(200);
  });

  test("protobuf is answered in protobuf", async () => {
    const answer = await post(`${path}/Do`, Uint8Array.of(0x0a, 0x02, 0x75, 0x37), {
      "content-type": "application/proto",
    });
    expect(answer.headers.get("content-type")).toBe("application/proto");
    expect([...new Uint8Array(await answer.arrayBuffer())]).toEqual([0x0a, 0x02, 0x75, 0x37]);
  });

  test.each<[string, () => Promise<Response>, number, RegExp]>([
    ["another path", () => post("/nobody", "{}"), 404, /unimplemented.*POST \/flyball/s],
    ["GET", () => fetch(`http://${listener.address}${path}/Do`), 405, /POST/],
    [
      "no content type of ours",
      () => post(`${path}/Do`, "{}", { "content-type": "text/plain" }),
      415,
      /application\/json/,
    ],
    ["no JSON", () => post(`${path}/Do`, "{"), 400, /malformed/],
    ["a field that isn't there", () => post(`${path}/Do`, '{"kye":1}'), 400, /kye/],
    ["no deadline", () => post(`${path}/Do`, "{}", { "connect-timeout-ms": "soon" }), 400, /milliseconds/],
    ["too much", () => post(`${path}/Do`, `{"key":"${"x".repeat(300_000)}"}`), 413, /at most/],
    [
      "an envelope that lies",
      () => post(`${path}/Stream`, "\0\xff\xff\xff\xffx", { "content-type": "application/connect+json" }),
      400,
      /envelope/,
    ],
  ])("%s is told what is wrong", async (_, ask, status, says) => {
    const answer = await ask();
    expect(answer.status).toBe(status);
    expect(await answer.text()).toMatch(says);
  });

  test.each<[string, string]>([
    ["two lengths", `POST ${path}/Do HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 40\r\n\r\n{}`],
    [
      "a length beside chunks",
      `POST ${path}/Do HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n`,
    ],
    ["an encoding of no kind", `POST ${path}/Do HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`],
    ["a header name with a space", `POST ${path}/Do HTTP/1.1\r\nHost: x\r\nContent-Length : 2\r\n\r\n{}`],
    ["a chunk of no number", `POST ${path}/Do HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n\r\n`],
  ])("smuggling by %s is refused, and the connection closed", async (_, text) => {
    const answer = await raw(text);
    expect(answer).toMatch(/^HTTP\/1.1 400/);
    expect(answer.match(/HTTP\/1.1 /g)).toHaveLength(1);
    expect((await post(`${path}/Do`, "{}")).status).toBe(200);
  });

  test("headers without end are refused", async () => {
    expect(await raw(`POST ${path}/Do HTTP/1.1\r\nHost: x\r\nX: ${"x".repeat(100_000)}\r\n\r\n`)).toMatch(
      /^HTTP\/1.1 431/,
    );
    expect((await post(`${path}/Do`, "{}")).status).toBe(200);
  });
});

describe("JSON-RPC over HTTP", () => {
  beforeEach(() => listen(jsonRpc));

  const ask = async (body: unknown, where = path) => (await post(where, JSON.stringify(body))).json();

  test("params by name, by position, as one message, and none", async () => {
    const result = { instance: "u7", payload: "p" };
    for (const params of [{ key: "u7", payload: "p" }, ["u7", "p"], [{ key: "u7", payload: "p" }]]) {
      expect(await ask({ jsonrpc: "2.0", id: 1, method: "Do", params })).toEqual({ jsonrpc: "2.0", id: 1, result });
    }
    expect(await ask({ jsonrpc: "2.0", id: 1, method: "Do" })).toEqual({ jsonrpc: "2.0", id: 1, result: {} });
    expect(await ask({ jsonrpc: "2.0", id: 1, method: "flyball.worker.v1.Worker/Do" }, "/")).toMatchObject({
      result: {},
    });
  });

  test.each<[string, unknown, number]>([
    ["a method that isn't there", { jsonrpc: "2.0", id: 1, method: "Dow" }, -32601],
    ["a method of the specification's own", { jsonrpc: "2.0", id: 1, method: "rpc.Do" }, -32601],
    ["params of no field", { jsonrpc: "2.0", id: 1, method: "Do", params: { kye: 1 } }, -32602],
    ["more params than fields", { jsonrpc: "2.0", id: 1, method: "Do", params: ["a", "b", "c"] }, -32602],
    ["a param of the wrong type", { jsonrpc: "2.0", id: 1, method: "Do", params: [7] }, -32602],
    ["a stream where one answer is wanted", { jsonrpc: "2.0", id: 1, method: "Stream" }, -32009],
  ])("%s", async (_, body, code) => {
    expect(await ask(body)).toMatchObject({ error: { code } });
  });

  test("notifications alone are answered 204, and another verb 405", async () => {
    expect((await post(path, '{"jsonrpc":"2.0","method":"Do"}')).status).toBe(204);
    expect((await fetch(`http://${listener.address}${path}`)).status).toBe(405);
  });

  test("a stream is lines: a notification for each message, then the response", async () => {
    const answer = await post(path, '{"jsonrpc":"2.0","id":7,"method":"Stream","params":{"count":2}}', {
      accept: "application/x-ndjson",
    });
    const lines = (await answer.text())
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as unknown);
    expect(lines).toEqual([
      { jsonrpc: "2.0", method: "rpc.message", params: [{ instance: "w", payload: "0" }] },
      { jsonrpc: "2.0", method: "rpc.message", params: [{ instance: "w", payload: "1" }] },
      { jsonrpc: "2.0", result: null, id: 7 },
    ]);
  });
});
