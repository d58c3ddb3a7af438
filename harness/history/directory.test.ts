import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";

import { makeDirectory } from "./directory.ts";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "flyball-directory-"));
});
afterAll(() => rm(root, { recursive: true, force: true }));

test("runs side by side make the same directory, and one that is there stays", async () => {
  const path = join(root, "a/b/c");
  await Promise.all([makeDirectory(path), makeDirectory(path), makeDirectory(join(root, "a/b/d"))]);
  await makeDirectory(path);
  expect((await stat(path)).isDirectory()).toBe(true);
});

test("a file in the way is named, with what to do", async () => {
  const file = join(root, "file");
  await writeFile(file, "");
  for (const path of [file, join(file, "below")]) {
    await expect(makeDirectory(path)).rejects.toMatchObject({
      code: "CANNOT_WRITE",
      message: expect.stringContaining(path) as string,
      hint: "write elsewhere with --out DIR",
    });
  }
});

test.runIf(process.platform === "linux")("a place where nobody can make anything is refused at once", async () => {
  await expect(makeDirectory("/proc/nobody/makes/this")).rejects.toMatchObject({ code: "CANNOT_WRITE" });
});
