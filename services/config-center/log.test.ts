import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import { expect, test } from "vitest";

import { DocumentSchema, type Document } from "../../runtime/configuration/proto/config_pb.ts";
import { DiskError, type Disk } from "../../runtime/ports/disk.ts";
import { DocumentLog } from "./log.ts";

/** Files in memory, whose next append can be torn after some bytes. */
class TearableDisk implements Disk {
  readonly files = new Map<string, Uint8Array>();
  tearAfter = Infinity;

  async read(name: string): Promise<Uint8Array | undefined> {
    return this.files.get(name);
  }
  async append(name: string, bytes: Uint8Array): Promise<void> {
    const kept = bytes.slice(0, this.tearAfter);
    this.files.set(name, new Uint8Array([...(this.files.get(name) ?? []), ...kept]));
    if (kept.length < bytes.length) throw new DiskError("torn", { code: "IO" });
  }
  async sync(): Promise<void> {
    return undefined;
  }
  async rename(from: string, to: string): Promise<void> {
    this.files.set(to, this.files.get(from)!);
    this.files.delete(from);
  }
  async remove(name: string): Promise<void> {
    this.files.delete(name);
  }
}

const document = (version: number, content = `v${version}`, key = "k"): Document =>
  create(DocumentSchema, { key, group: "g", content, version, exists: true });

test("a write that was torn is as if it had never been, and the next one is whole", async () => {
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: "grapheme" }), fc.nat({ max: 80 }), async (content, tearAfter) => {
      const disk = new TearableDisk();
      const { log } = await DocumentLog.open(disk);
      await log.add(document(1));
      disk.tearAfter = tearAfter;
      const isWritten = await log.add(document(2, content)).then(
        () => true,
        () => false,
      );
      disk.tearAfter = Infinity;
      const after = (await DocumentLog.open(disk)).documents[0]!;
      if (isWritten) expect(after).toMatchObject({ version: 2, content });
      // All but the last line break may be there: then it counts, and nobody was told otherwise.
      else expect([document(1), document(2, content)]).toContainEqual(after);
      const again = await DocumentLog.open(disk);
      await again.log.add(document(3, content));
      expect((await DocumentLog.open(disk)).documents).toEqual([document(3, content)]);
    }),
  );
});

test("a write after a torn one that nobody restarted for is read", async () => {
  const disk = new TearableDisk();
  const { log } = await DocumentLog.open(disk);
  disk.tearAfter = 20;
  await expect(log.add(document(1))).rejects.toMatchObject({ code: "IO" });
  disk.tearAfter = Infinity;
  await log.add(document(1, "again"));
  expect((await DocumentLog.open(disk)).documents).toEqual([document(1, "again")]);
});

test("a long log is folded into the snapshot, and nothing is lost", async () => {
  const disk = new TearableDisk();
  const { log } = await DocumentLog.open(disk);
  const large = "x".repeat(1024 * 1024);
  let all: readonly Document[] = [];
  for (let version = 1; version <= 6; version++) {
    all = [document(version, large), document(1, "other", "other")];
    await log.add(all[0]!);
    await log.compactWhenLong(() => all);
  }
  const bytes = [...disk.files.values()].reduce((sum, { length }) => sum + length, 0);
  expect(bytes).toBeLessThan(4 * 1024 * 1024);
  expect((await DocumentLog.open(disk)).documents.map(({ key, version }) => `${key} ${version}`)).toEqual([
    "k 6",
    "other 1",
  ]);
});
