import { createHash, createHmac } from "node:crypto";

import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { Call } from "../call/call.ts";
import { noMetadata } from "../call/metadata.ts";
import type { RpcError } from "../call/status.ts";
import { systemClock } from "../node/clock.ts";
import { guard, type GuardSettings } from "./guard.ts";
import { hmacSha256, sha256 } from "./sha256.ts";
import { attachmentsOf, isSame, signatureOf, passedOn } from "./signature.ts";

const clock = systemClock();
const path = "/flyball.worker.v1.Worker/Do";
const secret = "s3cr3t-of-storefront";
const accessKeys = { storefront: secret, reader: "another-secret" };

/** What the guard says to a call that carries this. */
async function ask(
  settings: GuardSettings,
  entries: Iterable<readonly [string, string]>,
  principal?: string,
): Promise<string> {
  const call = new Call({ clock, service: "", method: path, metadata: new Map(entries), principal });
  try {
    await guard(settings, "orders")(call, {}, () =>
      Promise.resolve({ kind: "unary", message: {}, trailers: noMetadata }),
    );
    return call.principal ?? "nobody";
  } catch (error) {
    const { code, message, hint } = error as RpcError;
    expect(`${message} ${hint}`).not.toContain(secret);
    return code;
  }
}

const signed = (accessKey: string, key: string, changes: { service?: string; atMs?: number; path?: string } = {}) =>
  attachmentsOf(
    { path: changes.path ?? path, service: changes.service ?? "orders", timestampMs: changes.atMs ?? clock.wallMs() },
    { accessKey, secret: key },
    "web",
  );

test("hashes are those of everybody", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.uint8Array({ maxLength: 150 }), (message, key) => {
      expect(Buffer.from(sha256(message))).toEqual(createHash("sha256").update(message).digest());
      expect(Buffer.from(hmacSha256(key, message))).toEqual(createHmac("sha256", key).update(message).digest());
    }),
  );
});

test("a signature is Dubbo's: base64 of HMAC-SHA256 over interface, method, secret and time", () => {
  const text = `flyball.worker.v1.Worker::orders#Do#${secret}#1700000000000`;
  const expected = createHmac("sha256", secret).update(text).digest("base64");
  expect(signatureOf({ path, service: "orders", timestampMs: 1_700_000_000_000 }, secret)).toBe(expected);
});

test("texts are the same when they are, however long", () => {
  fc.assert(fc.property(fc.string(), fc.string(), (a, b) => isSame(a, b) === (a === b) && isSame(a, a)));
});

describe("a token", () => {
  test.each([
    ["the right one", [["token", "t-1"]], "nobody"],
    ["a wrong one", [["token", "t-2"]], "UNAUTHENTICATED"],
    ["the beginning of it", [["token", "t-"]], "UNAUTHENTICATED"],
    ["none", [], "UNAUTHENTICATED"],
  ] as const)("%s", async (_, entries, outcome) => {
    expect(await ask({ token: "t-1" }, entries)).toBe(outcome);
  });
});

describe("a signature", () => {
  test.each<[string, [string, string][], string]>([
    ["the right one names its caller", signed("storefront", secret), "storefront"],
    ["with another secret", signed("storefront", "guess"), "UNAUTHENTICATED"],
    ["under a key that nobody knows", signed("intruder", secret), "UNAUTHENTICATED"],
    ["under a key that every object has", signed("constructor", ""), "UNAUTHENTICATED"],
    ["under a key that nobody knows, with no secret", signed("intruder", ""), "UNAUTHENTICATED"],
    [
      "for another method",
      signed("storefront", secret, { path: "/flyball.worker.v1.Worker/Stream" }),
      "UNAUTHENTICATED",
    ],
    ["for another service", signed("storefront", secret, { service: "payments" }), "UNAUTHENTICATED"],
    ["from an hour ago", signed("storefront", secret, { atMs: clock.wallMs() - 3_600_000 }), "UNAUTHENTICATED"],
    ["from tomorrow", signed("storefront", secret, { atMs: clock.wallMs() + 86_400_000 }), "UNAUTHENTICATED"],
    [
      "with another time beside it",
      [...signed("storefront", secret), ["timestamp", String(clock.wallMs() + 1)]],
      "UNAUTHENTICATED",
    ],
    ["at no time", [...signed("storefront", secret, { atMs: NaN })], "UNAUTHENTICATED"],
    ["none", [["ak", "storefront"]], "UNAUTHENTICATED"],
  ])("%s", async (_, entries, outcome) => {
    expect(await ask({ accessKeys }, entries)).toBe(outcome);
  });

  test("whatever is sent instead of one, nobody gets in", async () => {
    const text = fc.string({ maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom("storefront", "reader", "__proto__"),
        text,
        text,
        async (ak, timestamp, signature) => {
          expect(
            await ask({ accessKeys }, [
              ["ak", ak],
              ["timestamp", timestamp],
              ["signature", signature],
            ]),
          ).toBe("UNAUTHENTICATED");
        },
      ),
    );
  });
});

describe("rules", () => {
  const allow = [
    { callers: ["storefront"], methods: ["Do"] },
    { callers: ["reader"], methods: ["Stream"] },
  ];
  test("who may, may; who is known and may not is denied; who isn't known is asked for a name", async () => {
    expect(await ask({ accessKeys, allow }, signed("storefront", secret))).toBe("storefront");
    expect(await ask({ accessKeys, allow }, signed("reader", "another-secret"))).toBe("PERMISSION_DENIED");
    expect(await ask({ allow }, [])).toBe("UNAUTHENTICATED");
    expect(await ask({ allow: [{ callers: ["*"], methods: ["*"] }] }, [], "any-certificate")).toBe("any-certificate");
    expect(await ask({ allow: [] }, [], "storefront")).toBe("PERMISSION_DENIED");
  });

  test("a certificate's name is as good as a key's; what a caller says of itself is worth nothing", async () => {
    expect(await ask({ allow }, [], "storefront")).toBe("storefront");
    expect(
      await ask({ allow }, [
        ["consumer", "storefront"],
        ["ak", "storefront"],
      ]),
    ).toBe("UNAUTHENTICATED");
  });
});

test("credentials, and what is about one call alone, go no further than whom they are for", () => {
  const metadata = new Map([...signed("storefront", secret), ["token", "t"] as const, ["x-key", "u7"] as const]);
  expect([...passedOn(metadata)]).toEqual([["x-key", "u7"]]);
  const dubbo = new Map([
    ["tri-service-group", "g1"],
    ["tri-service-version", "1.2.3"],
    ["interface", "Orders"],
    ["timeout", "3s"],
    ["retries", "2"],
    ["dubbo.tag", "gray"],
  ]);
  expect([...passedOn(dubbo)]).toEqual([["dubbo.tag", "gray"]]);
  const own = new Map([["x-key", "u7"]]);
  expect(passedOn(own)).toBe(own);
});
