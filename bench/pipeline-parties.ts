import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Client, credentials, Server, ServerCredentials } from "@grpc/grpc-js";

import { Call } from "../runtime/call/call.ts";
import { builtInPolicies, createClient, type ServiceSettings } from "../runtime/call/client.ts";
import { createServer } from "../runtime/call/server.ts";
import { methodsOf } from "../runtime/call/service.ts";
import { systemClock } from "../runtime/node/clock.ts";
import { createMetrics } from "../runtime/node/telemetry/metrics.ts";
import { tripleTransport } from "../runtime/node/triple.ts";
import type { ConfigCenter } from "../runtime/ports/config-center.ts";
import type { Registry } from "../runtime/ports/registry.ts";
import type { Telemetry } from "../runtime/ports/telemetry.ts";
import { createRandom } from "../runtime/random.ts";
import { Tracer } from "../runtime/telemetry/tracer.ts";
import { DoReplySchema, DoRequestSchema, Worker, type DoReply } from "../services/proto/worker_pb.ts";

/** Makes one call, and is a whole system for it: clients and servers in this process. */
export interface Party {
  call(payload: string): Promise<DoReply>;
  close(): Promise<void>;
}

/** Everybody's calls are shared out among so many servers. */
const servers = 4;
/** Long enough for a busy machine. */
const timeoutMs = 30_000;

const clock = systemClock();
const loopback = "127.0.0.1:0";

/** @grpc/grpc-js as its users use it, with a deadline and no more; the servers take turns. */
export async function bare(): Promise<Party> {
  const { path } = methodsOf(Worker).get("do")!;
  const started = await Promise.all(Array.from({ length: servers }, (_, index) => grpcServer(path, index)));
  const clients = started.map(({ port }) => new Client(`127.0.0.1:${port}`, credentials.createInsecure()));
  let turn = 0;
  const encode = (request: Parameters<typeof toBinary<typeof DoRequestSchema>>[1]): Buffer =>
    Buffer.from(toBinary(DoRequestSchema, request));
  const decode = (bytes: Buffer): DoReply => fromBinary(DoReplySchema, bytes);
  return {
    call: (payload) =>
      new Promise((resolve, reject) => {
        const client = clients[turn++ % servers]!;
        const request = create(DoRequestSchema, { key: "u1", payload });
        client.makeUnaryRequest(path, encode, decode, request, { deadline: Date.now() + timeoutMs }, (error, reply) => {
          if (error !== null) reject(error);
          else resolve(reply!);
        });
      }),
    close: () => {
      for (const client of clients) client.close();
      for (const { server } of started) server.forceShutdown();
      return Promise.resolve();
    },
  };
}

