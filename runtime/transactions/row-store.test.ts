import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { contractTable, dataSourceContract } from "../ports/data-source.contract.ts";
import { DataSourceError } from "../ports/data-source.ts";
import { told, whats, type Step } from "../ports/data-source.sequences.ts";
import { settled } from "../testing/clock.ts";
import { DiskError } from "../ports/disk.ts";
import { openRowStore } from "./row-store.ts";
import { MemoryDisk } from "./testing.ts";

for (const [fact, holds] of Object.entries(dataSourceContract)) {
  test(fact, async () => holds(await openRowStore(new MemoryDisk()), "tenant"));
}

const row = (id: number, amount: number) => ({ tenant: "t", id, amount, note: null, data: null, at: null });

test("a commit is there after a crash, whole; what wasn't committed isn't", async () => {
  const disk = new MemoryDisk();
  const store = await openRowStore(disk);
  await store.transaction(async (local) => {
    await local.insert(contractTable, row(1, 1));
    await local.insert(contractTable, row(2, 2));
  });
  void store.transaction(async (local) => {
    await local.insert(contractTable, row(3, 3));
    await new Promise(() => undefined);
  });
  const again = await openRowStore(disk);
  expect(await again.rows(contractTable)).toEqual([row(1, 1), row(2, 2)]);
});

test("a torn commit is none at all", async () => {
  const disk = new MemoryDisk();
  const store = await openRowStore(disk);
  await store.transaction((local) => local.insert(contractTable, row(1, 1)));
  await store.transaction(async (local) => {
    await local.update(contractTable, row(1, 7));
    await local.insert(contractTable, row(2, 2));
  });
  const log = disk.files.get("rows-log.ndjson")!;
  disk.files.set("rows-log.ndjson", log.slice(0, -5));
  expect(await (await openRowStore(disk)).rows(contractTable)).toEqual([row(1, 1)]);
});

test("what a full disk refuses didn't happen, and all goes on when there is room", async () => {
  const disk = new MemoryDisk();
  const store = await openRowStore(disk);
  await store.transaction((local) => local.insert(contractTable, row(1, 1)));
  const append = disk.append.bind(disk);
  disk.append = () => Promise.reject(new DiskError("no space left", { code: "FULL" }));
  await expect(store.transaction((local) => local.update(contractTable, row(1, 2)))).rejects.toMatchObject({
    code: "UNAVAILABLE",
  });
  disk.append = append;
  expect(await store.rows(contractTable)).toEqual([row(1, 1)]);
  await store.transaction((local) => local.insert(contractTable, row(2, 2)));
  expect(await (await openRowStore(disk)).rows(contractTable)).toEqual([row(1, 1), row(2, 2)]);
});

test("a commit is seen when it is on the disk, and not before; one that doesn't get there never was", async () => {
  const disk = new MemoryDisk();
  const store = await openRowStore(disk);
  for (const id of [1, 2]) await store.transaction((local) => local.insert(contractTable, row(id, 1)));
  let refuse: () => void = () => undefined;
  const append = disk.append.bind(disk);
  disk.append = () =>
    new Promise((_, reject) => (refuse = () => reject(new DiskError("no space left", { code: "FULL" }))));
  const under = store.transaction(async (local) => {
    await local.update(contractTable, row(1, 7));
    await local.remove(contractTable, { tenant: "t", id: 2 });
    await local.insert(contractTable, row(3, 3));
  });
  await settled();
  expect(await store.rows(contractTable)).toEqual([row(1, 1), row(2, 1)]);
  const seen = await store.transaction(async (local) => {
    return Promise.all([1, 2, 3].map((id) => local.read(contractTable, { tenant: "t", id })));
  });
  expect(seen).toEqual([row(1, 1), row(2, 1), undefined]);
  let locked: unknown = "waits";
  const waiting = store.transaction(async (local) => {
    locked = await local.lock(contractTable, { tenant: "t", id: 2 });
  });
  await settled();
  expect(locked).toBe("waits");
  refuse();
  await expect(under).rejects.toMatchObject({ code: "UNAVAILABLE" });
  disk.append = append;
  await waiting;
  expect(locked).toEqual(row(2, 1));
  expect(await store.rows(contractTable)).toEqual([row(1, 1), row(2, 1)]);
});

