import { expect, test } from "vitest";

import { Call } from "../../../runtime/call/call.ts";
import { metadata } from "../../../runtime/call/metadata.ts";
import { createServer } from "../../../runtime/call/server.ts";
import { methodsOf, type Handlers } from "../../../runtime/call/service.ts";
import { RpcError } from "../../../runtime/call/status.ts";
import { clientStreamsContract } from "../../../runtime/ports/client-streams.contract.ts";
import { transportContract } from "../../../runtime/ports/transport.contract.ts";
import type { Listener, Response } from "../../../runtime/ports/transport.ts";
import { Worker, type DoReply, type DoRequest } from "../../../services/proto/worker_pb.ts";
import { nodeHost } from "../../cli/host.ts";
import { Engine } from "./engine.ts";
import { Network, type SimHost } from "./network.ts";
import { defaultParameters, type SimParameters } from "./parameters.ts";
import { SimClock, SimProcess } from "./process.ts";
import { SimTransport } from "./transport.ts";

const host = await nodeHost();
const methods = methodsOf(Worker);
const doMethod = methods.get("do")!;
const streamMethod = methods.get("stream")!;

const second = 1_000_000;
const address = "server:80";

interface Machine {
  readonly host: SimHost;
  readonly transport: SimTransport;
  readonly clock: SimClock;
  readonly process: SimProcess;
}

/** Two machines, 100 µs apart. */
function twoMachines(parameters: Partial<SimParameters> = {}, seed = 1) {
  const engine = new Engine({ host, seed });
  const network = new Network(engine, { ...defaultParameters, ...parameters });
  const boot = (name: string, number: number): Machine => {
    const process = new SimProcess(engine, number);
    const clock = new SimClock(process);
    const known = network.host(name);
    if (known !== undefined) known.process = process;
    const machine = known ?? network.addHost(name, name, process);
    return {
      host: machine,
      process,
      clock,
      transport: new SimTransport({ network, host: machine, process, clock }),
    };
  };
  const client = boot("client", 0);
  const server = boot("server", 1);
  return {
    engine,
    network,
    client,
    server,
    link: network.link(client.host, server.host),
    reboot: () => boot("server", 1),
  };
}

type World = ReturnType<typeof twoMachines>;

const echo: Handlers<typeof Worker> = {
  do: async (request) => ({ instance: "server", payload: request.payload }),
  async *stream(request, call) {
    for (let index = 0; index < request.count; index++) {
      if (index > 0) await call.clock.sleep(request.intervalMs * 1000);
      yield { payload: String(index) };
    }
  },
};

function serve(machine: Machine, handlers: Handlers<typeof Worker> = echo, at = address): Promise<Listener> {
  return createServer({ transport: machine.transport }).add(Worker, handlers).listen(at);
}

/** One call; answers the payload or the error's code, and when. */
async function call(
  { client, engine }: World,
  options: { payload?: string; timeoutUs?: number; to?: string } = {},
): Promise<string> {
  const made = newCall(client, options.timeoutUs);
  const request = doMethod.input.create({ payload: options.payload ?? "hello" });
  try {
    const response = await invoke(client, made, request, options.to);
    return `${(response as { message: DoReply }).message.payload} at ${engine.now}`;
  } catch (error) {
    return `${(made.reason ?? (error as RpcError)).code} at ${engine.now}`;
  } finally {
    made.end();
  }
}

const newCall = (client: Machine, timeoutUs?: number): Call =>
  new Call({ clock: client.clock, service: "worker", method: doMethod.path, timeoutUs });

const invoke = (client: Machine, made: Call, request: unknown, to = address): Promise<Response> =>
  client.transport.invoke(to, doMethod, made, request);

function kill(world: World, machine: Machine): void {
  machine.process.kill();
  world.network.crash(machine.host);
}

for (const [fact, holds] of Object.entries({ ...transportContract, ...clientStreamsContract })) {
  test(`as every transport: ${fact}`, async () => {
    const { engine, client, server, link } = twoMachines();
    await engine.run(() =>
      holds({
        clock: client.clock,
        client: client.transport,
        server: server.transport,
        listenAt: "server:0",
        breakConnections: () => link.reset(),
      }),
    );
  });
}

test("the first call waits for the handshake, the next one takes one round trip", async () => {
  const world = twoMachines();
  const ends = await world.engine.run(async () => {
    await serve(world.server);
    return [await call(world), await call(world)];
  });
  expect(ends).toEqual(["hello at 400", "hello at 600"]);
});