async function grpcServer(path: string, index: number): Promise<{ readonly server: Server; readonly port: number }> {
  const server = new Server();
  server.register(
    path,
    (call: { readonly request: { readonly payload: string } }, answer: (error: null, reply: DoReply) => void) =>
      answer(null, create(DoReplySchema, { instance: `orders/${index}`, payload: call.request.payload })),
    (reply: DoReply) => Buffer.from(toBinary(DoReplySchema, reply)),
    (bytes: Buffer) => fromBinary(DoRequestSchema, bytes),
    "unary",
  );
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync(loopback, ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  return { server, port };
}

/** Our transport for Triple and nothing above it; the servers take turns. */
export async function ungoverned(): Promise<Party> {
  const transport = tripleTransport({ clock });
  const method = methodsOf(Worker).get("do")!;
  const listening = await Promise.all(
    Array.from({ length: servers }, (_, index) => listen(transport, `orders/${index}`, {})),
  );
  let turn = 0;
  return {
    call: async (payload) => {
      const { path } = method;
      const call = new Call({ clock, service: "orders", method: path, timeoutUs: timeoutMs * 1000 });
      try {
        const request = method.input.create({ key: "u1", payload });
        const response = await transport.invoke(listening[turn++ % servers]!, method, call, request);
        return (response as { readonly message: unknown }).message as DoReply;
      } finally {
        call.end();
      }
    },
    close: () => transport.close(),
  };
}

/** What stands between a caller and the network: nothing left out that a service would have switched on. */
const settings: ServiceSettings = {
  timeoutMs,
  balancer: "p2c",
  retry: { maxAttempts: 3 },
  retryBudget: { policy: "grpc" },
  outlier: { successRate: {}, failurePercentage: {} },
  breaker: { scope: "instance" },
  concurrencyLimit: { kind: "fixed", initial: 1000 },
};

/** The documents of an application whose rules are in use: a lane, a canary for some callers, a timeout that was raised live. */
const documents: Readonly<Record<string, string>> = {
  "orders.tag-router": `configVersion: v3.0
force: false
enabled: true
key: orders
tags:
  - name: gray
    addresses: ["10.9.9.9:20880"]
`,
  "orders.condition-router": `configVersion: v3.0
scope: application
force: false
runtime: true
enabled: true
key: orders
conditions:
  - attachments[tier]=vip => pool=fast
  - arguments[0].key=u7 => pool=beta
`,
  "orders.configurators": `configVersion: v3.0
scope: application
key: orders
enabled: true
configs:
  - side: consumer
    parameters: { timeout: 20000 }
`,
};

export interface Watching {
  /** Prometheus's counters and histograms of every call, on both sides. */
  readonly metrics?: boolean;
  /** Spans of every call, on both sides. */
  readonly tracing?: boolean;
}

/** The whole way of a call, with the rules and the protection of a service in use, and each call's records for the history. */
export async function governed({ metrics = false, tracing = false }: Watching = {}): Promise<Party> {
  const transport = tripleTransport({ clock });
  let records = 0;
  const counting: Telemetry = { emit: () => void records++ };
  const measured = metrics ? createMetrics({ clock, node: "storefront/0" }) : undefined;
  const telemetry = measured?.counting(counting) ?? counting;
  const policies = measured?.watched(builtInPolicies) ?? builtInPolicies;
  const tracer = tracing ? tracerOf(() => void records++) : undefined;
  const instances = await Promise.all(
    Array.from({ length: servers }, async (_, index) => {
      const id = `orders/${index}`;
      const { admissions, serverFilters } = policies;
      const ports = { clock, random: createRandom(1), report: () => undefined };
      const filters = [
        ...serverFilters,
        admissions.rateLimit({ perSecond: 1_000_000 }, ports),
        admissions.concurrencyLimit({ kind: "fixed", initial: 1000 }, ports),
      ];
      const address = await listen(transport, id, { filters, tracer });
      return { id, service: "orders", address, weight: 100, metadata: {} };
    }),
  );
  const client = createClient({
    ...{ clock, transport, telemetry, policies, tracer, random: createRandom(1), application: "storefront" },
    registry: {
      state: "connected",
      register: () => Promise.reject(new Error("nobody registers here")),
      lookup: () => Promise.reject(new Error("nobody looks here")),
      watch: (service, listener) => {
        listener({ service, version: 1, instances, removed: [] });
        return { close: () => undefined };
      },
      close: () => Promise.resolve(),
    } satisfies Registry,
    configCenter: written(documents),
  });
  const stub = client.service("orders", Worker, settings);
  await client.ready("orders", timeoutMs);
  return {
    call: (payload) => stub.do({ key: "u1", payload }),
    close: async () => {
      client.close();
      await transport.close();
    },
  };
}

async function listen(
  transport: ReturnType<typeof tripleTransport>,
  instance: string,
  options: Pick<Parameters<typeof createServer>[0], "filters" | "tracer">,
): Promise<string> {
  const server = createServer({ transport, ...options });
  server.add(Worker, {
    do: ({ payload }) => Promise.resolve({ instance, payload }),

    async *stream() {
      throw new Error("nobody asks for streams here");
    },
  });
  return (await server.listen(loopback)).address;
}

const tracerOf = (onSpan: () => void): Tracer =>
  new Tracer({ clock, random: createRandom(1), node: "storefront/0", sample: 1, onSpan });

function written(contents: Readonly<Record<string, string>>): ConfigCenter {
  const refuse = () => Promise.reject(new Error("this config centre is only read"));
  return {
    get: refuse,
    publish: refuse,
    remove: refuse,
    watch: (key, listener) => {
      const content = contents[key.key];
      const found = content !== undefined;
      listener({ ...key, content: content ?? "", version: found ? 1 : 0, exists: found });
      return { close: () => undefined };
    },
    close: () => Promise.resolve(),
  };
}
