import { connect, type ConnectionOptions } from "node:tls";

import { afterEach, describe, expect, test } from "vitest";

import { Call } from "../call/call.ts";
import { noMetadata } from "../call/metadata.ts";
import type { Method } from "../call/service.ts";
import type { RpcError } from "../call/status.ts";
import type { Transport } from "../ports/transport.ts";
import { httpJson } from "../protocols/http-json.ts";
import { jsonRpc } from "../protocols/json-rpc.ts";
import { Authority } from "./authority.ts";
import { systemClock } from "./clock.ts";
import { framedTransport } from "./framed.ts";
import { httpTransport } from "./http-transport.ts";
import { tripleTransport } from "./triple.ts";
import { tlsTrouble, type TlsIdentity } from "./tls.ts";

const clock = systemClock();
const hourMs = 3_600_000;
const nowMs = clock.wallMs();
const ours = new Authority("ours", nowMs);
const theirs = new Authority("theirs", nowMs);
const hosts = ["127.0.0.1"];
const storefront = ours.issue({ name: "storefront", hosts });
const orders = ours.issue({ name: "orders", hosts });
/** Believes our authority, and has a certificate of another's. */
const intruder: TlsIdentity = { ...theirs.issue({ name: "storefront", hosts }), ca: ours.ca };
const expired = (name: string): TlsIdentity =>
  ours.issue({ name, hosts, fromMs: nowMs - 3 * hourMs, toMs: nowMs - hourMs });

const text = {
  create: (init: unknown) => init,
  encode: (message: unknown) => Buffer.from(String(message)),
  decode: (bytes: Uint8Array) => Buffer.from(bytes).toString(),
  copy: (message: unknown) => message,
};
const who: Method<unknown, unknown> = { path: "/t.T/Who", kind: "unary", codecName: "text", input: text, output: text };

const opened: Transport[] = [];
afterEach(() => Promise.all(opened.splice(0).map((transport) => transport.close())));

describe("RFC 9113 section 9.2", () => {
  /** How a client that can do no better fares; the cipher of a connection that came about. */
  async function handshake(options: ConnectionOptions): Promise<string> {
    const transport = tripleTransport({ clock, tls: orders });
    opened.push(transport);
    const { address } = await transport.listen({ address: "127.0.0.1:0", methods: new Map() });
    const { ca, cert, key } = storefront;
    const port = Number(address.split(":")[1]);
    const socket = connect({ ca, cert, key, port, host: "127.0.0.1", ALPNProtocols: ["h2"], ...options });
    try {
      return await new Promise((resolve) => {
        socket.once("secureConnect", () => resolve(socket.getCipher().name));
        socket.once("error", ({ code }: NodeJS.ErrnoException) => resolve(code ?? ""));
      });
    } finally {
      socket.destroy();
    }
  }

  const tls12 = { minVersion: "TLSv1.2", maxVersion: "TLSv1.2" } as const;

  test("9.2 TLS 1.3 and 1.2 are spoken, and nothing older", async () => {
    expect(await handshake({})).toMatch(/^TLS_/);
    expect(await handshake(tls12)).toMatch(/GCM|CHACHA20/);
    const old = { minVersion: "TLSv1.1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" } as const;
    expect(await handshake(old)).toMatch(/ALERT_PROTOCOL_VERSION/);
  });

  test.each(["ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES128-CCM8", "AES128-GCM-SHA256"])(
    "9.2.2 and appendix A: a client that knows %s alone isn't talked to",
    async (ciphers) => {
      expect(await handshake({ ...tls12, ciphers: `${ciphers}:@SECLEVEL=0` })).toMatch(/HANDSHAKE_FAILURE/);
    },
  );

  test("9.2.1 who wants new keys in the middle is refused, and the node lives on", async () => {
    const transport = tripleTransport({ clock, tls: orders });
    opened.push(transport);
    const { address } = await transport.listen({ address: "127.0.0.1:0", methods: new Map() });
    const { ca, cert, key } = storefront;
    const port = Number(address.split(":")[1]);
    const socket = connect({ ca, cert, key, port, host: "127.0.0.1", ALPNProtocols: ["h2"], ...tls12 });
    await new Promise<void>((resolve) => socket.once("secureConnect", resolve));
    const failed = new Promise<Error | null>((resolve) => {
      socket.once("error", resolve);
      socket.renegotiate({ rejectUnauthorized: true }, resolve);
    });
    expect((await failed)?.message).toMatch(/no.renegotiation/i);
    socket.destroy();
    expect(await handshake({})).toMatch(/^TLS_/);
  });
});

