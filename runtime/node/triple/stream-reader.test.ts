import { expect, test } from "vitest";

import type { Method } from "../../call/service.ts";
import { StreamReader } from "./stream-reader.ts";

const bytes = {
  create: (init: unknown) => init,
  encode: (message: unknown) => message as Uint8Array,
  decode: (lent: Uint8Array): unknown => Uint8Array.from(lent),
  copy: (message: unknown) => message,
};
const method: Method<unknown, unknown> = {
  ...{ path: "/t.T/Stream", kind: "server-streaming", codecName: "bytes", input: bytes, output: bytes },
};

test("a reader that leaves ends the wait for a message that was pending, and cancels once", async () => {
  let cancels = 0;
  const reader = new StreamReader(
    method,
    () => undefined,
    () => void cancels++,
  );
  const pending = reader.next();
  await reader.return();
  expect(await pending).toEqual({ done: true, value: undefined });
  await reader.return();
  expect(await reader.next()).toEqual({ done: true, value: undefined });
  expect(cancels).toBe(1);
});
