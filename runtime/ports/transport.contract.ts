import { Call } from "../call/call.ts";
import { metadata, noMetadata, type Metadata } from "../call/metadata.ts";
import type { Method } from "../call/service.ts";
import { RpcError, type RpcCode } from "../call/status.ts";
import { withXid, xidOf } from "../transactions/xid.ts";
import { callOf, check, codec, codeOf, equal, failure, Spring, until } from "./transport.kit.ts";
import type { Message, Options, TransportFact, TransportWorld } from "./transport.kit.ts";
import type { Listener, Response, ServedMethod } from "./transport.ts";

/**
 * What every transport promises, real or simulated: the same facts hold in each world, so the worlds agree on what a call is.
 * A test file runs them all:
 *
 *     for (const [fact, holds] of Object.entries(transportContract)) test(fact, () => inWorld(holds));
 */
export const transportContract: Readonly<Record<string, TransportFact>> = {
  "a unary call brings the handler's message": async (world) => {
    const { address } = await serve(world, async (_, request) => reply(`${request.text}!`));
    equal(await say(world, address, "hello"), "hello!");
  },

  "a stream brings every message in order, then ends": async (world) => {
    const { address } = await serve(world, async () => streamOf(["one", "two", "three"]));
    equal((await readAll(await stream(world, address))).join(), "one,two,three");
  },

  "messages that wait for their reader stay what they are, whatever comes meanwhile": async (world) => {
    const texts = Array.from({ length: 10 }, (_, index) => `message ${index}`);
    let sent = 0;
    const { address } = await serve(world, async (call, { text }) =>
      call.method === sayMethod.path ? reply(text) : counted(texts, () => sent++),
    );
    const response = await stream(world, address);
    await until(world, () => sent > 0);
    for (let index = 0; index < 20; index++) await say(world, address, "something else. ".repeat(index));
    equal((await readAll(response)).join(), texts.join());
  },

  "a stream may be empty": async (world) => {
    const { address } = await serve(world, async () => streamOf([]));
    equal((await readAll(await stream(world, address))).length, 0);
  },

  "a stream is taken no faster than it is read, whatever its source could give": async (world) => {
    const source = new Spring();
    const { address } = await serve(world, async () => ({ kind: "stream", messages: source.flow() }));
    const messages = (await stream(world, address)).messages[Symbol.asyncIterator]();
    await source.isReadSlowly(world, () => messages.next());
    await messages.return?.();
    await until(world, () => source.isLeft);
  },

  "a stream is handed over before its first message": async (world) => {
    const { address } = await serve(world, async (call) => ({ kind: "stream", messages: silence(call) }));
    const response = await stream(world, address, { timeoutUs: 500_000 });
    equal(response.kind, "stream");
  },

  "metadata reaches the handler, and trailers the caller": async (world) => {
    let seen: Metadata = noMetadata;
    const { address } = await serve(world, async (call) => {
      seen = call.metadata;
      return { kind: "unary", message: { text: "" }, trailers: metadata({ "x-cost": "7", "x-raw-bin": "AAEC" }) };
    });
    const sent = metadata({ "dubbo.tag": "gray", "x-key": "a b,c", "x-raw-bin": "/+8=" });
    const response = await invoke(world, address, sayMethod, { text: "" }, { metadata: sent });
    for (const [key, value] of sent) equal(seen.get(key), value);
    equal(response.kind === "unary" && response.trailers.get("x-cost"), "7");
    equal(response.kind === "unary" && response.trailers.get("x-raw-bin"), "AAEC");
  },

  "a transaction's xid travels as tx_xid, and no further than the call that carries it": async (world) => {
    const seen: string[] = [];
    const { address } = await serve(world, async (call, request) => {
      // Whatever else is under way on the same connection, and whatever came before.
      await call.clock.sleep(request.text === "slow" ? 150_000 : 5_000);
      seen.push(`${request.text} ${xidOf(call.metadata) ?? "none"} ${call.metadata.get("x-key") ?? "none"}`);
      if (request.text === "bad") throw new RpcError("no", { code: "ABORTED" });
      return reply(xidOf(call.metadata) ?? "none");
    });
    const within = (xid: string): Options => ({ metadata: withXid(metadata({ "x-key": "kept" }), xid) });
    const xids = ["127.0.0.1:8091:6467720403699692336", "127.0.0.1:8091:6467720403699692337"] as const;
    // One after the other, each way in which a call can end.
    equal(await say(world, address, "good", within(xids[0])), xids[0]);
    equal(await say(world, address, "after"), "none");
    equal(codeOf(await failure(say(world, address, "bad", within(xids[0])))), "ABORTED");
    equal(await say(world, address, "after"), "none");
    const late = say(world, address, "slow", { ...within(xids[1]), timeoutUs: 50_000 });
    equal(codeOf(await failure(late)), "DEADLINE_EXCEEDED");
    equal(await say(world, address, "after"), "none");
    // And all at the same time.
    const mixed = [xids[0], undefined, xids[1], undefined];
    const answers = await Promise.all(
      mixed.map((xid) => say(world, address, "mixed", xid === undefined ? {} : within(xid))),
    );
    equal(answers.join(), `${xids[0]},none,${xids[1]},none`);
    // What else travelled with a call arrived with it.
    equal(seen.includes(`good ${xids[0]} kept`), true);
    equal(
      seen.filter((line) => line.startsWith("after")).every((line) => line === "after none none"),
      true,
    );
  },

  "an xid travels beside a trace and a token, and takes neither's place (R20, seata-go's gRPC interceptor)": async (
    world,
  ) => {
    const { address } = await serve(world, async (call) =>
      reply(["traceparent", "authorization", "tx_xid"].map((key) => call.metadata.get(key) ?? "none").join(" ")),
    );
    const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const carried = metadata({ traceparent, authorization: "Bearer t0k3n" });
    const xid = "127.0.0.1:8091:6467720403699692336";
    equal(await say(world, address, "", { metadata: withXid(carried, xid) }), `${traceparent} Bearer t0k3n ${xid}`);
    equal(await say(world, address, "", { metadata: carried }), `${traceparent} Bearer t0k3n none`);
  },

  "a call under one that is in a transaction is outside of it, unless it is told": async (world) => {
    const inner = await serve(world, async (call) => reply(xidOf(call.metadata) ?? "none"));
    const xid = "127.0.0.1:8091:7";
    let handedOn = noMetadata;
    const outer = await serve(world, async (call) => {
      const under = { clock: world.clock, service: "contract", method: sayMethod.path, parent: call };
      const told = new Call({ ...under, metadata: call.metadata });
      const untold = new Call(under);
      handedOn = untold.metadata;
      const texts: string[] = [];
      for (const nested of [told, untold]) {
        const response = await world.client.invoke(inner.address, sayMethod, nested, { text: "" });
        texts.push(response.kind === "unary" ? (response.message as Message).text : "stream");
      }
      return reply(texts.join());
    });
    equal(await say(world, outer.address, "", { metadata: withXid(noMetadata, xid) }), `${xid},none`);
    equal(xidOf(handedOn), undefined);
  },

  "an error keeps its code, its message and its trailers": async (world) => {
    for (const code of ["INVALID_ARGUMENT", "RESOURCE_EXHAUSTED", "DATA_LOSS", "UNAUTHENTICATED"] as const) {
      const listener = await serve(world, async () => {
        throw new RpcError("100 % wrong: 没有", { code, trailers: metadata({ "x-why": "because" }) });
      });
      const error = await failure(say(world, listener.address, ""));
      equal(error.code, code);
      equal(error.message, "100 % wrong: 没有");
      equal(error.trailers.get("x-why"), "because");
      await listener.close();
    }
  },

  "a stream that breaks off throws the handler's error after its messages": async (world) => {
    const { address } = await serve(world, async () => ({ kind: "stream", messages: breakingOff() }));
    const seen: string[] = [];
    const error = await failure(readAll(await stream(world, address), seen));
    equal(seen.join(), "one");
    equal(error.code, "ABORTED");
  },

  "an unknown method is UNIMPLEMENTED": async (world) => {
    const { address } = await serve(world, async () => reply(""));
    const elsewhere = { ...sayMethod, path: "/contract.Contract/Elsewhere" };
    equal((await failure(invoke(world, address, elsewhere, { text: "" }))).code, "UNIMPLEMENTED");
  },

  "messages and metadata are copies": async (world) => {
    const kept: Message = { text: "as it was" };
    let received: Message | undefined;
    const { address } = await serve(world, async (_, request) => {
      received = request;
      return { kind: "unary", message: kept, trailers: noMetadata };
    });
    const request: Message = { text: "as sent" };
    const response = await invoke(world, address, sayMethod, request);
    if (response.kind !== "unary") throw new Error("a stream");
    request.text = "changed";
    (response.message as Message).text = "changed";
    equal(received?.text, "as sent");
    equal(kept.text, "as it was");
  },

  "the deadline crosses as the time that is left, and never grows": async (world) => {
    let leftUs: number | undefined;
    const { address } = await serve(world, async (call) => {
      leftUs = call.remainingUs();
      return reply("");
    });
    // The second call finds a connection, the first one makes it: both count.
    for (let time = 0; time < 2; time++) {
      const call = callOf(world, sayMethod, { timeoutUs: 800_000 });
      await world.clock.sleep(100_000);
      const leftAtSend = call.remainingUs();
      await world.client.invoke(address, sayMethod, call, { text: "" });
      call.end();
      check(leftUs! <= leftAtSend, `${leftUs} µs left at the server, ${leftAtSend} µs at the client`);
      check(leftUs! > leftAtSend - 400_000, `only ${leftUs} µs of ${leftAtSend} µs left at the server`);
    }
  },

  "without a deadline there is none at the server": async (world) => {
    let leftUs = 0;
    const { address } = await serve(world, async (call) => {
      leftUs = call.remainingUs();
      return reply("");
    });
    await say(world, address, "");
    equal(leftUs, Infinity);
  },

  "a deadline ends the handler's call too": async (world) => {
    const { address, reasons } = await serveForever(world);
    const error = await failure(say(world, address, "", { timeoutUs: 200_000 }));
    equal(error.code, "DEADLINE_EXCEEDED");
    await until(world, () => reasons.length > 0);
    check(reasons[0] === "DEADLINE_EXCEEDED" || reasons[0] === "CANCELLED", `the handler saw ${reasons[0]}`);
  },

  "cancelling reaches the handler": async (world) => {
    const { address, started, reasons } = await serveForever(world);
    const call = callOf(world, sayMethod, { timeoutUs: 5_000_000 });
    const ended = failure(world.client.invoke(address, sayMethod, call, { text: "" }));
    await until(world, () => started.length > 0);
    call.cancel();
    await ended;
    await until(world, () => reasons.length > 0);
    equal(reasons[0], "CANCELLED");
    call.end();
  },

  "of very many calls, one that is cancelled is over at once, whatever its server makes of that": async (world) => {
    let served = 0;
    const { address } = await serve(world, () => {
      served++;
      return new Promise(() => undefined);
    });
    const calls = Array.from({ length: 300 }, () => {
      const call = callOf(world, sayMethod, { timeoutUs: 60_000_000 });
      return { call, ended: failure(world.client.invoke(address, sayMethod, call, { text: "" })) };
    });
    // Where each call has a connection to itself, not all may have one.
    await until(world, () => served >= 200);
    // The first is being served, the last perhaps not yet.
    for (const { call, ended } of [calls[0]!, calls.at(-1)!]) {
      const begin = world.clock.nowUs();
      call.cancel();
      await ended;
      check(world.clock.nowUs() - begin < 1_000_000, "it took longer than a second");
    }
    for (const { call } of calls) call.cancel();
    await Promise.all(calls.map(({ ended }) => ended));
    for (const { call } of calls) call.end();
  },

  "leaving a stream early cancels it at the server": async (world) => {
    const { address, reasons } = await serveForever(world);
    const response = await stream(world, address);
    for await (const message of response.messages) {
      equal((message as Message).text, "first");
      break;
    }
    await until(world, () => reasons.length > 0);
    equal(reasons[0], "CANCELLED");
  },

  "where nobody listens, a call is UNAVAILABLE at once": async (world) => {
    const listener = await serve(world, async () => reply(""));
    const { address } = listener;
    await listener.close();
    for (let time = 0; time < 3; time++) {
      const begin = world.clock.nowUs();
      equal((await failure(say(world, address, "", { timeoutUs: 5_000_000 }))).code, "UNAVAILABLE");
      check(world.clock.nowUs() - begin < 1_000_000, "it took longer than a second");
    }
  },

  "a peer that comes back is found again": async (world) => {
    const first = await serve(world, async () => reply("first"));
    equal(await say(world, first.address, ""), "first");
    await first.close();
    equal((await failure(say(world, first.address, ""))).code, "UNAVAILABLE");
    await serve(world, async () => reply("second"), first.address);
    await until(world, async () => (await say(world, first.address, "").catch(() => "")) === "second");
  },

  "an address that is taken is UNAVAILABLE, with a hint": async (world) => {
    const { address } = await serve(world, async () => reply("first"));
    const error = await failure(serve(world, async () => reply("second"), address));
    equal(error.code, "UNAVAILABLE");
    check(error.hint !== undefined, "no hint");
    equal(await say(world, address, ""), "first");
  },

  "a connection that breaks ends the calls in flight UNAVAILABLE, on both sides": async (world) => {
    const { address, started, reasons } = await serveForever(world);
    const unary = failure(say(world, address, "", { timeoutUs: 5_000_000 }));
    const response = await stream(world, address, { timeoutUs: 5_000_000 });
    const streamed = failure(readAll(response));
    await until(world, () => started.length === 2);
    await world.breakConnections();
    equal((await unary).code, "UNAVAILABLE");
    equal((await streamed).code, "UNAVAILABLE");
    await until(world, () => reasons.length === 2);
    equal(reasons.join(), "CANCELLED,CANCELLED");
  },

  "after a break the next call connects again": async (world) => {
    const { address } = await serve(world, async () => reply("there"));
    equal(await say(world, address, ""), "there");
    await world.breakConnections();
    await until(world, async () => (await say(world, address, "").catch(() => "")) === "there");
  },

  "draining lets calls in flight finish and refuses new ones": async (world) => {
    let finish: ((response: Response) => void) | undefined;
    const listener = await serve(world, () => new Promise((resolve) => (finish = resolve)));
    const inFlight = say(world, listener.address, "", { timeoutUs: 5_000_000 });
    await until(world, () => finish !== undefined);
    let isDrained = false;
    const drained = listener.drain(5_000_000).then(() => (isDrained = true));
    await world.clock.sleep(50_000);
    equal((await failure(say(world, listener.address, "", { timeoutUs: 2_000_000 }))).code, "UNAVAILABLE");
    check(!isDrained, "drained while a call was in flight");
    finish?.(reply("finished"));
    equal(await inFlight, "finished");
    await drained;
  },

  "draining under load fails no call with anything but UNAVAILABLE, and none hangs": async (world) => {
    const listener = await serve(world, async (call) => {
      await call.clock.sleep(5_000);
      return reply("");
    });
    await say(world, listener.address, "");
    const outcomes: Promise<string>[] = [];
    for (let burst = 0; burst < 20; burst++) {
      for (let index = 0; index < 5; index++) {
        const outcome = say(world, listener.address, "", { timeoutUs: 3_000_000 });
        outcomes.push(outcome.then(() => "OK", codeOf));
      }
      if (burst === 10) void listener.drain(2_000_000);
      await world.clock.sleep(1_000);
    }
    const seen = new Set(await Promise.all(outcomes));
    check(seen.has("OK") && seen.has("UNAVAILABLE") && seen.size === 2, [...seen].join());
  },

  "a drain that outlasts its grace ends what is left": async (world) => {
    const { address, started, listener } = await serveForever(world);
    const inFlight = failure(say(world, address, "", { timeoutUs: 5_000_000 }));
    await until(world, () => started.length > 0);
    const begin = world.clock.nowUs();
    await listener.drain(100_000);
    const tookUs = world.clock.nowUs() - begin;
    check(tookUs >= 100_000 && tookUs < 1_000_000, `the drain took ${tookUs} µs`);
    equal((await inFlight).code, "UNAVAILABLE");
  },

  "closing ends the calls in flight UNAVAILABLE": async (world) => {
    const { address, started, listener } = await serveForever(world);
    const inFlight = failure(say(world, address, "", { timeoutUs: 5_000_000 }));
    await until(world, () => started.length > 0);
    await listener.close();
    equal((await inFlight).code, "UNAVAILABLE");
  },

  "many calls share a connection without mixing": async (world) => {
    const { address } = await serve(world, async (call, request) => {
      await call.clock.sleep((Number(request.text) * 7919) % 5_000);
      return reply(request.text);
    });
    const texts = Array.from({ length: 200 }, (_, index) => String(index));
    const replies = await Promise.all(texts.map((text) => say(world, address, text)));
    equal(replies.join(), texts.join());
  },

  "an address that is released finishes its calls, and can be called again": async (world) => {
    let begun = 0;
    const { address } = await serve(world, async (_, request) => {
      begun++;
      if (request.text === "slow") await world.clock.sleep(100_000);
      return reply(request.text);
    });
    world.client.release(address);
    const slow = say(world, address, "slow");
    await until(world, () => begun === 1);
    world.client.release(address);
    equal(await say(world, address, "again"), "again");
    equal(await slow, "slow");
    world.client.release(address);
    equal(await say(world, address, "once more"), "once more");
  },
};

