import type { Call } from "../call/call.ts";
import { noMetadata } from "../call/metadata.ts";
import { takesStream, type Method, type MethodKind } from "../call/service.ts";
import { RpcError } from "../call/status.ts";
import {
  callOf,
  check,
  codec,
  equal,
  failure,
  Spring,
  until,
  type Message,
  type Options,
  type TransportFact,
  type TransportWorld,
} from "./transport.kit.ts";
import type { Listener, Response, StreamResponse } from "./transport.ts";

/** What a transport promises that carries calls in which the client streams; to be run as `transportContract` is. */
export const clientStreamsContract: Readonly<Record<string, TransportFact>> = {
  "a client's messages arrive in order, and one answer comes back": async (world) => {
    const { address } = await serve(world, async (_, requests) => reply((await readAll(requests)).join()));
    const many = Array.from({ length: 500 }, (_, index) => String(index));
    equal(await sum(world, address, textsOf(many)), many.join());
    equal(await sum(world, address, textsOf([])), "");
  },

  "a handler may ask for several messages at once: it gets them in order, and then the end": async (world) => {
    const { address } = await serve(world, async (_, requests) => {
      const messages = requests[Symbol.asyncIterator]();
      const asked = await Promise.all(Array.from({ length: 4 }, () => messages.next()));
      return reply(asked.map(({ done, value }) => (done === true ? "end" : (value as Message).text)).join());
    });
    equal(await sum(world, address, textsOf(["a", "b"]), { timeoutUs: 1_000_000 }), "a,b,end,end");
  },

  "both sides take turns, however often": async (world) => {
    const { address } = await serve(world, async (_, requests) => streamed(echoes(requests)));
    const said = new Said();
    const { messages } = await chat(world, address, said);
    const answers = messages[Symbol.asyncIterator]();
    for (let turn = 0; turn < 20; turn++) {
      said.say(`turn ${turn}`);
      equal(((await answers.next()).value as Message).text, `turn ${turn}!`);
    }
    said.end();
    equal((await answers.next()).done, true);
  },

  "many such calls share a connection without mixing": async (world) => {
    const { address } = await serve(world, async (_, requests) => streamed(echoes(requests)));
    const one = async (name: string): Promise<string> => {
      const texts = Array.from({ length: 20 }, (_, index) => `${name}.${index}`);
      return (await readAll((await chat(world, address, textsOf(texts))).messages)).join();
    };
    const all = await Promise.all(Array.from({ length: 50 }, (_, index) => one(String(index))));
    all.forEach((texts, index) => equal(texts.split(",")[19], `${index}.19!`));
  },

  "a client's messages are taken no faster than they are read, whatever it could say": async (world) => {
    const source = new Spring();
    const { address } = await serve(world, async (_, requests) => {
      const messages = requests[Symbol.asyncIterator]();
      await source.isReadSlowly(world, () => messages.next());
      return reply("enough");
    });
    equal(await sum(world, address, source.flow()), "enough");
    await until(world, () => source.isLeft);
  },

  "a handler that answers early leaves the rest, and the client stops": async (world) => {
    const { address } = await serve(world, async (_, requests) => {
      for await (const message of requests) return reply((message as Message).text);
      return reply("nothing");
    });
    const said = new Said();
    said.say("the first");
    equal(await sum(world, address, said), "the first");
    await until(world, () => said.isLeft);
  },

  "a handler that has heard enough goes on answering, whatever else its caller says, and all of that is taken": async (
    world,
  ) => {
    const long = "x".repeat(10_000);
    let said = 0;
    const talk = async function* (): AsyncGenerator<Message> {
      for (; said < 500; said++) yield { text: said === 0 ? "first" : long };
    };
    const { address } = await serve(world, async (_, requests) =>
      streamed(
        (async function* () {
          for await (const message of requests) {
            yield message;
            // What came with it is unread when it leaves.
            await world.clock.sleep(50_000);
            break;
          }
          yield { text: "enough" };
          await until(world, () => said === 500);
          yield { text: "still here" };
        })(),
      ),
    );
    const { messages } = await chat(world, address, talk());
    equal((await readAll(messages)).join(), "first,enough,still here");
    // Nor does it take anything from those who come after it.
    const later = await chat(world, address, textsOf(["again"]));
    equal((await readAll(later.messages))[0], "again");
  },

  "a handler that ends early has said what it said, however slowly its caller reads, and the client stops": async (
    world,
  ) => {
    const texts = Array.from({ length: 20 }, (_, index) => String(index));
    const { address } = await serve(world, async () => streamed(textsOf(texts)));
    const said = new Said();
    said.say("the first");
    const { messages } = await chat(world, address, said);
    await until(world, () => said.isLeft);
    equal((await readAll(messages)).join(), texts.join());
  },

  "a handler's error ends the call on both sides, messages or not": async (world) => {
    const { address } = await serve(world, async () => {
      throw new RpcError("no", { code: "ABORTED" });
    });
    const said = new Said();
    equal((await failure(sum(world, address, said))).code, "ABORTED");
    await until(world, () => said.isLeft);
    const answers = await chat(world, address, new Said());
    equal((await failure(readAll(answers.messages))).code, "ABORTED");
  },

  "what breaks among the client's messages ends its call with that, and the handler's as cancelled": async (world) => {
    const reasons: string[] = [];
    const { address } = await serve(world, async (call, requests) => {
      call.onCancel(({ code }) => reasons.push(code));
      return reply((await readAll(requests)).join());
    });
    const error = await failure(sum(world, address, breakingOff()));
    equal(error.code, "FAILED_PRECONDITION");
    await until(world, () => reasons.length > 0);
    equal(reasons[0], "CANCELLED");
  },

  "a handler that waits for a message waits no longer than its caller": async (world) => {
    const heard: string[] = [];
    const { address } = await serve(world, async (_, requests) => {
      const { code } = await failure(readAll(requests));
      heard.push(code);
      return reply("");
    });
    equal((await failure(sum(world, address, new Said(), { timeoutUs: 100_000 }))).code, "DEADLINE_EXCEEDED");
    await until(world, () => heard.length === 1);
    const call = callOf(world, sumMethod, {});
    const ended = failure(world.client.invoke(address, sumMethod, call, new Said()));
    await world.clock.sleep(50_000);
    call.cancel();
    await ended;
    call.end();
    await until(world, () => heard.length === 2);
    check(heard[0] === "DEADLINE_EXCEEDED" || heard[0] === "CANCELLED", `the first handler heard ${heard[0]}`);
    equal(heard[1], "CANCELLED");
  },

  "a connection that breaks ends both sides' waits, and the client's messages": async (world) => {
    const heard: string[] = [];
    const { address } = await serve(world, async (_, requests) => {
      heard.push("begun");
      heard.push((await failure(readAll(requests))).code);
      return reply("");
    });
    const said = new Said();
    const ended = failure(sum(world, address, said));
    await until(world, () => heard.length === 1);
    await world.breakConnections();
    equal((await ended).code, "UNAVAILABLE");
    await until(world, () => heard.length === 2 && said.isLeft);
    equal(heard[1], "CANCELLED");
  },

  "where nobody listens, no message is taken": async (world) => {
    const listener = await serve(world, async () => reply(""));
    await listener.close();
    const said = new Said();
    const error = await failure(sum(world, listener.address, said));
    equal(error.code, "UNAVAILABLE");
    equal(error.reach, "nowhere");
    equal(said.isAsked, false);
  },
};

