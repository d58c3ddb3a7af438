import { connect, type Socket } from "node:net";

import fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";

import { Call } from "../call/call.ts";
import { noMetadata } from "../call/metadata.ts";
import type { Method } from "../call/service.ts";
import { linearRegex } from "../configuration/regex.ts";
import { overrideRules } from "../configuration/override.ts";
import type { Transport } from "../ports/transport.ts";
import { httpJson } from "../protocols/http-json.ts";
import { answerText } from "../protocols/json-rpc-message.ts";
import { jsonRpc } from "../protocols/json-rpc.ts";
import { routers } from "../routing/table.ts";
import { bytes, documents, httpRequests, jsonRpcTexts, regexes } from "../testing/corpus.ts";
import { Authority } from "./authority.ts";
import { systemClock } from "./clock.ts";
import { framedTransport } from "./framed.ts";
import { httpTransport } from "./http-transport.ts";
import type { TlsIdentity } from "./tls.ts";
import { tripleTransport } from "./triple.ts";

/** A text of the corpus, and what is near it: a part of it, twice, or with a piece of another in its middle. */
const near = (corpus: readonly string[]): fc.Arbitrary<string> =>
  fc
    .tuple(
      fc.constantFrom(...corpus),
      fc.constantFrom(...corpus),
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.nat(3),
    )
    .map(([text, other, share, how]) => {
      const at = Math.floor(share * text.length);
      if (how === 0) return text;
      if (how === 1) return text.slice(0, at);
      if (how === 2) return text.slice(at) + text.slice(0, at);
      return text.slice(0, at) + other.slice(0, 1000) + text.slice(at);
    });
const all = (corpus: readonly string[]): { examples: [string][] } => ({ examples: corpus.map((text) => [text]) });

/** What a reader may do with it: understand it, or refuse it with an error of its own, soon. */
function harmless(read: () => unknown, name: string): void {
  try {
    read();
  } catch (error) {
    expect((error as Error).name).toBe(name);
    expect((error as Error).message.length).toBeLessThan(400);
  }
}

test("patterns are bounded or refused", () => {
  fc.assert(
    fc.property(near(regexes), (source) => {
      harmless(() => linearRegex(source)("a".repeat(2000) + "!"), "Error");
    }),
    { ...all(regexes), numRuns: 60 },
  );
});

test.each(Object.entries({ ...routers, override: overrideRules }))(
  "documents of %s are read, or refused with a line",
  (_, policy) => {
    fc.assert(
      fc.property(near(documents), (content) => harmless(() => policy.parse(content), "RuleError")),
      { ...all(documents), numRuns: documents.length + 4 },
    );
  },
);

test("JSON-RPC texts have an answer, or none, and never an exception", async () => {
  await fc.assert(
    fc.asyncProperty(near(jsonRpcTexts), async (text) => {
      const answer = await answerText(text, () => () => Promise.resolve("done"));
      expect(JSON.stringify(answer).length).toBeLessThan(8_000_000);
    }),
    { ...all(jsonRpcTexts), numRuns: 30 },
  );
});

const clock = systemClock();
const authority = new Authority("ours", clock.wallMs());
const identity: TlsIdentity = authority.issue({ name: "orders", hosts: ["fleet.test"], serverName: "fleet.test" });
const text = {
  create: (init: unknown) => init,
  encode: (message: unknown) => Buffer.from(JSON.stringify(message)),
  decode: (given: Uint8Array) => JSON.parse(Buffer.from(given).toString()) as unknown,
  copy: (message: unknown) => message,
};
const say: Method<unknown, unknown> = { path: "/t.T/Say", kind: "unary", codecName: "json", input: text, output: text };

const opened: Transport[] = [];
const sockets: Socket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await Promise.all(opened.splice(0).map((transport) => transport.close()));
});

const makers: [string, (tls: TlsIdentity | undefined) => Transport][] = [
  ["triple", (tls) => tripleTransport({ clock, tls })],
  ["framed", (tls) => framedTransport({ clock, tls })],
  ["http", (tls) => httpTransport(httpJson, { clock, tls })],
  ["jsonrpc", (tls) => httpTransport(jsonRpc, { clock, tls })],
];

describe.each(
  makers.flatMap(
    ([name, make]) =>
      [
        [name, make, undefined],
        [`${name} over TLS`, make, identity],
      ] as const,
  ),
)("a node that speaks %s", (_, make, tls) => {
  test("lives on, and grows no further, whatever comes and never goes on", async () => {
    const [server, client] = [make(tls), make(tls)];
    opened.push(server, client);
    const { address } = await server.listen({
      address: "127.0.0.1:0",
      methods: new Map([
        [
          say.path,
          { method: say, serve: async () => ({ kind: "unary", message: { text: "here" }, trailers: noMetadata }) },
        ],
      ]),
    });
    const isServed = async (): Promise<void> => {
      const call = new Call({ clock, service: "t", method: say.path, timeoutUs: 5_000_000 });
      const response = await client.invoke(address, say, call, { text: "who?" });
      call.end();
      expect(response).toMatchObject({ kind: "unary", message: { text: "here" } });
    };
    await isServed();
    const before = process.memoryUsage();
    const port = Number(address.split(":")[1]);
    const corpus = [...httpRequests.map((request) => Buffer.from(request).toString("hex")), ...bytes];
    await fc.assert(
      fc.asyncProperty(near(corpus), async (hex) => {
        // Left open: a slow loris is one that never goes on.
        const socket = connect(port, "127.0.0.1").on("error", () => undefined);
        sockets.push(socket);
        socket.resume();
        await new Promise((resolve) => socket.write(Buffer.from(hex, "hex"), resolve));
      }),
      { ...all(corpus), numRuns: corpus.length + 20 },
    );
    await isServed();
    const after = process.memoryUsage();
    expect(after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers).toBeLessThan(100_000_000);
  });
});