const sayMethod: Method<unknown, unknown> = {
  path: "/contract.Contract/Say",
  kind: "unary",
  codecName: "text",
  input: codec,
  output: codec,
};

const streamMethod: Method<unknown, unknown> = {
  ...sayMethod,
  path: "/contract.Contract/Stream",
  kind: "server-streaming",
};

type Handle = (call: Call, request: Message) => Promise<Response>;

function serve(world: TransportWorld, handle: Handle, address = world.listenAt): Promise<Listener> {
  const served = (method: Method<unknown, unknown>): ServedMethod => ({
    method,
    serve: (call, request) => handle(call, request as Message),
  });
  return world.server.listen({
    address,
    methods: new Map([sayMethod, streamMethod].map((method) => [method.path, served(method)])),
  });
}

/** Handlers that wait until their call is cancelled, and note why. */
async function serveForever(world: TransportWorld) {
  const started: Call[] = [];
  const reasons: RpcCode[] = [];
  const listener = await serve(world, async (call) => {
    started.push(call);
    call.onCancel((reason) => reasons.push(reason.code));
    if (call.method === streamMethod.path) return { kind: "stream", messages: silence(call) };
    return new Promise((_, reject) => call.onCancel(reject));
  });
  return { listener, address: listener.address, started, reasons };
}

