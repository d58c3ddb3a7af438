import { connect, type Socket } from "node:net";

import fc from "fast-check";
import { afterEach, expect, test } from "vitest";

import type { HttpListener, HttpListenOptions, HttpRequest } from "../ports/http.ts";
import { systemClock } from "./clock.ts";
import { nodeHttp, type HttpOptions } from "./http.ts";

const clock = systemClock();
const listeners: HttpListener[] = [];
const sockets: Socket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await Promise.all(listeners.splice(0).map((listener) => listener.close()));
});

async function serve(handle: HttpListenOptions["handle"], options: Partial<HttpOptions> = {}) {
  const listener = await nodeHttp({ clock, ...options }).listen({ address: "127.0.0.1:0", handle });
  listeners.push(listener);
  return { listener, url: `http://${listener.address}` };
}

const echo = async (request: HttpRequest) => ({
  status: 200,
  body: { ...request, query: Object.fromEntries(request.query), headers: Object.fromEntries(request.headers) },
});

/** Everything that the server sends until it closes the connection. */
function raw(listener: HttpListener, text: string): Promise<string> {
  const [host, port] = listener.address.split(":");
  const socket = connect(Number(port), host);
  sockets.push(socket);
  let answer = "";
  socket.setEncoding("utf8").on("data", (data: string) => (answer += data));
  socket.on("error", () => undefined);
  socket.write(text);
  return new Promise((resolve) => socket.once("close", () => resolve(answer)));
}

test("a request arrives whole: path, query, headers, body", async () => {
  const { url } = await serve(echo);
  const response = await fetch(`${url}/do?key=u%207&key=u8&empty`, {
    method: "POST",
    headers: { "X-Some": "thing" },
    body: "没有",
  });
  expect(await response.json()).toMatchObject({
    method: "POST",
    path: "/do",
    query: { key: "u 7", empty: "" },
    headers: { "x-some": "thing" },
    body: "没有",
  });
  expect(response.headers.get("content-type")).toBe("application/json; charset=utf-8");
});

test("one connection carries many requests", async () => {
  const { listener } = await serve(echo);
  const one = "GET /one HTTP/1.1\r\nHost: x\r\n\r\n";
  const last = "GET /two HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
  const answer = await raw(listener, one + one + last);
  expect(answer.match(/HTTP\/1\.1 200/g)).toHaveLength(3);
  expect(answer.indexOf("/two")).toBeGreaterThan(answer.lastIndexOf("/one"));
});

test("a handler that fails is answered 500, without its reason", async () => {
  const { url } = await serve(() => Promise.reject(new Error("a secret")));
  const response = await fetch(url);
  expect(response.status).toBe(500);
  expect(await response.text()).not.toContain("secret");
});

