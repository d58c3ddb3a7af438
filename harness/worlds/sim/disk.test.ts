import fc from "fast-check";
import { expect, test } from "vitest";

import { createRandom } from "../../../runtime/random.ts";
import { SimDisk } from "./disk.ts";
import { Engine } from "./engine.ts";
import { SimProcess } from "./process.ts";

const engine = new Engine({ host: { enter: () => undefined, nowMs: () => 0 }, seed: 1 });
const start = (): SimProcess => new SimProcess(engine, 0);
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (content: Uint8Array | undefined): string | undefined => content && new TextDecoder().decode(content);

test("after a crash a file is what was synced, and some beginning of what was appended since", async () => {
  await fc.assert(
    fc.asyncProperty(fc.string(), fc.string(), fc.integer(), async (synced, unsynced, seed) => {
      const disk = new SimDisk(createRandom(seed));
      const before = disk.open(start());
      await before.append("log", bytes(synced));
      await before.sync("log");
      await before.append("log", bytes(unsynced));
      disk.crash();
      const after = (await disk.open(start()).read("log")) ?? new Uint8Array();
      const whole = bytes(synced + unsynced);
      expect(after.length).toBeGreaterThanOrEqual(bytes(synced).length);
      expect(after).toEqual(whole.slice(0, after.length));
    }),
  );
});

test("over many crashes an unsynced append is lost, torn, or kept", async () => {
  const lengths = new Set<number>();
  for (let seed = 0; seed < 100; seed++) {
    const disk = new SimDisk(createRandom(seed));
    await disk.open(start()).append("log", bytes("abc"));
    disk.crash();
    lengths.add((await disk.open(start()).read("log"))?.length ?? 0);
  }
  expect([...lengths].sort()).toEqual([0, 1, 2, 3]);
});

test("a file is all that was appended, in parts of any size, across crashes that tore it", async () => {
  const size = fc.oneof(fc.nat(40), fc.nat(40_000), fc.constantFrom(16_383, 16_384, 16_385, 32_768));
  await fc.assert(
    fc.asyncProperty(fc.array(fc.record({ size, isKept: fc.boolean() }), { maxLength: 8 }), async (parts) => {
      const disk = new SimDisk(createRandom(1));
      let expected = new Uint8Array();
      for (const [index, { size: length, isKept }] of parts.entries()) {
        const process = disk.open(start());
        await process.append(
          "log",
          Uint8Array.from({ length }, (_, at) => (at + index) % 251),
        );
        expected = Uint8Array.from([...expected, ...Array.from({ length }, (_, at) => (at + index) % 251)]);
        if (isKept) await process.sync("log");
        disk.crash();
        const left = (await disk.open(start()).read("log")) ?? new Uint8Array();
        if (isKept) expect(left.length).toBe(expected.length);
        expected = expected.subarray(0, left.length);
        expect(left).toEqual(expected);
      }
    }),
    { numRuns: 40 },
  );
});

test("a file that was written anew, synced and renamed survives whole", async () => {
  const disk = new SimDisk(createRandom(1));
  const before = disk.open(start());
  await before.append("cache", bytes("old"));
  await before.append("cache.new", bytes("new"));
  await before.sync("cache.new");
  await before.rename("cache.new", "cache");
  disk.crash();
  const after = disk.open(start());
  expect(text(await after.read("cache"))).toBe("new");
  expect(await after.read("cache.new")).toBeUndefined();
  await after.remove("cache");
  await after.remove("cache");
  expect(await after.read("cache")).toBeUndefined();
});

test("what is written is what it was then, whatever becomes of its buffer", async () => {
  const disk = new SimDisk(createRandom(1)).open(start());
  for (const make of [(from: Uint8Array) => Buffer.from(from), (from: Uint8Array) => from.slice()]) {
    const buffer = make(bytes("AAAA"));
    await disk.append("log", buffer);
    await disk.sync("log");
    buffer.set(bytes("BBBB"));
    expect(text(await disk.read("log"))).toBe("AAAA");
    await disk.remove("log");
  }
});

test("a full disk refuses the append and keeps what it has", async () => {
  const disk = new SimDisk(createRandom(1));
  const open = disk.open(start());
  disk.capacityBytes = 5;
  await open.append("log", bytes("abc"));
  await expect(open.append("other", bytes("def"))).rejects.toMatchObject({ name: "DiskError", code: "FULL" });
  await open.append("log", bytes("de"));
  expect(text(await open.read("log"))).toBe("abcde");
});

test("a process that is no more writes nothing", async () => {
  const disk = new SimDisk(createRandom(1));
  const process = start();
  const open = disk.open(process);
  process.kill();
  void open.append("log", bytes("late"));
  expect(await disk.open(start()).read("log")).toBeUndefined();
});