const reply = (text: string): Response => ({ kind: "unary", message: { text }, trailers: noMetadata });

const streamOf = (texts: readonly string[]): Response => counted(texts, () => undefined);

/** Tells of each message that it is taken. */
const counted = (texts: readonly string[], onTaken: () => void): Response => ({
  kind: "stream",
  messages: (async function* () {
    for (const text of texts) {
      onTaken();
      yield { text };
    }
  })(),
});

async function* silence(call: Call): AsyncIterable<Message> {
  yield { text: "first" };
  await new Promise((_, reject) => call.onCancel(reject));
}

async function* breakingOff(): AsyncIterable<Message> {
  yield { text: "one" };
  throw new RpcError("no more", { code: "ABORTED" });
}

async function invoke(
  world: TransportWorld,
  address: string,
  method: Method<unknown, unknown>,
  request: Message,
  options: Options = {},
): Promise<Response> {
  const call = callOf(world, method, options);
  try {
    return await world.client.invoke(address, method, call, request);
  } catch (error) {
    throw call.reason ?? error;
  } finally {
    if (method.kind === "unary") call.end();
  }
}

async function say(world: TransportWorld, address: string, text: string, options: Options = {}): Promise<string> {
  const response = await invoke(world, address, sayMethod, { text }, options);
  if (response.kind !== "unary") throw new Error("a stream answered a unary call");
  return (response.message as Message).text;
}

async function stream(world: TransportWorld, address: string, options: Options = {}) {
  const response = await invoke(world, address, streamMethod, { text: "" }, options);
  if (response.kind !== "stream") throw new Error("one message answered a streaming call");
  return response;
}

async function readAll(
  { messages }: { readonly messages: AsyncIterable<unknown> },
  seen: string[] = [],
): Promise<string[]> {
  for await (const message of messages) seen.push((message as Message).text);
  return seen;
}
