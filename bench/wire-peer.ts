// One side of the bench `wire`: node wire-peer.ts server|client STACK [ADDRESS]. It is told what to do over IPC.
import { createClient } from "../runtime/call/client.ts";
import { createServer } from "../runtime/call/server.ts";
import { systemClock } from "../runtime/node/clock.ts";
import { framedTransport } from "../runtime/node/framed.ts";
import { tripleTransport } from "../runtime/node/triple.ts";
import type { Registry } from "../runtime/ports/registry.ts";
import { silent } from "../runtime/ports/telemetry.ts";
import type { Transport } from "../runtime/ports/transport.ts";
import { createRandom } from "../runtime/random.ts";
import { Worker } from "../services/proto/worker_pb.ts";
import { grpcJsTransport } from "./grpc-js/transport.ts";

export interface WireWindow {
  readonly bytes: number;
  readonly inFlight: number;
  readonly windowMs: number;
}

export interface WireReport {
  readonly calls: number;
  /** Of this process: since the window began, or since it was started. */
  readonly cpuUs: number;
}

const clock = systemClock();
const [role, stack, address = ""] = process.argv.slice(2);
const transports: Readonly<Record<string, () => Transport>> = {
  ours: () => tripleTransport({ clock }),
  framed: () => framedTransport({ clock }),
  "grpc-js": () => grpcJsTransport({ clock }),
};
const transport = transports[stack!]!();
const cpuUs = (since?: NodeJS.CpuUsage): number => {
  const { user, system } = process.cpuUsage(since);
  return user + system;
};
const send = (message: unknown): void => void process.send!(message);
process.on("disconnect", () => process.exit());

if (role === "server") {
  const server = createServer({ transport }).add(Worker, {
    do: async ({ payload }) => ({ instance: "workers/0", payload }),
    async *stream() {
      throw new Error("not in this bench");
    },
  });
  const listener = await server.listen("127.0.0.1:0");
  process.on("message", () => send({ calls: 0, cpuUs: cpuUs() } satisfies WireReport));
  send(listener.address);
} else {
  const instance = { id: "workers/0", service: "workers", address, weight: 100, metadata: {} };
  const registry: Registry = {
    state: "connected",
    register: () => Promise.reject(new Error("nobody registers here")),
    lookup: () => Promise.reject(new Error("nobody looks here")),
    watch: (service, listener) => {
      listener({ service, version: 1, instances: [instance], removed: [] });
      return { close: () => undefined };
    },
    close: async () => undefined,
  };
  const client = createClient({
    ...{ clock, transport, random: createRandom(1), application: "bench", registry, telemetry: silent },
  });
  const stub = client.service("workers", Worker, { timeoutMs: 10_000 });
  const metadata = new Map([
    ["dubbo.tag", "gray"],
    ["x-request", "7f3a"],
    ["x-tenant", "acme"],
  ]);
  process.on("message", ({ bytes, inFlight, windowMs }: WireWindow) => {
    const payload = "x".repeat(bytes);
    const untilMs = performance.now() + windowMs;
    const before = process.cpuUsage();
    let calls = 0;
    const caller = async (): Promise<void> => {
      while (performance.now() < untilMs) {
        await stub.do({ key: "k", payload }, { metadata });
        calls++;
      }
    };
    void Promise.all(Array.from({ length: inFlight }, caller)).then(() => {
      send({ calls, cpuUs: cpuUs(before) } satisfies WireReport);
    });
  });
  send("ready");
}
