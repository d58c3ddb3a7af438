import { existsSync } from "node:fs";
import { join } from "node:path";

import { expect, test } from "vitest";

import { longest, rankOf } from "./longest-first.ts";

const root = join(import.meta.dirname, "..");

test("files that take long are there, and come before all others", () => {
  const missing = longest.filter((name) => !existsSync(join(root, name)));
  expect(missing).toEqual([]);
  const [first, second] = longest.map((name) => rankOf(join(root, name)));
  expect(first).toBeLessThan(second!);
  expect(second).toBeLessThan(rankOf(join(root, "harness/run.test.ts")));
});