test("messages and metadata cross as copies, the deadline as the time that is left", async () => {
  const world = twoMachines();
  const request = doMethod.input.create({ payload: "before" }) as DoRequest;
  await world.engine.run(async () => {
    let seen: [string, string | undefined, number] | undefined;
    const reply = { instance: "x", payload: "reply" };
    await serve(world.server, {
      ...echo,
      do: async (message, own) => {
        seen = [message.payload, own.metadata.get("user"), own.remainingUs()];
        message.payload = "changed by the server";
        return reply;
      },
    });
    const made = new Call({
      clock: world.client.clock,
      service: "worker",
      method: doMethod.path,
      timeoutUs: 10_000,
      metadata: metadata({ User: "ada" }),
    });
    const pending = invoke(world.client, made, request);
    request.payload = "changed by the client";
    const response = await pending;
    made.end();
    expect(seen).toEqual(["before", "ada", 9_800]);
    expect(request.payload).toBe("changed by the client");
    expect((response as { message: unknown }).message).toMatchObject({ payload: "reply" });
  });
});

test("frames of one connection and direction arrive in the order in which they were sent, whatever each one's latency", async () => {
  for (const link of [
    { kind: "exponential", meanUs: 500 },
    { kind: "pareto", minUs: 100, shape: 1.1 },
    { kind: "normal", meanUs: 300, sdUs: 200 },
    { kind: "uniform", fromUs: 0, toUs: 1000 },
  ] as const) {
    const world = twoMachines({ link });
    world.link.setShape({ lossProbability: 0.2, latency: { addUs: 50, jitterUs: 50, distribution: "uniform" } });
    const arrived: string[] = [];
    await world.engine.run(async () => {
      await serve(world.server, {
        ...echo,
        do: async (request) => {
          arrived.push(request.payload);
          return {};
        },
      });
      const calls: Promise<string>[] = [];
      for (let index = 0; index < 200; index++) {
        calls.push(call(world, { payload: String(index) }));
        await world.client.clock.sleep(100);
      }
      await Promise.all(calls);
    });
    expect(arrived).toEqual(Array.from({ length: 200 }, (_, index) => String(index)));
  }
});

test("nobody listening is a refusal after one round trip; a dead machine refuses as well", async () => {
  const world = twoMachines();
  await world.engine.run(async () => {
    expect(await call(world)).toBe("UNAVAILABLE at 200");
  });
  const other = twoMachines();
  await other.engine.run(async () => {
    await serve(other.server);
    kill(other, other.server);
    expect(await call(other)).toBe("UNAVAILABLE at 200");
  });
});

test("a cut link answers nothing: the call ends by its deadline, the attempt to connect by its own time", async () => {
  const world = twoMachines({ connectTimeoutUs: 3 * second });
  await world.engine.run(async () => {
    await serve(world.server);
    world.link.setShape({ cut: "both" });
    expect(await call(world, { timeoutUs: second })).toBe("DEADLINE_EXCEEDED at 1000000");
    expect(await call(world, { timeoutUs: 10 * second })).toBe("UNAVAILABLE at 3000000");
  });
});

test("a connection that couldn't be made is tried again by the first call after a pause, each longer; calls fail at once meanwhile", async () => {
  const world = twoMachines();
  await world.engine.run(async () => {
    expect(await call(world)).toBe("UNAVAILABLE at 200");
    expect(await call(world)).toBe("UNAVAILABLE at 200");
    await serve(world.server);
    await world.client.clock.sleep(99_000);
    expect(await call(world)).toBe("UNAVAILABLE at 99200");
    await world.client.clock.sleep(1_001);
    expect(await call(world)).toBe("hello at 100601");
  });
});

test("killing the server ends calls in flight UNAVAILABLE at once; the next call connects to the next process", async () => {
  const world = twoMachines();
  await world.engine.run(async () => {
    let isRunning = true;
    await serve(world.server, {
      ...echo,
      do: async (_, own) => {
        await own.clock.sleep(10_000);
        isRunning = false;
        return {};
      },
    });
    const pending = call(world);
    await world.client.clock.sleep(5_000);
    kill(world, world.server);
    expect(await pending).toBe("UNAVAILABLE at 5100");
    await serve(world.reboot());
    expect(await call(world)).toBe("hello at 5500");
    await world.client.clock.sleep(second);
    expect(isRunning).toBe(true);
  });
});

test("what comes to a paused process waits, and is answered in order when it goes on", async () => {
  const world = twoMachines();
  await world.engine.run(async () => {
    await serve(world.server);
    await call(world);
    world.server.process.pause();
    const calls = [call(world, { payload: "a" }), call(world, { payload: "b", timeoutUs: 10_000 })];
    await world.client.clock.sleep(second);
    expect(await calls[1]).toBe("DEADLINE_EXCEEDED at 10400");
    world.server.process.resume();
    expect(await calls[0]).toBe("a at 1000500");
    world.client.process.pause();
    // The harness resumes it; its own clock stands still.
    new SimProcess(world.engine, 9).after(50_000, () => world.client.process.resume());
    expect(await call(world)).toMatch("hello at");
  });
});

