import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, expect, test } from "vitest";

import { targetsFile } from "./targets.ts";

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "targets-"));
});
afterEach(() => rm(directory, { recursive: true }));

const read = async (): Promise<unknown> => JSON.parse(await readFile(join(directory, "targets/run-1.json"), "utf8"));
const target = (index: number) => ({ address: `10.0.0.${index}:9464`, run: "run-1", node: `orders/${index}` });
const group = (index: number) => ({
  targets: [`10.0.0.${index}:9464`],
  labels: { run: "run-1", service: "orders", instance: `orders/${index}` },
});

test("a target is listed with who it is, until it is removed", async () => {
  const file = targetsFile(join(directory, "targets/run-1.json"));
  await file.add(target(0));
  await file.add(target(1));
  expect(await read()).toEqual([group(0), group(1)]);
  await file.remove("orders/0");
  expect(await read()).toEqual([group(1)]);
});

test("a node that comes back elsewhere is listed once", async () => {
  const file = targetsFile(join(directory, "targets/run-1.json"));
  await file.add(target(0));
  await file.add({ ...target(0), address: "10.0.0.9:9464" });
  expect(await read()).toEqual([{ ...group(0), targets: ["10.0.0.9:9464"] }]);
});

test("many at once are all listed, and nothing half-written is left", async () => {
  const file = targetsFile(join(directory, "targets/run-1.json"));
  await Promise.all(Array.from({ length: 50 }, (_, index) => file.add(target(index))));
  expect(await read()).toHaveLength(50);
  expect(await readdir(join(directory, "targets"))).toEqual(["run-1.json"]);
  await file.close();
  expect(await readdir(join(directory, "targets"))).toEqual([]);
});

test("what can't be written is told to who asked, and the next has a try of its own", async () => {
  const file = targetsFile(join(directory, "run-1.json"));
  await rm(directory, { recursive: true });
  const blocked = targetsFile("/dev/null/run-1.json");
  await expect(blocked.add(target(0))).rejects.toThrow();
  await expect(blocked.add(target(1))).rejects.toThrow();
  await file.add(target(0));
  expect(await readdir(directory)).toEqual(["run-1.json"]);
});
