import {
  Client,
  credentials,
  Metadata,
  Server,
  ServerCredentials,
  status,
  type handleUnaryCall,
  type ServiceError,
} from "@grpc/grpc-js";
import { afterEach, describe, expect, test } from "vitest";

import { createClient, type ServiceSettings } from "../../call/client.ts";
import { methodsOf } from "../../call/service.ts";
import { toRpcError, type RpcCode } from "../../call/status.ts";
import { Registry as RegistryService } from "../../discovery/proto/registry_pb.ts";
import type { Registry } from "../../ports/registry.ts";
import { createRandom } from "../../random.ts";
import type { CallEnd, RuntimeEvent } from "../../telemetry/events.ts";
import { systemClock } from "../clock.ts";
import { tripleTransport } from "../triple.ts";

/**
 * Ours beside @grpc/grpc-js's own retry policy, hedging policy and throttling (service config, proposal A6): the same scripted server,
 * once called by each. Both make the same attempts, say the same of them, and keep the same pauses.
 */

const clock = systemClock();
const lookup = methodsOf(RegistryService).get("lookup")!;
const owned: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of owned.splice(0).reverse()) await close();
});

/** What the server does with one attempt; "silent" never answers. */
interface Step {
  readonly code: RpcCode | "silent";
  readonly pushback?: string;
}

interface Seen {
  readonly atMs: number;
  /** `grpc-previous-rpc-attempts` */
  readonly previous: string | undefined;
  wasCancelled: boolean;
}

/** A server that goes through `script`; the last step goes on for ever. */
async function scripted(script: readonly Step[]) {
  const seen: Seen[] = [];
  const answer: handleUnaryCall<unknown, unknown> = (call, done) => {
    const { code, pushback } = script[seen.length] ?? script.at(-1)!;
    const [previous] = call.metadata.get("grpc-previous-rpc-attempts") as string[];
    const record = { atMs: performance.now(), previous, wasCancelled: false };
    seen.push(record);
    call.on("cancelled", () => (record.wasCancelled = true));
    if (code === "silent") return;
    if (code === "OK") return done(null, { service: "orders" });
    const metadata = new Metadata();
    if (pushback !== undefined) metadata.set("grpc-retry-pushback-ms", pushback);
    done({ code: status[code], details: "as told", metadata });
  };
  const server = new Server();
  const encode = (message: unknown): Buffer => Buffer.from(lookup.output.encode(lookup.output.create(message)));
  server.register(lookup.path, answer, encode, (bytes: Buffer) => lookup.input.decode(bytes), "unary");
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  owned.push(() => server.forceShutdown());
  return { seen, address: `127.0.0.1:${port}` };
}

type Caller = () => Promise<RpcCode>;

/** @grpc/grpc-js with a service config. */
function theirs(address: string, config: object): Caller {
  const client = new Client(address, credentials.createInsecure(), {
    "grpc.service_config": JSON.stringify(config),
  });
  owned.push(() => client.close());
  return () =>
    new Promise((resolve) => {
      client.makeUnaryRequest(
        lookup.path,
        (message: unknown) => Buffer.from(lookup.input.encode(message)),
        (bytes: Buffer) => lookup.output.decode(bytes),
        lookup.input.create({ service: "orders" }),
        new Metadata(),
        { deadline: Date.now() + 10_000 },
        (error: ServiceError | null) => resolve((error === null ? "OK" : status[error.code]) as RpcCode),
      );
    });
}

/** Five instances at one address: none is lacking where another is wanted. */
const registryAt = (address: string): Registry => ({
  state: "connected",
  register: () => Promise.reject(new Error("nobody registers here")),
  lookup: () => Promise.reject(new Error("nobody looks here")),
  watch: (service, listener) => {
    const instances = Array.from({ length: 5 }, (_, index) => {
      return { id: `${service}/${index}`, service, address, weight: 100, metadata: {} };
    });
    listener({ service, version: 1, instances, removed: [] });
    return { close: () => undefined };
  },
  close: async () => undefined,
});

function ours(address: string, settings: ServiceSettings, events: RuntimeEvent[] = []): Caller {
  const transport = tripleTransport({ clock });
  const client = createClient({
    ...{ clock, transport, random: createRandom(1), application: "shop" },
    registry: registryAt(address),
    telemetry: { emit: (event) => events.push(event) },
  });
  owned.push(
    () => transport.close(),
    () => client.close(),
  );
  const stub = client.service("orders", RegistryService, { timeoutMs: 10_000, ...settings });
  return () =>
    stub.lookup({ service: "orders" }).then(
      () => "OK",
      (error: unknown) => toRpcError(error).code,
    );
}

