import fc from "fast-check";
import { expect, test } from "vitest";

import { ChangeLog, type Change } from "./change-log.ts";
import { DiskError } from "./ports/disk.ts";
import { MemoryDisk } from "./transactions/testing.ts";

const key = fc.constantFrom("a", "b", "键", "é\n");
const value = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.integer(),
  fc.constant(null),
  fc.record({ text: fc.string() }),
);
const group = fc.array(fc.tuple(key, value), { minLength: 1, maxLength: 3 });

/** A map that notes what is done to it. */
async function open(disk: MemoryDisk) {
  const { log, entries } = await ChangeLog.open(disk, "map");
  const map = new Map(entries);
  log.watch(() => map);
  const note = (...changes: readonly Change[]): void => {
    apply(map, changes);
    log.note(...changes);
  };
  return { log, map, note };
}

function apply(map: Map<string, unknown>, changes: readonly Change[]): void {
  for (const [name, changed] of changes) {
    if (changed === null) map.delete(name);
    else map.set(name, changed);
  }
}

test("what comes back is what was noted, and after a torn end as many whole groups as there are", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(group, { maxLength: 8 }), fc.nat(), fc.nat(2), async (groups, cut, perFlush) => {
      const disk = new MemoryDisk();
      const { log, map, note } = await open(disk);
      const states = [new Map<string, unknown>()];
      for (const [index, changes] of groups.entries()) {
        note(...changes);
        states.push(structuredClone(map));
        if (index % (perFlush + 1) === 0) await log.durable();
      }
      await log.durable();
      const whole = new MemoryDisk();
      for (const [name, bytes] of disk.files) whole.files.set(name, bytes.slice());
      expect((await open(whole)).map).toEqual(map);
      // And once more, from its snapshot.
      expect((await open(whole)).map).toEqual(map);
      const written = disk.files.get("map-log.ndjson") ?? new Uint8Array();
      disk.files.set("map-log.ndjson", written.slice(0, written.length - (cut % (written.length + 1))));
      expect(states).toContainEqual((await open(disk)).map);
    }),
  );
});

// A line break that is none any more makes one line of two.
test("a byte that has changed is damage, or takes the last groups with it", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(group, { minLength: 1, maxLength: 5 }), fc.nat(), async (groups, where) => {
      const disk = new MemoryDisk();
      const { log, map, note } = await open(disk);
      const states = [new Map<string, unknown>()];
      for (const changes of groups) {
        note(...changes);
        states.push(structuredClone(map));
      }
      await log.durable();
      const bytes = disk.files.get("map-log.ndjson")!;
      bytes[where % bytes.length]! ^= 1;
      const found = await open(disk).catch((error: Error) => error);
      if (found instanceof Error)
        expect(found.message).toMatch(/^map-log\.ndjson is damaged: record \d+ can't be read$/);
      else expect(states.slice(-3)).toContainEqual(found.map);
    }),
  );
});

test("a snapshot goes to the disk in parts, however large it is", async () => {
  const disk = new MemoryDisk();
  const sizes: number[] = [];
  const append = disk.append.bind(disk);
  disk.append = (name, bytes) => {
    sizes.push(bytes.length);
    return append(name, bytes);
  };
  const { log, map, note } = await open(disk);
  for (let count = 0; count < 300; count++) note([`行 ${count}`, "x".repeat(4000)]);
  await log.durable();
  sizes.length = 0;
  expect((await open(disk)).map).toEqual(map);
  expect(sizes.length).toBeGreaterThan(1);
  expect(Math.max(...sizes)).toBeLessThan(4 * 1024 * 1024);
  expect((await open(disk)).map).toEqual(map);
});

test("what is noted while the disk is at work comes after it, whole", async () => {
  const disk = new MemoryDisk();
  const { log, map, note } = await open(disk);
  let release = (): void => undefined;
  const append = disk.append.bind(disk);
  disk.append = async (name, bytes) => {
    await new Promise<void>((resolve) => (release = resolve));
    await append(name, bytes);
  };
  note(["first", "1"]);
  const first = log.durable();
  note(["second", "2".repeat(10_000)]);
  const second = log.durable();
  note(["third", "3"]);
  for (let turn = 0; turn < 3; turn++) {
    release();
    await new Promise(setImmediate);
  }
  await Promise.all([first, second, log.durable()]);
  disk.append = append;
  expect((await open(disk)).map).toEqual(map);
});

test("after a write that failed, the next one makes up for it", async () => {
  const disk = new MemoryDisk();
  const { log, map, note } = await open(disk);
  note(["kept", 1]);
  await log.durable();
  const append = disk.append.bind(disk);
  disk.append = () => Promise.reject(new DiskError("no space is left", { code: "FULL" }));
  note(["lost", 2]);
  await expect(log.durable()).rejects.toThrow("no space is left");
  await expect(log.durable()).rejects.toThrow("no space is left");
  disk.append = append;
  note(["later", 3]);
  await log.durable();
  expect((await open(disk)).map).toEqual(map);
});
