import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, expect, test } from "vitest";

import { DiskError, type Disk } from "../ports/disk.ts";
import { directoryDisk } from "./disk.ts";

let path: string;
let disk: Disk;

beforeEach(async () => {
  path = await mkdtemp(join(tmpdir(), "disk-"));
  disk = directoryDisk(join(path, "made", "later"));
});
afterEach(() => rm(path, { recursive: true }));

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (read: Uint8Array | undefined): string => new TextDecoder().decode(read);

test("appends in the order in which it was asked to", async () => {
  const parts = Array.from({ length: 50 }, (_, index) => `${index},`);
  await Promise.all(parts.map((part) => disk.append("log", bytes(part))));
  expect(text(await disk.read("log"))).toBe(parts.join(""));
});

test("another disk at the same place reads what was synced", async () => {
  await disk.append("log", bytes("kept"));
  await disk.sync("log");
  expect(text(await directoryDisk(join(path, "made", "later")).read("log"))).toBe("kept");
});

test("a rename replaces the whole file", async () => {
  await disk.append("state", bytes("old and longer"));
  await disk.append("state.new", bytes("new"));
  await disk.sync("state.new");
  await disk.rename("state.new", "state");
  expect(text(await disk.read("state"))).toBe("new");
  expect(await disk.read("state.new")).toBeUndefined();
});

test("what is added after a rename or a removal goes into the file that has the name now", async () => {
  await disk.append("log", bytes("old"));
  await disk.append("log.new", bytes("new"));
  await disk.append("log", bytes(" and older"));
  await disk.rename("log.new", "log");
  await disk.append("log", bytes(" and newer"));
  expect(text(await disk.read("log"))).toBe("new and newer");
  await disk.rename("log", "moved");
  await disk.append("log", bytes("begun anew"));
  await disk.sync("log");
  expect(text(await disk.read("moved"))).toBe("new and newer");
  await disk.remove("log");
  await disk.append("log", bytes("once more"));
  expect(text(await disk.read("log"))).toBe("once more");
});

test("what isn't there reads as undefined, and can be synced and removed", async () => {
  expect(await disk.read("absent")).toBeUndefined();
  await disk.sync("absent");
  await disk.remove("absent");
  await expect(disk.rename("absent", "other")).rejects.toThrow(DiskError);
});

test.each(["../escape", "a/b", "", ".", "..", ".hidden", "a\0b", "x".repeat(300)])(
  "refuses %j, which is no plain name",
  async (name) => {
    await expect(async () => disk.append(name, bytes("x"))).rejects.toThrow(DiskError);
    await expect(async () => disk.rename("log", name)).rejects.toThrow(DiskError);
    expect(await readdir(path)).toEqual([]);
  },
);

test("a place that can't be written is an error with a code, and later operations still happen", async () => {
  await writeFile(join(path, "file"), "");
  const broken = directoryDisk(join(path, "file"));
  await expect(broken.append("log", bytes("x"))).rejects.toMatchObject({ name: "DiskError", code: "IO" });
  await expect(broken.append("log", bytes("x"))).rejects.toMatchObject({ name: "DiskError", code: "IO" });
});