describe.each<[string, (tls: TlsIdentity | undefined) => Transport]>([
  ["triple", (tls) => tripleTransport({ clock, tls })],
  ["framed", (tls) => framedTransport({ clock, tls })],
  ["http", (tls) => httpTransport(httpJson, { clock, tls })],
  ["jsonrpc", (tls) => httpTransport(jsonRpc, { clock, tls })],
])("mutual TLS on %s", (_, make) => {
  const open = (tls: TlsIdentity | undefined): Transport => {
    const transport = make(tls);
    opened.push(transport);
    return transport;
  };

  /** Who the server says has called; or the error. */
  async function ask(client: TlsIdentity | undefined, server: TlsIdentity | undefined): Promise<unknown> {
    const { address } = await open(server).listen({
      address: "127.0.0.1:0",
      methods: new Map([
        [
          who.path,
          { method: who, serve: async (call) => ({ kind: "unary", message: call.principal, trailers: noMetadata }) },
        ],
      ]),
    });
    const transport = open(client);
    const call = new Call({ clock, service: "t", method: who.path, timeoutUs: 3_000_000 });
    try {
      const response = await transport.invoke(address, who, call, "");
      return response.kind === "unary" && response.message;
    } catch (error) {
      return error;
    } finally {
      call.end();
    }
  }

  test("the server knows its caller by the name in its certificate", async () => {
    expect(await ask(storefront, orders)).toBe("storefront");
  });

  test("one name can stand for a whole fleet, wherever its nodes are; another name is no member", async () => {
    const member = (name: string, host = "fleet.test"): TlsIdentity =>
      ours.issue({ name, hosts: [host], serverName: "fleet.test" });
    expect(await ask(member("storefront"), member("orders"))).toBe("storefront");
    expect(await ask(member("storefront"), member("orders", "elsewhere.test"))).toMatchObject({
      code: "UNAVAILABLE",
      message: expect.stringContaining("the server's certificate isn't for \"fleet.test\"") as string,
    });
  });

  test.each<[string, TlsIdentity | undefined, TlsIdentity | undefined, RegExp, RegExp]>([
    [
      "a server whose certificate has expired",
      storefront,
      expired("orders"),
      /the server's certificate has expired/,
      /new certificate/,
    ],
    [
      "a server that another authority vouches for",
      storefront,
      { ...theirs.issue({ name: "orders", hosts }), ca: ours.ca },
      /another authority vouches for the server/,
      /one authority/,
    ],
    [
      "a caller whose certificate has expired",
      expired("storefront"),
      orders,
      /this (node's own|caller's) certificate has expired/,
      /new certificate/,
    ],
    [
      "a caller that another authority vouches for",
      intruder,
      orders,
      /another authority vouches for this node|doesn't believe the authority/,
      /one authority/,
    ],
    [
      "a server without TLS",
      storefront,
      undefined,
      /one side speaks TLS and the other doesn't|connection|ECONN|closed|hang up|no hello/i,
      /./,
    ],
  ])("with %s no call is made, and the error says what to do", async (_, client, server, message, hint) => {
    const error = (await ask(client, server)) as RpcError;
    expect(error.code).toBe("UNAVAILABLE");
    expect(error.message).toMatch(message);
    expect(error.hint).toMatch(hint);
    for (const pem of [client?.key, server?.key]) expect(`${error.message}${error.hint}`).not.toContain(pem ?? "BEGIN");
  });

  test("a caller without TLS is UNAVAILABLE to a server with it, and the server lives on", async () => {
    expect(await ask(undefined, orders)).toMatchObject({ code: "UNAVAILABLE" });
    expect(await ask(storefront, orders)).toBe("storefront");
  });
});

test("a caller that has no certificate, but speaks TLS, is told that it needs one", () => {
  expect(
    tlsTrouble("ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED tlsv13 alert certificate required", storefront, nowMs),
  ).toMatchObject({
    message: "the server demands a certificate, and this caller has none",
  });
  expect(tlsTrouble("connect ECONNREFUSED 127.0.0.1:1", storefront, nowMs)).toBeUndefined();
  expect(tlsTrouble("read ECONNRESET", undefined, nowMs)).toBeUndefined();
});