/** What a transport promises that carries no such calls. */
export const noClientStreamsContract: Readonly<Record<string, TransportFact>> = {
  "a method in which the client streams isn't served in part: it is refused by its name, and so is a call of it":
    async (world) => {
      const refused = await failure(serve(world, async () => reply("")));
      equal(refused.code, "UNIMPLEMENTED");
      check(refused.message.startsWith(sumMethod.path), refused.message);
      const said = new Said();
      const call = await failure(sum(world, "127.0.0.1:1", said));
      equal(call.code, "UNIMPLEMENTED");
      equal(call.reach, "nowhere");
      equal(said.isAsked, false);
    },
};

const method = (name: string, kind: MethodKind): Method<unknown, unknown> => ({
  path: `/contract.Contract/${name}`,
  ...{ kind, codecName: "text", input: codec, output: codec },
});
const sumMethod = method("Sum", "client-streaming");
const chatMethod = method("Chat", "bidi-streaming");

type Handle = (call: Call, requests: AsyncIterable<unknown>) => Promise<Response>;

/** The same handler for both methods. */
function serve(world: TransportWorld, handle: Handle): Promise<Listener> {
  return world.server.listen({
    address: world.listenAt,
    methods: new Map(
      [sumMethod, chatMethod].map((method) => [
        method.path,
        { method, serve: (call, request) => handle(call, request as AsyncIterable<unknown>) },
      ]),
    ),
  });
}

