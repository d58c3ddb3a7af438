import { expect, test } from "vitest";

import { StreamReader } from "./stream-reader.ts";

const copied = (lent: Uint8Array): unknown => Uint8Array.from(lent);

test("a reader that leaves ends the wait for a message that was pending, and cancels once", async () => {
  let cancels = 0;
  const reader = new StreamReader(
    copied,
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