test("connecting to a paused process takes until it goes on", async () => {
  const world = twoMachines();
  await world.engine.run(async () => {
    await serve(world.server);
    world.server.process.pause();
    const pending = call(world);
    await world.client.clock.sleep(second);
    world.server.process.resume();
    expect(await pending).toBe("hello at 1000300");
  });
});

test("a one-way cut holds back only its direction; after the heal everything arrives with the next retransmission", async () => {
  for (const cut of ["forward", "backward"] as const) {
    const world = twoMachines();
    await world.engine.run(async () => {
      let served = 0;
      await serve(world.server, {
        ...echo,
        do: async () => {
          served++;
          return { payload: "done" };
        },
      });
      await call(world);
      world.link.setShape({ cut });
      const calls = [call(world), call(world)];
      await world.client.clock.sleep(100_000);
      expect(served).toBe(cut === "forward" ? 1 : 3);
      world.link.setShape({});
      // Lost 100 or 200 µs after 400; sent again 200 ms later; then the rest of the way.
      const end = cut === "forward" ? "done at 200700" : "done at 200700";
      expect(await Promise.all(calls)).toEqual([end, end]);
      expect(served).toBe(3);
    });
  }
});

test("what was on its way before a cut stays behind what the cut held back", async () => {
  const world = twoMachines();
  await world.engine.run(async () => {
    const arrived: string[] = [];
    await serve(world.server, {
      ...echo,
      do: async (request) => {
        arrived.push(request.payload);
        return {};
      },
    });
    await call(world);
    const latency = { addUs: 400_000, jitterUs: 0, distribution: "uniform" } as const;
    world.link.setShape({ latency });
    const calls = [call(world, { payload: "held" })];
    await world.client.clock.sleep(100_000);
    calls.push(call(world, { payload: "in flight" }));
    await world.client.clock.sleep(250_000);
    world.link.setShape({ cut: "forward" });
    await world.client.clock.sleep(100_000);
    world.link.setShape({});
    calls.push(call(world, { payload: "sent after the heal" }));
    await Promise.all(calls);
    expect(arrived).toEqual(["hello", "held", "in flight", "sent after the heal"]);
  });
});

test("a connection that gets nothing through is given up by its sender after the last retransmission", async () => {
  const world = twoMachines();
  await world.engine.run(async () => {
    await serve(world.server);
    await call(world);
    world.link.setShape({ cut: "forward" });
    // 200 ms · (1 + 2 + 4 + … + 64), from the first loss on.
    expect(await call(world)).toBe("UNAVAILABLE at 25400500");
  });
});

test("a sender that hears no acknowledgement gives up too, although its requests arrive", async () => {
  const world = twoMachines();
  await world.engine.run(async () => {
    let served = 0;
    await serve(world.server, { ...echo, do: async () => ({ payload: String(++served) }) });
    await call(world);
    world.link.setShape({ cut: "backward" });
    expect(await call(world)).toBe("UNAVAILABLE at 25400500");
    expect(served).toBe(2);
  });
});

test("loss delays by the retransmission time, doubled for each further loss, and breaks the connection in the end", async () => {
  const delays = new Set<number>();
  const world = twoMachines({}, 7);
  await world.engine.run(async () => {
    await serve(world.server);
    await call(world);
    world.link.setShape({ lossProbability: 0.3 });
    for (let index = 0; index < 200; index++) {
      const begin = world.engine.now;
      await call(world);
      delays.add(world.engine.now - begin - 200);
    }
  });
  // One direction's delay, or both directions' together.
  const one = [0, 200_000, 600_000, 1_400_000, 3_000_000, 6_200_000, 12_600_000];
  const possible = new Set(one.flatMap((a) => one.map((b) => a + b)));
  for (const delay of delays) expect(possible).toContain(delay);
  expect(delays.size).toBeGreaterThan(3);

  const hopeless = twoMachines();
  await hopeless.engine.run(async () => {
    await serve(hopeless.server);
    await call(hopeless);
    hopeless.link.setShape({ lossProbability: 1 });
    expect(await call(hopeless)).toBe("UNAVAILABLE at 25400400");
  });
});

