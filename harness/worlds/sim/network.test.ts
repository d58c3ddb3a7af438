import fc from "fast-check";
import { expect, test } from "vitest";

import { Call } from "../../../runtime/call/call.ts";
import { createServer } from "../../../runtime/call/server.ts";
import { methodsOf } from "../../../runtime/call/service.ts";
import type { RpcError } from "../../../runtime/call/status.ts";
import type { Listener } from "../../../runtime/ports/transport.ts";
import { Worker, type DoRequest } from "../../../services/proto/worker_pb.ts";
import { nodeHost } from "../../cli/host.ts";
import type { LinkShape } from "../world.ts";
import { Engine } from "./engine.ts";
import { Network } from "./network.ts";
import { defaultParameters } from "./parameters.ts";
import { SimClock, SimProcess } from "./process.ts";
import { SimTransport } from "./transport.ts";

const host = await nodeHost();
const method = methodsOf(Worker).get("do")!;
const timeoutUs = 2_000_000;

const shape: fc.Arbitrary<LinkShape> = fc.oneof(
  fc.constant({}),
  fc.record({ cut: fc.constantFrom("forward" as const, "backward" as const, "both" as const) }),
  fc.record({ lossProbability: fc.constantFrom(0.1, 0.5, 1) }),
  fc.record({ isRefusing: fc.constant(true) }),
  fc.record({ bandwidthBytesPerSecond: fc.integer({ min: 1_000, max: 1_000_000 }) }),
  fc.record({ slowCloseUs: fc.nat(3_000_000) }),
  fc.record({
    latency: fc.record({
      addUs: fc.nat(500_000),
      jitterUs: fc.nat(200_000),
      distribution: fc.constantFrom("uniform" as const, "normal" as const, "exponential" as const, "pareto" as const),
    }),
  }),
);

const fault = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("shape" as const), shape }) },
  fc.record({ kind: fc.constantFrom("reset" as const, "kill" as const, "restart" as const) }),
  fc.record({ kind: fc.constantFrom("pause" as const, "resume" as const, "drain" as const) }),
);
const schedule = fc.array(fc.record({ afterUs: fc.nat(1_500_000), fault }), { maxLength: 12 });

interface Outcome {
  readonly digest: string;
  readonly ends: readonly string[];
  readonly arrivedInOrder: boolean;
  readonly isSettledInTime: boolean;
  readonly left: number;
}

/** A client that calls a server every 50 ms, while the faults of a schedule come and go. */
async function play(steps: readonly { afterUs: number; fault: Fault }[], seed: number): Promise<Outcome> {
  const engine = new Engine({ host, seed });
  const network = new Network(engine, { ...defaultParameters, link: { kind: "exponential", meanUs: 300 } });
  const harness = new SimClock(new SimProcess(engine, 9));
  const boot = (name: string, number: number) => {
    const process = new SimProcess(engine, number);
    const machine = network.host(name) ?? network.addHost(name, name, process);
    machine.process = process;
    const clock = new SimClock(process);
    const transport = new SimTransport({ network, host: machine, process, clock });
    return { process, host: machine, clock, transport };
  };
  const client = boot("client", 0);
  const link = network.link(client.host, boot("server", 1).host);
  let server: ReturnType<typeof boot> | undefined;
  let listener: Listener | undefined;
  let lastArrived = -1;
  let arrivedInOrder = true;
  const serve = async (): Promise<void> => {
    server = boot("server", 1);
    const { transport } = server;
    listener = await createServer({ transport })
      .add(Worker, {
        do: async (request, call) => {
          // Each connection is made after the one before broke, so the order holds across them too.
          const number = Number(request.payload);
          if (number <= lastArrived) arrivedInOrder = false;
          lastArrived = number;
          await call.clock.sleep(20_000);
          return { payload: request.payload };
        },
        async *stream() {},
      })
      .listen("server:80");
  };
  const apply = async (step: Fault): Promise<void> => {
    if (step.kind === "shape") link.setShape(step.shape);
    else if (step.kind === "reset") link.reset();
    else if (step.kind === "pause") server?.process.pause();
    else if (step.kind === "resume") server?.process.resume();
    else if (step.kind === "drain") void listener?.drain(500_000);
    else {
      server?.process.kill();
      network.crash(link.to);
      if (step.kind === "restart") await serve();
    }
  };
  const ends: string[] = [];
  let isSettledInTime = true;
  const callOnce = async (number: number): Promise<void> => {
    const begin = engine.now;
    const call = new Call({ clock: client.clock, service: "worker", method: method.path, timeoutUs });
    const request = method.input.create({ payload: String(number) }) as DoRequest;
    try {
      await client.transport.invoke("server:80", method, call, request);
      ends.push(`${number} OK`);
    } catch (error) {
      ends.push(`${number} ${(call.reason ?? (error as RpcError)).code}`);
    }
    call.end();
    if (engine.now - begin > timeoutUs) isSettledInTime = false;
  };
  return engine.run(async () => {
    await serve();
    const calls: Promise<void>[] = [];
    const caller = (async () => {
      for (let number = 0; number < 100; number++) {
        calls.push(callOnce(number));
        await client.clock.sleep(50_000);
      }
    })();
    for (const step of steps) {
      await harness.sleep(step.afterUs);
      await apply(step.fault);
    }
    await caller;
    await Promise.all(calls);
    // Heal everything: then a call gets through, and nothing of the old ones is left.
    server?.process.resume();
    link.setShape({});
    server?.process.kill();
    network.crash(link.to);
    await harness.sleep(30_000_000);
    lastArrived = -1;
    await serve();
    await harness.sleep(2_000_000);
    await callOnce(100);
    const left = [...client.host.connections].length - 1 + ([...link.to.connections].length - 1);
    return { digest: engine.digest(), ends, arrivedInOrder, isSettledInTime, left };
  });
}

type Fault = typeof fault extends fc.Arbitrary<infer T> ? T : never;

test("whatever faults come and go: each call ends once and in time, in order, and after the heal all is well", async () => {
  await fc.assert(
    fc.asyncProperty(schedule, fc.nat(), async (steps, seed) => {
      const outcome = await play(steps, seed);
      expect(outcome.ends.length).toBe(101);
      expect(new Set(outcome.ends.map((end) => end.split(" ")[0])).size).toBe(101);
      expect(outcome.isSettledInTime).toBe(true);
      expect(outcome.arrivedInOrder).toBe(true);
      expect(outcome.ends.at(-1)).toBe("100 OK");
      expect(outcome.left).toBe(0);
    }),
    { numRuns: 150 },
  );
});

test("a run is a function of its seed and its faults alone", async () => {
  await fc.assert(
    fc.asyncProperty(schedule, fc.nat(), async (steps, seed) => {
      expect(await play(steps, seed)).toEqual(await play(steps, seed));
    }),
    { numRuns: 20 },
  );
});
