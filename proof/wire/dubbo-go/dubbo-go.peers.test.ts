import { spawn, type ChildProcess } from "node:child_process";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { Call } from "../../../runtime/call/call.ts";
import { directStub } from "../../../runtime/call/direct.ts";
import { createServer } from "../../../runtime/call/server.ts";
import type { Stub } from "../../../runtime/call/service.ts";
import { RpcError } from "../../../runtime/call/status.ts";
import { systemClock } from "../../../runtime/node/clock.ts";
import { tripleTransport } from "../../../runtime/node/triple.ts";
import { silent } from "../../../runtime/ports/telemetry.ts";
import { CallLog } from "../../../runtime/telemetry/call-log.ts";
import { describePeer, dubboGo, freePort, listening, run } from "../peers.ts";
import { Streams } from "./streams_pb.ts";

// A fleet's servers and stubs, and dubbo-go's: all four kinds of calls, both ways. Its unary calls are what `scenarios/foreign` is about.

const clock = systemClock();
const transport = tripleTransport({ clock });
afterAll(() => transport.close());

describePeer("dubbo-go", "dubbo-go's client at a fleet's server", () => {
  let answers: ReadonlyMap<string, string>;
  beforeAll(async () => {
    const { address } = await createServer({ transport })
      .add(Streams, {
        say: async ({ value }) => ({ value: `${willing(value)}!` }),
        join: async (texts) => {
          const all: string[] = [];
          for await (const { value } of texts) all.push(willing(value));
          return { value: all.join() };
        },
        async *split({ value }) {
          for (const part of value.split(",")) yield { value: willing(part) };
        },
        async *echo(texts) {
          for await (const { value } of texts) yield { value: `${willing(value)}!` };
        },
      })
      .listen("127.0.0.1:0");
    const lines = (await run(dubboGo, ["call", address])).split("\n");
    answers = new Map(lines.map((line) => line.split(": ") as [string, string]));
  });

  test.each([
    ["Say one,two,three", "three!"],
    ["Say one,fail", " aborted"],
    ["Join one,two,three", "one,two,three"],
    ["Join one,fail", " aborted"],
    ["Split one,two,three", "one|two|three"],
    ["Split one,fail", "one aborted"],
    ["Echo one,two,three", "one!|two!|three!"],
    ["Echo one,fail", "one! aborted"],
  ])("%s", (asked, answer) => {
    expect(answers.get(asked)).toBe(answer);
  });
});

function willing(text: string): string {
  if (text === "fail") throw new RpcError("it was meant to fail", { code: "ABORTED" });
  return text;
}

describePeer("dubbo-go", "a fleet's stub at dubbo-go's server", () => {
  let server: ChildProcess;
  let stub: Stub<typeof Streams>;
  beforeAll(async () => {
    const port = await freePort();
    server = spawn(dubboGo, ["serve", String(port)], { stdio: "ignore" });
    await listening(port);
    const calls = new CallLog({ clock, telemetry: silent });
    const address = `127.0.0.1:${port}`;
    stub = directStub(Streams, { clock, transport, calls, service: "streams", address, timeoutMs: 10_000 });
  });
  afterAll(() => server.kill());

  const one = { value: "one" };
  const fail = { value: "fail" };

  describe("answers", () => {
    test("one message, for one", async () => {
      expect((await stub.say(one)).value).toBe("one!");
    });

    test("one message, for a stream", async () => {
      expect((await stub.join([one, { value: "two" }, { value: "three" }])).value).toBe("one,two,three");
    });

    test("a stream, for one message", async () => {
      expect(await read(await stub.split({ value: "one,two,three" }))).toEqual(["one", "two", "three"]);
    });

    test("a stream, for a stream, in turns", async () => {
      const seen: string[] = [];
      let answered: () => void = () => undefined;
      async function* texts() {
        for (const value of ["one", "two", "three"]) {
          const answer = new Promise<void>((resolve) => (answered = resolve));
          yield { value };
          await answer;
        }
      }
      for await (const { value } of await stub.echo(texts())) {
        seen.push(value);
        answered();
      }
      expect(seen).toEqual(["one!", "two!", "three!"]);
    });
  });

  describe("fails", () => {
    const aborted = { code: "ABORTED", message: "it was meant to fail" };

    test("for one message", async () => {
      await expect(stub.say(fail)).rejects.toMatchObject(aborted);
    });

    test("for a stream", async () => {
      await expect(stub.join([one, fail])).rejects.toMatchObject(aborted);
    });

    test("in the middle of a stream", async () => {
      const seen: string[] = [];
      await expect(read(await stub.split({ value: "one,fail" }), seen)).rejects.toMatchObject(aborted);
      expect(seen).toEqual(["one"]);
    });

    test("in the middle of two streams", async () => {
      const seen: string[] = [];
      await expect(read(await stub.echo([one, fail]), seen)).rejects.toMatchObject(aborted);
      expect(seen).toEqual(["one!"]);
    });
  });

  test("a caller that cancels in the middle leaves a server that serves on", async () => {
    const parent = new Call({ clock, service: "", method: "test" });
    async function* texts() {
      yield one;
      await new Promise(() => undefined);
    }
    const answers = (await stub.echo(texts(), { parent }))[Symbol.asyncIterator]();
    expect((await answers.next()).value).toMatchObject({ value: "one!" });
    parent.cancel();
    await expect(answers.next()).rejects.toMatchObject({ code: "CANCELLED" });
    expect((await stub.say(one)).value).toBe("one!");
  });
});

async function read(texts: AsyncIterable<{ readonly value: string }>, seen: string[] = []): Promise<string[]> {
  for await (const { value } of texts) seen.push(value);
  return seen;
}