test("bandwidth makes one message wait for the one before", async () => {
  const world = twoMachines();
  await world.engine.run(async () => {
    await serve(world.server);
    await call(world);
    const payload = "x".repeat(10_000);
    const begin = world.engine.now;
    world.link.setShape({ bandwidthBytesPerSecond: second });
    await Promise.all([call(world, { payload }), call(world, { payload })]);
    // Two requests of 10 kB at 1 MB/s, then the second answer, which had to wait for the first only in part.
    const took = world.engine.now - begin;
    expect(took).toBeGreaterThan(30_000);
    expect(took).toBeLessThan(31_000);
  });
});

test("a reset breaks every connection of the link, and of no other", async () => {
  const world = twoMachines();
  await world.engine.run(async () => {
    await serve(world.server, { ...echo, do: (_, own) => own.clock.sleep(5_000).then(() => ({ payload: "late" })) });
    const pending = call(world);
    await world.client.clock.sleep(1_000);
    world.network.link(world.server.host, world.client.host).reset();
    await world.client.clock.sleep(1_000);
    world.link.reset();
    expect(await pending).toBe("UNAVAILABLE at 2000");
    expect(await call(world)).toBe("late at 7400");
  });
});

test("a refusing link resets what is there and refuses what is new, until it is healed", async () => {
  const world = twoMachines();
  await world.engine.run(async () => {
    await serve(world.server, { ...echo, do: (_, own) => own.clock.sleep(5_000).then(() => ({ payload: "late" })) });
    const pending = call(world);
    await world.client.clock.sleep(1_000);
    world.link.setShape({ isRefusing: true });
    expect(await pending).toBe("UNAVAILABLE at 1000");
    expect(await call(world)).toBe("UNAVAILABLE at 1200");
    world.link.setShape({});
    await world.client.clock.sleep(second);
    expect(await call(world)).toMatch("late at");
  });
});

test("a slow close is passed on later: until then the client believes in the connection", async () => {
  const world = twoMachines();
  await world.engine.run(async () => {
    await serve(world.server);
    await call(world);
    world.link.setShape({ slowCloseUs: 50_000 });
    kill(world, world.server);
    expect(await call(world, { timeoutUs: 10_000 })).toBe("DEADLINE_EXCEEDED at 10400");
    expect(await call(world)).toBe("UNAVAILABLE at 50500");
  });
});

test("cancelling a call tells the server", async () => {
  const world = twoMachines();
  await world.engine.run(async () => {
    let reason: string | undefined;
    await serve(world.server, {
      ...echo,
      do: async (_, own) => {
        own.onCancel((error) => (reason = `${error.code} at ${world.engine.now}`));
        await own.clock.sleep(second);
        return {};
      },
    });
    const made = newCall(world.client);
    const pending = invoke(world.client, made, doMethod.input.create({}));
    pending.catch(() => undefined);
    await world.client.clock.sleep(1_000);
    made.cancel();
    await expect(pending).rejects.toMatchObject({ code: "CANCELLED" });
    await world.client.clock.sleep(1_000);
    expect(reason).toBe("CANCELLED at 1100");
  });
});

test("a handler's status reaches the caller; an unknown exception is UNKNOWN; an unknown method UNIMPLEMENTED", async () => {
  const world = twoMachines();
  await world.engine.run(async () => {
    await serve(world.server, {
      ...echo,
      do: async (request) => {
        throw request.payload === "known" ? new RpcError("no", { code: "PERMISSION_DENIED" }) : new Error("oh");
      },
    });
    expect(await call(world, { payload: "known" })).toMatch("PERMISSION_DENIED");
    expect(await call(world, { payload: "unknown" })).toMatch("UNKNOWN");
    await world.server.transport.listen({ address: "server:81", methods: new Map() });
    expect(await call(world, { to: "server:81" })).toMatch("UNIMPLEMENTED");
    expect(await call(world, { to: "nowhere:80" })).toMatch("UNAVAILABLE");
  });
});

test("draining finishes what is in flight, refuses what is new, and says when it is done", async () => {
  const world = twoMachines();
  await world.engine.run(async () => {
    const listener = await serve(world.server, {
      ...echo,
      do: (_, own) => own.clock.sleep(5_000).then(() => ({ payload: "finished" })),
    });
    const pending = call(world);
    await world.client.clock.sleep(1_000);
    const drained = listener.drain(second).then(() => world.engine.now);
    await world.client.clock.sleep(500);
    expect(await call(world)).toBe("UNAVAILABLE at 1700");
    expect(await pending).toBe("finished at 5400");
    expect(await drained).toBe(5300);
    await expect(serve(world.server)).resolves.toBeDefined();
  });
});

