import { expect, test } from "vitest";

import { Call } from "../call/call.ts";
import { RpcError } from "../call/status.ts";
import type { Response } from "../ports/transport.ts";
import { Rejection } from "../protection/outcome.ts";
import { ManualClock, settled } from "../testing/clock.ts";
import type { RuntimeEvent } from "./events.ts";
import { TaskLog } from "./task-log.ts";

const reply: Response = { kind: "unary", message: {}, trailers: new Map() };

function world() {
  const clock = new ManualClock();
  const events: RuntimeEvent[] = [];
  const log = new TaskLog({ clock, telemetry: { emit: (event) => events.push(event) } });
  const callOf = (timeoutUs?: number): Call => new Call({ clock, service: "", method: "/x/Do", timeoutUs });
  return { clock, log, events, callOf };
}

test("a task lasts until its handler is done, and ends as its caller saw it", async () => {
  const { clock, log, events, callOf } = world();
  const serve = async (call: Call, error?: RpcError): Promise<void> => {
    const handler = clock.sleep(500).then(() => (error === undefined ? reply : Promise.reject(error)));
    void log.serve(call, {}, () => handler).catch(() => undefined);
    await clock.advance(100);
  };
  const leaving = callOf();
  await serve(callOf(10_000));
  await serve(callOf(), new RpcError("no", { code: "NOT_FOUND" }));
  await serve(callOf(), new Rejection("full", { policy: "queue", code: "RESOURCE_EXHAUSTED", hint: "" }));
  await serve(callOf(250));
  await serve(leaving);
  leaving.cancel();
  await clock.advance(1_000);
  expect(events.filter(({ type }) => type === "task.begin")).toHaveLength(5);
  expect(events[0]).toEqual({ type: "task.begin", atUs: 0, task: 1, method: "/x/Do", deadlineUs: 10_000 });
  expect(events.filter(({ type }) => type === "task.end")).toEqual([
    { type: "task.end", atUs: 500, task: 1, state: "answered", code: "OK" },
    { type: "task.end", atUs: 600, task: 2, state: "answered", code: "NOT_FOUND" },
    { type: "task.end", atUs: 700, task: 3, state: "refused", code: "RESOURCE_EXHAUSTED" },
    { type: "task.end", atUs: 800, task: 4, state: "out-of-time", code: "DEADLINE_EXCEEDED", goneUs: 550 },
    { type: "task.end", atUs: 900, task: 5, state: "given-up", code: "CANCELLED", goneUs: 500 },
  ]);
});

test("one that came too late has an end without a beginning", () => {
  const { log, events, callOf } = world();
  log.refused(callOf(), new RpcError("late", { code: "DEADLINE_EXCEEDED" }));
  expect(events).toEqual([{ type: "task.end", atUs: 0, task: 1, state: "refused", code: "DEADLINE_EXCEEDED" }]);
});

test("a stream is over with its last message, or when its caller leaves it unread", async () => {
  const { log, events, callOf } = world();
  const streaming = async (call: Call) =>
    log.serve(call, {}, async () => ({
      kind: "stream",
      messages: (async function* () {
        yield 1;
      })(),
    }));
  const read = await streaming(callOf());
  expect(events.map(({ type }) => type)).toEqual(["task.begin"]);
  if (read.kind === "stream") for await (const _ of read.messages) await settled();
  const unread = callOf();
  await streaming(unread);
  unread.cancel();
  expect(events.flatMap((event) => (event.type === "task.end" ? [[event.task, event.state]] : []))).toEqual([
    [1, "answered"],
    [2, "given-up"],
  ]);
});