test.each([
  ["no HTTP", "nonsense\r\n\r\n", /^HTTP\/1\.1 400/],
  ["no host", "GET / HTTP/1.1\r\n\r\n", /^HTTP\/1\.1 400/],
  [
    "two lengths",
    "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    /^HTTP\/1\.1 400/,
  ],
  [
    "a length and chunks (request smuggling)",
    "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    /^HTTP\/1\.1 400/,
  ],
  ["a header line that goes on", "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c: d\r\n\rX\r\n\r\n", /^HTTP\/1\.1 400/],
  ["headers without end", `GET / HTTP/1.1\r\nHost: x\r\n${"A: b\r\n".repeat(5000)}`, /^HTTP\/1\.1 431/],
  ["an endless target", `GET /${"a".repeat(20_000)} HTTP/1.1\r\nHost: x\r\n\r\n`, /^HTTP\/1\.1 431/],
  ["a chunk that is no chunk", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", /400/],
  ["TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", /^HTTP\/1\.1 400/],
  ["HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", /^HTTP\/1\.1 400/],
])("%s is refused, the connection closed, and no handler sees it", async (_, text, answer) => {
  let seen = 0;
  const { listener } = await serve(async () => ({ status: 200, body: ++seen }));
  expect(await raw(listener, text)).toMatch(answer);
  expect(seen).toBe(0);
});

test("a body that is too large is answered 413, whether it says so or not, and isn't kept", async () => {
  const { listener, url } = await serve(echo, { bodyBytesMax: 100 });
  expect((await fetch(url, { method: "POST", body: "a".repeat(100) })).status).toBe(200);
  expect((await fetch(url, { method: "POST", body: "a".repeat(101) })).status).toBe(413);
  const chunks = `40\r\n${"a".repeat(64)}\r\n`.repeat(3);
  const answer = await raw(listener, `POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}`);
  expect(answer).toMatch(/^HTTP\/1\.1 413[^]*connection: close/i);
});

test("a body that is no UTF-8 is answered 400", async () => {
  const { url } = await serve(echo);
  expect((await fetch(url, { method: "POST", body: new Uint8Array([0xff, 0xfe]) })).status).toBe(400);
});

test.each([
  ["says nothing", ""],
  ["never ends its headers", "GET / HTTP/1.1\r\nHost: x\r\nA"],
  ["never ends its body", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nslowly"],
])("a client that %s is let go", async (_, text) => {
  let seen = 0;
  const { listener } = await serve(async () => ({ status: 200, body: ++seen }), {
    headersWithinMs: 200,
    requestWithinMs: 200,
  });
  expect(await raw(listener, text)).toMatch(/^HTTP\/1\.1 408|^$/);
  expect(seen).toBe(0);
});

test("a client that goes away is noticed, one that has its answer isn't", async () => {
  const gone: string[] = [];
  let arrived: () => void = () => undefined;
  const isThere = new Promise<void>((resolve) => (arrived = resolve));
  const left = new Promise<void>((resolve) => {
    void serve(async (request) => {
      request.onGone(() => {
        gone.push(request.path);
        resolve();
      });
      if (request.path === "/wait") {
        arrived();
        await left;
      }
      return { status: 200, body: {} };
    }).then(async ({ url }) => {
      await (await fetch(`${url}/quick`)).json();
      const abort = new AbortController();
      const waiting = fetch(`${url}/wait`, { signal: abort.signal }).catch(() => undefined);
      await isThere;
      abort.abort();
      await waiting;
    });
  });
  await left;
  expect(gone).toEqual(["/wait"]);
});

test("draining answers what is in flight, takes nothing new, and ends idle connections", async () => {
  let finish: () => void = () => undefined;
  let arrived: () => void = () => undefined;
  const isThere = new Promise<void>((resolve) => (arrived = resolve));
  const { listener, url } = await serve(async () => {
    arrived();
    await new Promise<void>((resolve) => (finish = resolve));
    return { status: 200, body: "late" };
  });
  const idle = raw(listener, "");
  const answer = fetch(url);
  await isThere;
  const drained = listener.drain(60_000_000);
  await expect(fetch(url)).rejects.toThrow();
  finish();
  expect(await (await answer).json()).toBe("late");
  await drained;
  expect(await idle).toBe("");
});

test("draining ends with its grace, whatever is still in flight", async () => {
  const { listener, url } = await serve(() => new Promise(() => undefined));
  const answer = fetch(url).catch(() => "broken");
  await clock.sleep(50_000);
  await listener.drain(100_000);
  expect(await answer).toBe("broken");
});

test("an address that is taken, wrong or open to others is refused with a hint", async () => {
  const { listener } = await serve(echo);
  const listen = (address: string) => nodeHttp({ clock }).listen({ address, handle: echo });
  await expect(listen(listener.address)).rejects.toMatchObject({ code: "UNAVAILABLE", hint: /port 0/ });
  await expect(listen("nonsense")).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  await expect(listen("0.0.0.0:0")).rejects.toMatchObject({ code: "INVALID_ARGUMENT", hint: /127\.0\.0\.1/ });
});

test("whatever bytes come, the next client is served", async () => {
  const { listener, url } = await serve(async () => ({ status: 200, body: {} }));
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), fc.boolean(), async (bytes, isAlmost) => {
      const text = Buffer.from(bytes).toString("latin1");
      const [host, port] = listener.address.split(":");
      const socket = connect(Number(port), host);
      sockets.push(socket);
      socket.on("error", () => undefined);
      await new Promise((resolve) =>
        socket.write(isAlmost ? `POST /${text} HTTP/1.1\r\n${text}` : text, "latin1", resolve),
      );
      socket.resume();
      expect((await fetch(url)).status).toBe(200);
      socket.destroy();
    }),
    { numRuns: 50 },
  );
});