async function invoke(
  world: TransportWorld,
  method: Method<unknown, unknown>,
  { address, requests, options = {} }: { address: string; requests: AsyncIterable<unknown>; options?: Options },
): Promise<Response> {
  check(takesStream(method), "a stream for a method that takes none");
  const call = callOf(world, method, options);
  try {
    return await world.client.invoke(address, method, call, requests);
  } catch (error) {
    throw call.reason ?? error;
  } finally {
    if (method === sumMethod) call.end();
  }
}

async function sum(
  world: TransportWorld,
  address: string,
  requests: AsyncIterable<unknown>,
  options?: Options,
): Promise<string> {
  const response = await invoke(world, sumMethod, { address, requests, ...(options && { options }) });
  if (response.kind === "stream") throw new Error("a stream, where one message was due");
  return (response.message as Message).text;
}

async function chat(world: TransportWorld, address: string, requests: AsyncIterable<unknown>): Promise<StreamResponse> {
  const response = await invoke(world, chatMethod, { address, requests });
  if (response.kind === "unary") throw new Error("one message, where a stream was due");
  return response;
}

const reply = (text: string): Response => ({ kind: "unary", message: { text }, trailers: noMetadata });
const streamed = (messages: AsyncIterable<unknown>): Response => ({ kind: "stream", messages });

async function* textsOf(texts: readonly string[]): AsyncGenerator<Message> {
  for (const text of texts) yield { text };
}

async function* echoes(requests: AsyncIterable<unknown>): AsyncGenerator<Message> {
  for await (const message of requests) yield { text: `${(message as Message).text}!` };
}

async function* breakingOff(): AsyncGenerator<Message> {
  yield { text: "one" };
  throw new RpcError("out of words", { code: "FAILED_PRECONDITION" });
}

async function readAll(messages: AsyncIterable<unknown>): Promise<string[]> {
  const texts: string[] = [];
  for await (const message of messages) texts.push((message as Message).text);
  return texts;
}

/** What a client says, when it likes to. */
class Said implements AsyncIterableIterator<Message> {
  isAsked = false;
  /** The transport has told it that nobody takes any more. */
  isLeft = false;
  readonly #texts: string[] = [];
  #isEnd = false;
  #waiting: (() => void) | undefined;

  [Symbol.asyncIterator](): this {
    return this;
  }

  say(text: string): void {
    this.#texts.push(text);
    this.#waiting?.();
  }

  end(): void {
    this.#isEnd = true;
    this.#waiting?.();
  }

  async next(): Promise<IteratorResult<Message>> {
    this.isAsked = true;
    while (this.#texts.length === 0 && !this.#isEnd) await new Promise<void>((resolve) => (this.#waiting = resolve));
    const text = this.#texts.shift();
    return text === undefined ? { done: true, value: undefined } : { done: false, value: { text } };
  }

  async return(): Promise<IteratorResult<Message>> {
    this.isLeft = true;
    this.end();
    return { done: true, value: undefined };
  }
}