/** Both against servers of their own that follow the same script. */
async function both(script: readonly Step[], config: object, settings: ServiceSettings) {
  const [one, other] = await Promise.all([scripted(script), scripted(script)]);
  return [
    { seen: one.seen, call: theirs(one.address, config) },
    { seen: other.seen, call: ours(other.address, settings) },
  ] as const;
}

const service = [{ service: "flyball.registry.v1.Registry" }];
const gapsOf = (seen: readonly Seen[]): number[] => seen.slice(1).map(({ atMs }, index) => atMs - seen[index]!.atMs);

describe("retryPolicy", () => {
  const initialBackoffMs = 10;
  const backoffMultiplier = 2;
  const maxBackoffMs = 30;

  test("on the same failures both make the same attempts, with the same numbers, pauses and outcome", async () => {
    const random = createRandom(7);
    const codes = ["UNAVAILABLE", "UNAVAILABLE", "RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED", "INTERNAL", "OK"] as const;
    const pushbacks = [undefined, undefined, undefined, "0", "25", "-1"];
    const drawn = Array.from({ length: 30 }, () => ({
      maxAttempts: 2 + random.below(6),
      script: Array.from({ length: 7 }, (): Step => {
        const pushback = pushbacks[random.below(pushbacks.length)];
        return { code: codes[random.below(codes.length)]!, ...(pushback !== undefined && { pushback }) };
      }),
    }));
    const cases = [
      ...drawn,
      { maxAttempts: 7, script: Array.from({ length: 7 }, (): Step => ({ code: "UNAVAILABLE" })) },
    ];
    const attempts = await Promise.all(
      cases.map(async ({ maxAttempts, script }) => {
        const retryableStatusCodes: RpcCode[] = ["UNAVAILABLE", "RESOURCE_EXHAUSTED"];
        const retryPolicy = {
          ...{ maxAttempts, backoffMultiplier, retryableStatusCodes },
          initialBackoff: `${initialBackoffMs / 1000}s`,
          maxBackoff: `${maxBackoffMs / 1000}s`,
        };
        const [one, other] = await both(
          script,
          { methodConfig: [{ name: service, retryPolicy }] },
          { retry: { maxAttempts, initialBackoffMs, backoffMultiplier, maxBackoffMs, retryableStatusCodes } },
        );
        const [theirCode, ourCode] = await Promise.all([one.call(), other.call()]);
        const label = JSON.stringify({ maxAttempts, script });
        expect(ourCode, label).toBe(theirCode);
        expect(
          other.seen.map(({ previous }) => previous),
          label,
        ).toEqual(one.seen.map(({ previous }) => previous));
        for (const { seen } of [one, other]) {
          let backoffs = 0;
          gapsOf(seen).forEach((gapMs, index) => {
            const { pushback } = script[index]!;
            if (pushback !== undefined) backoffs = 0;
            const pause = initialBackoffMs * backoffMultiplier ** backoffs++;
            if (pushback !== undefined) backoffs = 0;
            const least = pushback === undefined ? 0.8 * Math.min(pause, maxBackoffMs) : Number(pushback);
            // Node.js timers may fire a millisecond early; how late a busy machine makes them says nothing.
            expect(gapMs, label).toBeGreaterThanOrEqual(least - 1.5);
          });
        }
        return one.seen.length;
      }),
    );
    // The scripts reach every length.
    expect(new Set(attempts)).toEqual(new Set([1, 2, 3, 4, 5]));
  });

  test("where they differ: what can't be read as a number says never, as the specification wants it; theirs tries again", async () => {
    const retryPolicy = {
      ...{ maxAttempts: 2, backoffMultiplier: 1, retryableStatusCodes: ["UNAVAILABLE"] },
      ...{ initialBackoff: "0.01s", maxBackoff: "0.01s" },
    };
    const [one, other] = await both(
      [{ code: "UNAVAILABLE", pushback: "soon" }],
      { methodConfig: [{ name: service, retryPolicy }] },
      { retry: { maxAttempts: 2 } },
    );
    await Promise.all([one.call(), other.call()]);
    expect([one.seen.length, other.seen.length]).toEqual([2, 1]);
  });
});

