import { afterEach, describe, expect, test } from "vitest";

import type { Endpoint } from "../discovery/endpoint.ts";
import { Registry as RegistryService } from "../discovery/proto/registry_pb.ts";
import type { Registry } from "../ports/registry.ts";
import type { Response, Transport } from "../ports/transport.ts";
import { createRandom } from "../random.ts";
import type { Attempt, CallBegin, CallEnd, RuntimeEvent } from "../telemetry/events.ts";
import { ManualClock } from "../testing/clock.ts";
import type { Call } from "./call.ts";
import type { Filter } from "./filter.ts";
import { builtInPolicies, createClient, type Client, type ServiceSettings } from "./client.ts";
import { metadata, noMetadata, previousAttemptsKey } from "./metadata.ts";
import { RpcError } from "./status.ts";

type Serve = (address: string, call: Call, clock: ManualClock) => Promise<void>;

const clients: Client[] = [];
afterEach(() => {
  for (const client of clients.splice(0)) client.close();
});

/** A client of "orders", three instances at "a", "b" and "c", on a clock that is moved by hand. */
function world(
  settings: ServiceSettings,
  serve: Serve,
  own: { readonly clientFilters?: readonly Filter[]; readonly invoke?: Transport["invoke"] } = {},
) {
  const clock = new ManualClock();
  const events: RuntimeEvent[] = [];
  const heard: Call[] = [];
  let endpoints: readonly Endpoint[] = [];
  const transport: Transport = {
    listen: () => Promise.reject(new Error("nobody listens here")),
    release: () => undefined,
    close: async () => undefined,
    invoke:
      own.invoke ??
      (async (address, method, call): Promise<Response> => {
        heard.push(call);
        await serve(address, call, clock);
        return { kind: "unary", message: method.output.create({ service: address }), trailers: noMetadata };
      }),
  };
  const registry: Registry = {
    state: "connected",
    register: () => Promise.reject(new Error("nobody registers here")),
    lookup: () => Promise.reject(new Error("nobody looks here")),
    watch: (service, listener) => {
      const instances = ["a", "b", "c"].map((address) => ({ id: address, service, address, weight: 1, metadata: {} }));
      listener({ service, version: 1, instances, removed: [] });
      return { close: () => undefined };
    },
    close: async () => undefined,
  };
  const client = createClient({
    ...{ clock, transport, registry, random: createRandom(1), application: "shop" },
    telemetry: { emit: (event) => events.push(event) },
    policies: {
      ...builtInPolicies,
      clientFilters: own.clientFilters ?? [],
      balancers: {
        first: () => (live) => {
          endpoints = live.length > endpoints.length ? live : endpoints;
          return { pick: () => live[0] };
        },
      },
    },
  });
  clients.push(client);
  const stub = client.service("orders", RegistryService, { balancer: "first", ...settings });
  const of = <Type extends RuntimeEvent["type"]>(type: Type) =>
    events.filter((event): event is Extract<RuntimeEvent, { type: Type }> => event.type === type);
  return {
    clock,
    heard,
    stub,
    client,
    of,
    stats: () => endpoints.map(({ stats: { inFlight, succeeded, failed } }) => ({ inFlight, succeeded, failed })),
  };
}

const refuse: Serve = () => Promise.reject(new RpcError("as told", { code: "UNAVAILABLE" }));
const silent: Serve = () => new Promise(() => undefined);

describe("what breaks at once", () => {
  const broken = (): never => {
    throw new Error("it broke");
  };

  test("a filter that throws ends the call, and its record", async () => {
    const { stub, of } = world({}, refuse, { clientFilters: [broken] });
    await expect(stub.lookup({ service: "x" })).rejects.toMatchObject({ code: "UNKNOWN", message: "it broke" });
    expect(of("call.end")).toMatchObject([{ code: "UNKNOWN", attempts: [] }]);
  });

  test("a transport that throws when it is told that nobody waits any more ends the attempt all the same", async () => {
    const { stub, of, stats, clock } = world({ timeoutMs: 10, retries: 0 }, refuse, {
      invoke: (_address, _method, call) => {
        call.onCancel(broken);
        return new Promise(() => undefined);
      },
    });
    const answer = stub.lookup({ service: "x" });
    answer.catch(() => undefined);
    await expect(clock.advance(10_000)).rejects.toThrow("it broke");
    await expect(answer).rejects.toMatchObject({ code: "DEADLINE_EXCEEDED" });
    expect(of("call.end")).toMatchObject([{ attempts: [{ instance: "a", code: "DEADLINE_EXCEEDED" }] }]);
    expect(stats()[0]).toEqual({ inFlight: 0, succeeded: 0, failed: 1 });
  });

  test("a transport that throws ends the attempt, and nothing stays in flight", async () => {
    const { stub, of, stats } = world({}, refuse, { invoke: broken });
    await expect(stub.lookup({ service: "x" })).rejects.toMatchObject({ code: "UNKNOWN", message: "it broke" });
    expect(of("call.end")).toMatchObject([{ attempts: [{ instance: "a", code: "UNKNOWN" }] }]);
    expect(stats()[0]).toEqual({ inFlight: 0, succeeded: 0, failed: 1 });
  });
});