test("transfers in any order keep the sum, never wait for ever, and end in one order that explains them", async () => {
  const transfers = fc.array(fc.record({ from: fc.nat(3), to: fc.nat(3), amount: fc.nat(5) }), { maxLength: 30 });
  await fc.assert(
    fc.asyncProperty(transfers, async (given) => {
      const store = await openRowStore(new MemoryDisk());
      for (let id = 0; id < 4; id++) await store.transaction((local) => local.insert(contractTable, row(id, 100)));
      const ends = await Promise.all(
        given.map(({ from, to, amount }) =>
          store
            .transaction(async (local) => {
              for (const [id, by] of [
                [from, -amount],
                [to, amount],
              ] as const) {
                const found = await local.lock(contractTable, { tenant: "t", id });
                await Promise.resolve();
                await local.update(contractTable, row(id, Number(found!["amount"]) + by));
              }
            })
            .then(
              () => "done",
              (error: unknown) => (error as DataSourceError).code,
            ),
        ),
      );
      expect(ends.filter((end) => end !== "done" && end !== "DEADLOCK")).toEqual([]);
      const sum = (await store.rows(contractTable)).reduce((total, { amount }) => total + Number(amount), 0);
      expect(sum).toBe(400);
      // Who gave way left no lock behind.
      await store.transaction(async (local) => {
        for (let id = 0; id < 4; id++) await local.lock(contractTable, { tenant: "t", id });
      });
    }),
    { numRuns: 60 },
  );
});

test("whatever meets at a few rows comes to an end, the same again, and is there after a crash", async () => {
  const step = fc.record({ of: fc.nat(2), what: fc.constantFrom(...whats), id: fc.nat(2), amount: fc.nat(99) });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 20 }), async (steps) => {
      const disk = new MemoryDisk();
      const store = await openRowStore(disk);
      const first = await told(store, { tenant: "t", steps, settled });
      const again = await told(await openRowStore(new MemoryDisk()), { tenant: "t", steps, settled });
      expect(again).toEqual(first);
      const sorted = (rows: readonly object[]): readonly string[] => rows.map((one) => JSON.stringify(one)).sort();
      const recovered = await (await openRowStore(disk)).rows(contractTable);
      expect(sorted(recovered)).toEqual(sorted(await store.rows(contractTable)));
      // Nobody left a lock behind.
      await store.transaction((local) => local.lockEach(contractTable, { tenant: "t" }));
    }),
  );
});

describe("who would add a row waits for who changes it, and for nobody else", () => {
  const sequence = async (...steps: readonly [of: number, what: Step["what"]][]): Promise<readonly string[]> => {
    const given = steps.map(([of, what]) => ({ of, what, id: 0, amount: 7 }));
    return told(await openRowStore(new MemoryDisk()), { tenant: "t", steps: given, settled });
  };

  test("not for one who waited longer, and then only locks it", async () => {
    expect(await sequence([1, "update"], [2, "lock"], [0, "insert"], [1, "commit"], [2, "read"])).toEqual([
      ...["1? update 0", "1: updated", "2? lock 0", "0? insert 0"],
      ...["1? commit 0", "0: inserted false", "1: committed", "2: lock 7", "2? read 0", "2: read 7"],
      ...["0: committed", "2: committed", "0=7", "1=1"],
    ]);
  });

  test("not for one who goes back to a savepoint before it changed the row, and keeps it locked", async () => {
    expect(await sequence([1, "lock"], [1, "savepoint"], [1, "update"], [0, "insert"], [1, "back"])).toEqual([
      ...["1? lock 0", "1: lock 0", "1? savepoint 0", "1: saved", "1? update 0", "1: updated", "0? insert 0"],
      ...["1? back 0", "0: inserted false", "1: back", "0: committed", "1: committed", "0=0", "1=1"],
    ]);
  });
});