test("retryThrottling: both stop and begin again to retry at the same calls", async () => {
  const retryThrottling = { maxTokens: 6, tokenRatio: 0.7 };
  const retryPolicy = {
    ...{ maxAttempts: 3, backoffMultiplier: 1, retryableStatusCodes: ["UNAVAILABLE"] },
    ...{ initialBackoff: "0.001s", maxBackoff: "0.001s" },
  };
  const random = createRandom(3);
  const script = Array.from({ length: 400 }, (): Step => ({ code: random.below(10) < 4 ? "UNAVAILABLE" : "OK" }));
  const [one, other] = await both(
    script,
    { methodConfig: [{ name: service, retryPolicy }], retryThrottling },
    {
      retry: { maxAttempts: 3, initialBackoffMs: 1, maxBackoffMs: 1, backoffMultiplier: 1 },
      retryBudget: { policy: "grpc", ...retryThrottling },
    },
  );
  const play = async ({ seen, call }: { readonly seen: readonly Seen[]; readonly call: Caller }) => {
    const made: [number, RpcCode][] = [];
    for (let count = 0; count < 60; count++) {
      const before = seen.length;
      const code = await call();
      made.push([seen.length - before, code]);
    }
    return made;
  };
  const [their, our] = await Promise.all([play(one), play(other)]);
  expect(our).toEqual(their);
  // Some failures were retried and some were not.
  expect(our.some(([attempts]) => attempts > 1)).toBe(true);
  expect(our.some(([attempts, code]) => attempts === 1 && code === "UNAVAILABLE")).toBe(true);
});

describe("hedgingPolicy", () => {
  // A delay is long enough for an answer on a busy machine: a third attempt while the second is being answered would be right, too.
  const cases: readonly (readonly [string, number, number, readonly Step[], number, RpcCode])[] = [
    ["the second answers", 3, 500, [{ code: "silent" }, { code: "OK" }], 2, "OK"],
    ["all fail, not fatally", 4, 500, [{ code: "UNAVAILABLE" }], 4, "UNAVAILABLE"],
    ["more than five are five", 9, 500, [{ code: "UNAVAILABLE" }], 5, "UNAVAILABLE"],
    ["the first fails fatally", 3, 500, [{ code: "INVALID_ARGUMENT" }], 1, "INVALID_ARGUMENT"],
    ["the second fails fatally", 3, 500, [{ code: "silent" }, { code: "INTERNAL" }], 2, "INTERNAL"],
    ["a failure sends the next at once", 2, 5000, [{ code: "UNAVAILABLE" }, { code: "OK" }], 2, "OK"],
    ["without a delay all are sent", 3, 0, [{ code: "silent" }, { code: "silent" }, { code: "OK" }], 3, "OK"],
    ["the next waits as it is asked to", 2, 5000, [{ code: "UNAVAILABLE", pushback: "40" }, { code: "OK" }], 2, "OK"],
  ];

  test.each(cases)(
    "%s: both make the same attempts",
    async (_, maxAttempts, hedgingDelayMs, script, attempts, code) => {
      const nonFatalStatusCodes: RpcCode[] = ["UNAVAILABLE"];
      const hedgingPolicy = { maxAttempts, hedgingDelay: `${hedgingDelayMs / 1000}s`, nonFatalStatusCodes };
      const [one, other] = await both(
        script,
        { methodConfig: [{ name: service, hedgingPolicy }] },
        { hedging: { maxAttempts, hedgingDelayMs, nonFatalStatusCodes } },
      );
      const begunMs = performance.now();
      expect(await Promise.all([one.call(), other.call()])).toEqual([code, code]);
      expect([one.seen.length, other.seen.length]).toEqual([attempts, attempts]);
      expect(other.seen.map(({ previous }) => previous)).toEqual(one.seen.map(({ previous }) => previous));
      for (const { seen } of [one, other]) {
        // From the call's beginning: how long its first attempt took to arrive depends on the connection that it had to make.
        let leastMs = 0;
        seen.forEach(({ atMs }, index) => {
          expect(atMs - begunMs).toBeGreaterThanOrEqual(leastMs - 1.5);
          const { code: ended, pushback = "0" } = script[index] ?? script.at(-1)!;
          leastMs += ended === "silent" ? hedgingDelayMs : Number(pushback);
        });
      }
    },
  );

  test("servers hear that their attempt lost, and the record says so", async () => {
    const { seen, address } = await scripted([{ code: "silent" }, { code: "OK" }]);
    const events: RuntimeEvent[] = [];
    const call = ours(address, { hedging: { hedgingDelayMs: 10 } }, events);
    expect(await call()).toBe("OK");
    await expect.poll(() => seen[0]!.wasCancelled).toBe(true);
    const { attempts } = events.find((event): event is CallEnd => event.type === "call.end")!;
    expect(attempts.map(({ code }) => code)).toEqual(["CANCELLED", "OK"]);
    expect(new Set(attempts.map(({ instance }) => instance)).size).toBe(2);
  });
});
