// One side of the bench `wire`: node wire-peer.ts STACK server | STACK client ADDRESS. It is told what to do by lines of JSON, and answers
// each with one; so do the peers in other languages (peers/go/window).
import { Call } from "../runtime/call/call.ts";
import { createClient } from "../runtime/call/client.ts";
import { createServer } from "../runtime/call/server.ts";
import { methodsOf } from "../runtime/call/service.ts";
import { systemClock } from "../runtime/node/clock.ts";
import { framedTransport } from "../runtime/node/framed.ts";
import { readLines } from "../runtime/node/lines.ts";
import { tripleTransport } from "../runtime/node/triple.ts";
import type { Registry } from "../runtime/ports/registry.ts";
import { silent } from "../runtime/ports/telemetry.ts";
import type { Transport } from "../runtime/ports/transport.ts";
import { createRandom } from "../runtime/random.ts";
import { Worker } from "../services/proto/worker_pb.ts";
import { grpcJsTransport } from "./grpc-js/transport.ts";
import { callBare, serveBare } from "./wire-bare.ts";
import { callConnect, serveConnect } from "./wire-connect.ts";

export interface WireWindow {
  readonly bytes: number;
  readonly windowMs: number;
  /** A closed loop: so many at a time. */
  readonly inFlight?: number;
  /** An open loop: so many a second, each due at its own time, whatever became of those before. */
  readonly perSecond?: number;
}

export interface WireReport {
  readonly calls: number;
  /** Of this process: since the window began, or since it was started. */
  readonly cpuUs: number;
  /** Of an open loop: from when a call was due until its answer. */
  readonly p50Us?: number;
}

type MakeCall = (payload: string) => Promise<unknown>;

const clock = systemClock();
/** Of each governed call, and of its peers' that have such. */
const timeoutMs = 10_000;
const metadata = new Map([
  ["dubbo.tag", "gray"],
  ["x-request", "7f3a"],
  ["x-tenant", "acme"],
]);
const transports: Readonly<Record<string, () => Transport>> = {
  ours: () => tripleTransport({ clock }),
  framed: () => framedTransport({ clock }),
  "grpc-js": () => grpcJsTransport({ clock }),
};
/** Those that have no transport of ours, by name. */
const serving: Readonly<Record<string, () => Promise<string>>> = { bare: serveBare, "connect-node": serveConnect };
/** Those whose calls nobody governs. */
const calling: Readonly<Record<string, () => MakeCall | Promise<MakeCall>>> = {
  bare: () => callBare(address),
  "connect-node": () => callConnect(address, { metadata, timeoutMs }),
  "framed-alone": () => alone(transportOf("framed-alone")),
};
const [stack = "", role, address = ""] = process.argv.slice(2);
if (role === "server") await serve();
else await call();
process.stdin.on("end", () => process.exit());

async function serve(): Promise<void> {
  const listening = await (serving[stack]?.() ?? listen(transportOf(stack)));
  obey(async () => ({ calls: 0, cpuUs: cpuUs() }));
  say(listening);
}

async function call(): Promise<void> {
  const make = await (calling[stack]?.() ?? governed());
  obey(async (window) => {
    const before = process.cpuUsage();
    const seen = await (window.perSecond === undefined ? closedLoop(make, window) : openLoop(make, window));
    return { ...seen, cpuUs: cpuUs(before) };
  });
  say("ready");
}

async function listen(transport: Transport): Promise<string> {
  const server = createServer({ transport }).add(Worker, {
    do: async ({ payload }) => ({ instance: "workers/0", payload }),
    async *stream() {
      throw new Error("not in this bench");
    },
  });
  return (await server.listen("127.0.0.1:0")).address;
}

/** Metadata, a deadline, discovery, balancing, filters. */
function governed(): MakeCall {
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
    ...{ clock, transport: transportOf(stack), random: createRandom(1), application: "bench", registry },
    telemetry: silent,
  });
  const stub = client.service("workers", Worker, { timeoutMs });
  return (payload) => stub.do({ key: "k", payload }, { metadata });
}

/** The transport and nothing around it. */
function alone(transport: Transport): MakeCall {
  const method = methodsOf(Worker).get("do")!;
  return (payload) => {
    const one = new Call({ clock, service: "workers", method: method.path });
    return transport.invoke(address, method, one, method.input.create({ key: "k", payload }));
  };
}

async function closedLoop(make: MakeCall, { bytes, inFlight = 1, windowMs }: WireWindow) {
  const payload = "x".repeat(bytes);
  const untilMs = performance.now() + windowMs;
  let calls = 0;
  const caller = async (): Promise<void> => {
    while (performance.now() < untilMs) {
      await make(payload);
      calls++;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, caller));
  return { calls };
}

/** A timer would be up to a millisecond late: the event loop goes round and looks. */
async function openLoop(make: MakeCall, { bytes, perSecond = 1, windowMs }: WireWindow) {
  const payload = "x".repeat(bytes);
  const beginMs = performance.now();
  const total = Math.round((perSecond * windowMs) / 1000);
  const tookUs: number[] = [];
  const begun: Promise<void>[] = [];
  for (let next = 0; next < total;) {
    await new Promise(setImmediate);
    for (; next < total && performance.now() >= beginMs + (next * 1000) / perSecond; next++) {
      const dueMs = beginMs + (next * 1000) / perSecond;
      begun.push(make(payload).then(() => void tookUs.push((performance.now() - dueMs) * 1000)));
    }
  }
  await Promise.all(begun);
  return { calls: total, p50Us: tookUs.sort((a, b) => a - b)[Math.floor(total / 2)]! };
}

function transportOf(name: string): Transport {
  return transports[name === "framed-alone" ? "framed" : name]!();
}

function obey(answer: (window: WireWindow) => Promise<WireReport>): void {
  readLines(process.stdin, (line) => void answer(JSON.parse(line) as WireWindow).then(say));
}

function say(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

function cpuUs(since?: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(since);
  return user + system;
}