test("what fields hashing goes by is the call's key in the record, and a whole request never is", async () => {
  const keyWith = async (hash: ServiceSettings["hash"]) => {
    const { stub, of } = world({ hash }, () => Promise.resolve());
    await stub.lookup({ service: "x", client: "y" });
    return of("call.begin").map(({ key }) => key);
  };
  expect(await keyWith({ arguments: "0.client,0.service" })).toEqual(["yx"]);
  expect(await keyWith({ arguments: "0" })).toEqual([undefined]);
  expect(await keyWith(undefined)).toEqual([undefined]);
});

describe("attempts", () => {
  test("say how many were made before them, and never what a caller's caller said so", async () => {
    const { stub, heard } = world({ retries: 2 }, refuse);
    await expect(stub.lookup({}, { metadata: metadata({ [previousAttemptsKey]: "3", own: "x" }) })).rejects.toThrow();
    expect(heard.map((call) => call.metadata.get(previousAttemptsKey))).toEqual([undefined, "1", "2"]);
    expect(heard.map((call) => call.metadata.get("own"))).toEqual(["x", "x", "x"]);
  });

  test("that lost a race are over when the call is, recorded CANCELLED, and no failures of their instances", async () => {
    const { stub, clock, of, stats } = world(
      { hedging: { maxAttempts: 3, hedgingDelayMs: 10 } },
      (address, call, time) => (address === "b" ? time.sleep(5000) : silent(address, call, time)),
    );
    const call = stub.lookup({});
    await clock.advance(50_000);
    expect((await call).service).toBe("b");
    const [end] = of("call.end");
    expect(end!.attempts).toEqual<Attempt[]>([
      { instance: "a", beginUs: 0, endUs: 15_000, code: "CANCELLED" },
      { instance: "b", beginUs: 10_000, endUs: 15_000, code: "OK" },
    ]);
    expect(stats()).toEqual([
      { inFlight: 0, succeeded: 0, failed: 0 },
      { inFlight: 0, succeeded: 1, failed: 0 },
      { inFlight: 0, succeeded: 0, failed: 0 },
    ]);
    expect(clock.pending).toBe(0);
  });

  test("that repeat what nobody saw are marked", async () => {
    const serve: Serve = (address) =>
      address === "a" ? Promise.reject(new RpcError("", { code: "UNAVAILABLE", reach: "nowhere" })) : Promise.resolve();
    const { stub, of } = world({ retry: {} }, serve);
    await stub.lookup({});
    expect(of("call.end")[0]!.attempts.map(({ instance, isTransparent }) => [instance, isTransparent])).toEqual([
      ["a", undefined],
      ["b", true],
    ]);
  });
});

describe("failsafe and failback", () => {
  test("answer an empty message at the call's deadline, and the call counts as OK with an attempt that isn't", async () => {
    for (const cluster of ["failsafe", "failback"]) {
      const { stub, clock, of } = world({ cluster, timeoutMs: 100 }, silent);
      const call = stub.lookup({});
      await clock.advance(100_000);
      expect(await call).toMatchObject({ service: "", version: 0 });
      expect(of("call.end")).toMatchObject([{ code: "OK", attempts: [{ code: "DEADLINE_EXCEEDED", endUs: 100_000 }] }]);
    }
  });

  test("tell a caller that cancels so", async () => {
    const { stub, clock, heard } = world({ cluster: "failsafe" }, silent);
    const call = stub.lookup({});
    const ended = expect(call).rejects.toMatchObject({ code: "CANCELLED" });
    heard[0]!.parent!.cancel();
    await clock.advance(1);
    await ended;
  });

  test("a redelivery is a logical call of its own, with a deadline of its own, that names the call it repeats", async () => {
    let isUp = false;
    const serve: Serve = (address, call, time) => (isUp ? Promise.resolve() : refuse(address, call, time));
    const { stub, clock, of, heard } = world({ cluster: "failback", failback: { intervalMs: 2000 } }, serve);
    await stub.lookup({ service: "x" });
    await clock.advance(2_000_000);
    isUp = true;
    await clock.advance(10_000_000);
    const begun = of("call.begin") as readonly CallBegin[];
    expect(begun.map(({ call, redelivers }) => [call, redelivers])).toEqual([
      [1, undefined],
      [2, 1],
      [3, 1],
    ]);
    expect((of("call.end") as readonly CallEnd[]).map(({ code }) => code)).toEqual(["OK", "UNAVAILABLE", "OK"]);
    expect(heard.map((call) => call.metadata.get(previousAttemptsKey))).toEqual([undefined, "1", "2"]);
    expect(clock.pending).toBe(0);
  });

  test("a closed client redelivers nothing, and says so", async () => {
    const { stub, clock, of, client, heard } = world({ cluster: "failback" }, refuse);
    await stub.lookup({});
    client.close();
    await clock.advance(60_000_000);
    expect(heard).toHaveLength(1);
    expect(of("policy")).toMatchObject([{ policy: "failback", service: "orders", state: "dropped" }]);
  });
});

test("settings that contradict one another, and budgets that don't exist, are refused with what to do", () => {
  expect(() => world({ retry: {}, retries: 2 }, silent)).toThrow(
    expect.objectContaining({ code: "INVALID_ARGUMENT", hint: 'leave out "retries"' }),
  );
  expect(() => world({ retryBudget: { policy: "lavish" } }, silent)).toThrow(/no retry budget "lavish"/);
});
