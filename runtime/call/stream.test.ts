import { expect, test } from "vitest";

import { ManualClock } from "../testing/clock.ts";
import { Call } from "./call.ts";
import type { RpcError } from "./status.ts";
import { observedStream } from "./stream.ts";

async function* numbers() {
  yield 1;
  yield 2;
}

async function readAll(messages: AsyncIterable<unknown>): Promise<unknown[]> {
  const all: unknown[] = [];
  for await (const message of messages) all.push(message);
  return all;
}

/** A stream, and how it ended. */
function observed(messages: AsyncIterable<unknown>, call?: Call) {
  const ends: string[] = [];
  const stream = observedStream(messages, (error?: RpcError) => ends.push(error?.code ?? "OK"), call);
  return { stream, ends };
}

test("its end is heard once: by itself, with an error, or because the reader left", async () => {
  const whole = observed(numbers());
  expect(await readAll(whole.stream)).toEqual([1, 2]);
  expect(whole.ends).toEqual(["OK"]);

  const left = observed(numbers());
  for await (const _ of left.stream) break;
  expect(left.ends).toEqual(["CANCELLED"]);

  const broken = observed({
    [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(new Error("broken")) }),
  });
  await expect(broken.stream.next()).rejects.toMatchObject({ code: "UNKNOWN", message: "broken" });
  expect(broken.ends).toEqual(["UNKNOWN"]);
});

test("who leaves before the first message leaves all the same, through however many", async () => {
  let isLeft = false;
  const inner = observed({
    [Symbol.asyncIterator]: () => ({
      next: () => Promise.reject(new Error("nobody asks")),
      return: async () => {
        isLeft = true;
        return { done: true, value: undefined };
      },
    }),
  });
  const outer = observed(inner.stream);
  await outer.stream.return?.();
  expect([isLeft, inner.ends, outer.ends]).toEqual([true, ["CANCELLED"], ["CANCELLED"]]);
  expect(await outer.stream.next()).toEqual({ done: true, value: undefined });
});

test("where nobody reads, it ends with its call", async () => {
  const call = new Call({ clock: new ManualClock(), service: "", method: "test" });
  const { stream, ends } = observed(numbers(), call);
  call.cancel();
  expect(ends).toEqual(["CANCELLED"]);
  await readAll(stream);
  expect(ends).toEqual(["CANCELLED"]);
});