test("an address can be taken once; port 0 is a free one", async () => {
  const world = twoMachines();
  await world.engine.run(async () => {
    const listener = await serve(world.server);
    await expect(serve(world.server)).rejects.toMatchObject({ code: "UNAVAILABLE" });
    await listener.close();
    await serve(world.server);
    const free = await serve(world.server, echo, "server:0");
    expect(free.address).toMatch(/^server:[1-9]\d+$/);
    expect(await call(world, { to: free.address })).toMatch("hello");
  });
});

async function stream({ client }: World, count: number, intervalMs: number): Promise<AsyncIterable<unknown>> {
  const made = new Call({ clock: client.clock, service: "worker", method: streamMethod.path });
  const request = streamMethod.input.create({ count, intervalMs });
  const response = await client.transport.invoke(address, streamMethod, made, request);
  if (response.kind !== "stream") throw new Error("not a stream");
  return response.messages;
}

test("a stream delivers its messages in order, as they come, and then ends", async () => {
  const world = twoMachines();
  const received: string[] = [];
  await world.engine.run(async () => {
    await serve(world.server);
    for await (const message of await stream(world, 3, 10)) {
      received.push(`${(message as DoReply).payload} at ${world.engine.now}`);
    }
  });
  expect(received).toEqual(["0 at 400", "1 at 10400", "2 at 20400"]);
});

test("leaving a stream early ends the handler; a broken connection breaks the stream", async () => {
  const world = twoMachines();
  await world.engine.run(async () => {
    const ended: string[] = [];
    await serve(world.server, {
      ...echo,
      async *stream(request, own) {
        own.onCancel(() => ended.push(`cancelled at ${world.engine.now}`));
        for (let index = 0; index < request.count; index++) {
          yield {};
          await own.clock.sleep(1_000);
        }
      },
    });
    for await (const _ of await stream(world, 1_000, 0)) break;
    await world.client.clock.sleep(10_000);
    expect(ended).toEqual(["cancelled at 500"]);

    const messages = await stream(world, 1_000, 0);
    world.client.clock.after(5_000, () => world.link.reset());
    await expect(
      (async () => {
        for await (const _ of messages);
      })(),
    ).rejects.toMatchObject({ code: "UNAVAILABLE" });
    await world.client.clock.sleep(1);
    expect(ended[1]).toMatch("cancelled");
  });
});

test("a closed transport takes its connections and listeners along", async () => {
  const world = twoMachines();
  await world.engine.run(async () => {
    await serve(world.server, { ...echo, do: (_, own) => own.clock.sleep(5_000).then(() => ({})) });
    const pending = call(world);
    await world.client.clock.sleep(1_000);
    await world.server.transport.close();
    expect(await pending).toBe("UNAVAILABLE at 1100");
    await world.client.transport.close();
    expect(await call(world)).toBe("UNAVAILABLE at 1100");
    expect(world.client.host.connections.size + world.server.host.connections.size).toBe(0);
  });
});

test("a released address's connection is closed when its last call has ended, also where it wasn't made yet", async () => {
  const world = twoMachines();
  await world.engine.run(async () => {
    await serve(world.server, { ...echo, do: (_, own) => own.clock.sleep(5_000).then(() => ({})) });
    const connections = (): number => world.client.host.connections.size;
    for (let time = 0; time < 2; time++) {
      const pending = call(world);
      if (time === 1) await world.client.clock.sleep(1_000);
      world.client.transport.release(address);
      expect(connections()).toBe(1);
      expect(await pending).toMatch(/^ at/);
      await world.client.clock.sleep(1_000);
      expect(connections()).toBe(0);
    }
    // Nobody listens there: it isn't tried again for ever.
    world.client.transport.release("server:81");
    expect(await call(world, { to: "server:81" })).toMatch(/^UNAVAILABLE/);
    world.client.transport.release("server:81");
    await world.client.clock.sleep(5 * second);
    expect(connections()).toBe(0);
  });
});

test("chance belongs to the link: a fault on one moves no draw of another", async () => {
  const latencies = async (isFaulty: boolean): Promise<string[]> => {
    const world = twoMachines({ link: { kind: "exponential", meanUs: 500 } });
    return world.engine.run(async () => {
      await serve(world.server);
      const back = world.network.link(world.server.host, world.client.host);
      if (isFaulty) back.setShape({ lossProbability: 0.5 });
      await serve(world.client, echo, "client:80");
      const made = newCall(world.server);
      void invoke(world.server, made, doMethod.input.create({}), "client:80");
      const ends: string[] = [];
      for (let index = 0; index < 20; index++) ends.push(await call(world));
      return ends;
    });
  };
  expect(await latencies(true)).toEqual(await latencies(false));
});
