import { writeFileSync } from "node:fs";
import { join } from "node:path";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { noMetadata } from "../../../runtime/call/metadata.ts";
import type { Method } from "../../../runtime/call/service.ts";
import { systemClock } from "../../../runtime/node/clock.ts";
import { tripleTransport } from "../../../runtime/node/triple.ts";
import { certificates } from "../certificates.ts";
import { describePeer, run } from "../peers.ts";
import { serveWire } from "../server.ts";

// nghttp2's own client and load generator, at the server as a fleet runs it; over TLS with mutual certificates, where they can have one.

const clock = systemClock();
const { ca, cert, key, files, room } = certificates();
const path = "/t.T/Echo";
const asItIs = {
  create: (init: unknown) => init,
  encode: (message: unknown) => message as Uint8Array,
  decode: (bytes: Uint8Array) => Buffer.from(bytes),
  copy: (message: unknown) => message,
};
const method: Method<unknown, unknown> = { path, kind: "unary", codecName: "bytes", input: asItIs, output: asItIs };

/** A message as gRPC sends it. */
function messageFile(bytes: number): string {
  const message = Buffer.alloc(5 + bytes, "x");
  message.writeUInt8(0);
  message.writeUInt32BE(bytes, 1);
  const file = join(room, `${bytes}.grpc`);
  writeFileSync(file, message);
  return file;
}

const grpc = ["-H", "content-type: application/grpc", "-H", "te: trailers"];

describePeer("nghttp2", "nghttp2's programs at our server", () => {
  const transports = [tripleTransport({ clock }), tripleTransport({ clock, tls: { ca, cert, key } })];
  let plain = "";
  let mutual = "";
  beforeAll(async () => {
    const serve = async (_: unknown, message: unknown) => ({ kind: "unary" as const, message, trailers: noMetadata });
    const methods = new Map([[path, { method, serve }]]);
    const listen = async (index: number): Promise<string> =>
      (await transports[index]!.listen({ address: "127.0.0.1:0", methods })).address;
    [plain, mutual] = [await listen(0), await listen(1)];
  });
  afterAll(async () => {
    for (const transport of transports) await transport.close();
  });

  describe("nghttp", () => {
    /** What came back of one call with a message of so many bytes. */
    async function answer(url: string, bytes: number, options: readonly string[]): Promise<readonly string[]> {
      const said = await run("nghttp", ["-v", "-n", ...grpc, "-d", messageFile(bytes), ...options, `${url}${path}`]);
      const count = said.match(/recv DATA frame <length=(\d+)/g)?.map((text) => Number(text.split("=")[1])) ?? [];
      const data = count.reduce((sum, length) => sum + length, 0);
      return [/:status: (\d+)/.exec(said)?.[1] ?? said, `${data} bytes`, /grpc-status: (\d+)/.exec(said)?.[1] ?? said];
    }

    test.each<[string, readonly string[]]>([
      ["RFC 9113 3.3 by prior knowledge", []],
      ["4.3 with no dynamic table of ours", ["--header-table-size=0"]],
      ["4.3 with no dynamic table of its own", ["--encoder-header-table-size=0"]],
      ["5.2 with windows of 1 KiB", ["--window-bits=10"]],
      ["5.3 without priorities", ["--no-dep"]],
      ["6.1 with padding", ["--padding=200"]],
      ["6.10 with CONTINUATION", ["--continuation"]],
      ["8.1 with trailers", ["--trailer=x-end: 1"]],
      ["8.1.1 without content-length", ["--no-content-length"]],
    ])("%s", async (_, options) => {
      expect(await answer(`http://${plain}`, 100_000, options)).toEqual(["200", "100005 bytes", "0"]);
    });

    test("3.2 over TLS, agreed on by ALPN, with a certificate on both sides", async () => {
      const own = [`--cert=${files.cert}`, `--key=${files.key}`];
      expect(await answer(`https://${mutual}`, 1000, own)).toEqual(["200", "1005 bytes", "0"]);
      const said = await run("nghttp", ["-v", "-n", ...own, ...grpc, "-d", messageFile(0), `https://${mutual}${path}`]);
      expect(said).toContain("The negotiated protocol: h2");
    });

    test("a client without a certificate gets no word of HTTP/2", async () => {
      const asked = run("nghttp", ["-v", "-n", ...grpc, "-d", messageFile(0), `https://${mutual}${path}`], 5_000);
      const said = await asked.catch((error: Error) => error.message);
      expect(said).not.toContain("recv");
    });
  });

  describe("h2load", () => {
    async function load(url: string, bytes: number, requests: number, options: readonly string[]): Promise<string> {
      const said = await run("h2load", [
        ...["-n", String(requests), "-c", "4", "-m", "50", ...grpc, "-d", messageFile(bytes), ...options],
        `${url}${path}`,
      ]);
      expect(said).toContain(`${requests} succeeded, 0 failed, 0 errored, 0 timeout`);
      expect(said).toContain(`status codes: ${requests} 2xx`);
      // With the five bytes ahead of each message.
      expect(Number(/\((\d+)\) data/.exec(said)?.[1])).toBe(requests * (bytes + 5));
      return said;
    }

    test.each<[string, number, number, readonly string[]]>([
      ["5,000 calls of 100 bytes", 100, 5000, []],
      ["300 calls of 100,000 bytes through windows of 1 KiB", 100_000, 300, ["-w", "10", "-W", "14"]],
      ["300 calls of 100,000 bytes in frames of 64 KiB", 100_000, 300, ["-f", "65536", "-w", "20", "-W", "24"]],
      ["1,000 calls without dynamic tables", 10, 1000, ["--header-table-size=0", "--encoder-header-table-size=0"]],
    ])("h2c: %s, 200 at a time", async (_, bytes, requests, options) => {
      await load(`http://${plain}`, bytes, requests, options);
    });

    test("TLS: 1,000 calls, agreed on by ALPN", async () => {
      // It has no certificate of its own, so the server asks for none.
      const echo = {
        [path]: async (call: { messages: AsyncIterable<Buffer>; send(message: Buffer): Promise<void> }) => {
          for await (const message of call.messages) await call.send(message);
        },
      };
      const server = await serveWire(echo, { tls: { cert, key } });
      try {
        const said = await load(`https://127.0.0.1:${server.port}`, 100, 1000, []);
        expect(said).toContain("Application protocol: h2");
      } finally {
        server.close();
      }
    });
  });
});
