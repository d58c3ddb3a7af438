import { createRequire } from "node:module";

import { Client, credentials, Metadata, Server, ServerCredentials, type handleUnaryCall } from "@grpc/grpc-js";
import { afterEach, describe, expect, test } from "vitest";

import { orcaKey, writeReport } from "../../balancing/reports/orca.ts";
import { createClient, type ServiceSettings } from "../../call/client.ts";
import type { Filter } from "../../call/filter.ts";
import { createServer } from "../../call/server.ts";
import { methodsOf, type Handlers } from "../../call/service.ts";
import { Registry as RegistryService } from "../../discovery/proto/registry_pb.ts";
import type { Registry } from "../../ports/registry.ts";
import { createRandom } from "../../random.ts";
import { systemClock } from "../clock.ts";
import { tripleTransport } from "../triple.ts";

/**
 * Ours beside @grpc/grpc-js's own balancing policies (service config): the same servers, called by each. And the load reports of each
 * read by the other.
 */

// @grpc/grpc-js reads and parses the description of a report again for every report: 20 ms each.
const loader = createRequire(import.meta.url)("@grpc/proto-loader") as { loadSync: (...input: unknown[]) => unknown };
const { loadSync } = loader;
const loaded = new Map<unknown, unknown>();
loader.loadSync = (file, ...more) => {
  if (!loaded.has(file)) loaded.set(file, loadSync(file, ...more));
  return loaded.get(file);
};

const clock = systemClock();
const lookup = methodsOf(RegistryService).get("lookup")!;
const owned: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of owned.splice(0).reverse()) await close();
});

/** What a server says of its load with every answer. */
const perSecond = 100;

interface Counted {
  readonly address: string;
  calls: number;
}

/** A server of @grpc/grpc-js's that reports this utilisation. */
async function theirServer(utilization: number): Promise<Counted> {
  const server = new Server({ "grpc.server_call_metric_recording": 1 });
  const counted = { address: "", calls: 0 };
  const answer: handleUnaryCall<unknown, unknown> = (call, done) => {
    counted.calls++;
    const recorder = call.getMetricsRecorder();
    recorder.recordQpsMetric(perSecond);
    recorder.recordApplicationUtilizationMetric(utilization);
    done(null, { service: "orders" });
  };
  const encode = (message: unknown): Buffer => Buffer.from(lookup.output.encode(lookup.output.create(message)));
  server.register(lookup.path, answer, encode, (bytes: Buffer) => lookup.input.decode(bytes), "unary");
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  owned.push(() => server.forceShutdown());
  counted.address = `127.0.0.1:${port}`;
  return counted;
}

/** The same of ours. */
async function ourServer(utilization: number): Promise<Counted> {
  const transport = tripleTransport({ clock });
  owned.push(() => transport.close());
  const counted = { address: "", calls: 0 };
  const reporting: Filter = async (call, request, next) => {
    counted.calls++;
    const response = await next(call, request);
    if (response.kind === "stream") return response;
    return { ...response, trailers: new Map([[orcaKey, writeReport({ perSecond, errorsPerSecond: 0, utilization })]]) };
  };
  const server = createServer({ transport, filters: [reporting] });
  const handlers = { lookup: async () => ({ service: "orders" }) };
  // Nobody calls the others.
  server.add(RegistryService, handlers as unknown as Handlers<typeof RegistryService>);
  counted.address = (await server.listen("127.0.0.1:0")).address;
  return counted;
}

type Caller = () => Promise<void>;

function theirs(servers: readonly Counted[], policy: object): Caller {
  const client = new Client(`ipv4:${servers.map(({ address }) => address).join()}`, credentials.createInsecure(), {
    "grpc.service_config": JSON.stringify({ loadBalancingConfig: [policy] }),
  });
  owned.push(() => client.close());
  return () =>
    new Promise((resolve, reject) => {
      client.makeUnaryRequest(
        lookup.path,
        (message: unknown) => Buffer.from(lookup.input.encode(message)),
        (bytes: Buffer) => lookup.output.decode(bytes),
        lookup.input.create({ service: "orders" }),
        new Metadata(),
        { deadline: Date.now() + 10_000 },
        (error: Error | null) => (error === null ? resolve() : reject(error)),
      );
    });
}

function ours(servers: readonly Counted[], settings: ServiceSettings): Caller {
  const registry: Registry = {
    state: "connected",
    register: () => Promise.reject(new Error("nobody registers here")),
    lookup: () => Promise.reject(new Error("nobody looks here")),
    watch: (service, listener) => {
      const instances = servers.map(({ address }, index) => {
        return { id: `${service}/${index}`, service, address, weight: 100, metadata: {} };
      });
      listener({ service, version: 1, instances, removed: [] });
      return { close: () => undefined };
    },
    close: async () => undefined,
  };
  const transport = tripleTransport({ clock });
  const client = createClient({ clock, transport, random: createRandom(1), application: "shop", registry });
  owned.push(
    () => transport.close(),
    () => client.close(),
  );
  const stub = client.service("orders", RegistryService, { timeoutMs: 10_000, ...settings });
  return () => stub.lookup({ service: "orders" }).then(() => undefined);
}

/** Calls one after the other; answers how many each server got. */
async function counts(servers: readonly Counted[], call: Caller, calls: number): Promise<readonly number[]> {
  for (const server of servers) server.calls = 0;
  for (let index = 0; index < calls; index++) await call();
  return servers.map((server) => server.calls);
}

/** Until @grpc/grpc-js is connected to all of them, and both have heard of all. */
async function warmUp(servers: readonly Counted[], call: Caller): Promise<void> {
  for (const server of servers) server.calls = 0;
  do await call();
  while (servers.some(({ calls }) => calls === 0));
}

describe("beside @grpc/grpc-js's own", () => {
  test("round-robin: everybody in turn", async () => {
    const servers = await Promise.all([0.5, 0.5, 0.5].map(theirServer));
    for (const call of [theirs(servers, { round_robin: {} }), ours(servers, { balancer: "round-robin" })]) {
      await warmUp(servers, call);
      expect(await counts(servers, call, 300)).toEqual([100, 100, 100]);
    }
  });

  test.each([
    ["theirs", theirServer],
    ["ours", ourServer],
  ])("weighted round-robin, by reports of servers that are %s: the same shares", async (_, serverOf) => {
    // 100 calls a second at so much of what it can do: weights 400, 200 and 100.
    const servers = await Promise.all([0.25, 0.5, 1].map(serverOf));
    const config = { weighted_round_robin: { blackout_period: "0s", weight_update_period: "0.1s" } };
    const settings = { balancer: "weighted-round-robin", weightedRoundRobin: { blackoutMs: 0, weightUpdateMs: 100 } };
    const expected = [200, 100, 50];
    for (const call of [theirs(servers, config), ours(servers, settings)]) {
      await warmUp(servers, call);
      // Until the weights have been taken over: from then on they don't change.
      await expect
        .poll(async () => isNear(await counts(servers, call, 70), [40, 20, 10]), { timeout: 5_000 })
        .toBe(true);
      expect(isNear(await counts(servers, call, 350), expected)).toBe(true);
    }
  });

  /** A new picker of theirs begins anywhere in its order, ours goes on: they may be off by a few at each update. */
  const isNear = (counted: readonly number[], expected: readonly number[]): boolean =>
    counted.every((count, index) => Math.abs(count - expected[index]!) <= 3 + expected[index]! * 0.05);
});
