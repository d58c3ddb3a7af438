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
