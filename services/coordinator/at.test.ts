import fc from "fast-check";
import { expect, test } from "vitest";

import { ManualClock, settled } from "../../runtime/testing/clock.ts";
import type { LocalTransaction, Row, Table } from "../../runtime/ports/data-source.ts";
import type { Metadata } from "../../runtime/call/metadata.ts";
import { silent } from "../../runtime/ports/telemetry.ts";
import { atContract } from "../../runtime/transactions/at/at.contract.ts";
import { AtResource } from "../../runtime/transactions/at/at.ts";
import { itemsIn, undoRow, undoTable } from "../../runtime/transactions/at/undo-log.ts";
import { inGlobalTransaction } from "../../runtime/transactions/global.ts";
import { xidOf } from "../../runtime/transactions/xid.ts";
import { openRowStore } from "../../runtime/transactions/row-store.ts";
import { MemoryDisk } from "../../runtime/transactions/testing.ts";
import { coordinatorInProcess } from "./testing.ts";

for (const [fact, holds] of Object.entries(atContract)) {
  test(fact, async () => {
    const clock = new ManualClock();
    const dataSource = await openRowStore(new MemoryDisk());
    const { open, stop } = await coordinatorInProcess({ clock, disk: new MemoryDisk() });
    await holds({
      ...{ clock, tenant: "t", resourceId: "rows://bank", retryWithinMs: 1_500 },
      open: () => Promise.resolve({ coordinator: open(), dataSource }),
      ended: (work) => ended(clock, work),
    });
    await stop();
  });
}

/** Moves time on until it is over. */
async function ended<T>(clock: ManualClock, work: Promise<T>): Promise<T> {
  let isOver = false;
  const over = (): void => void (isOver = true);
  work.then(over, over);
  await settled();
  for (let ms = 0; !isOver && ms < 60_000; ms++) await clock.advance(1_000);
  return work;
}

test("a rollback whose coordinator dies goes on after its restart: rows as they were, no lock left, no xid about (R19 seata#1180)", async () => {
  const clock = new ManualClock();
  const disk = new MemoryDisk();
  const dataSource = await openRowStore(new MemoryDisk());
  const first = await coordinatorInProcess({ clock, disk });
  const options = { clock, telemetry: silent, dataSource, resourceId: "rows://bank" };
  const account: Table = { name: "account", columns: { id: "integer", amount: "integer" }, key: ["id"] };
  await dataSource.transaction((local) => local.insert(account, { id: 1, amount: 10 }));
  const before = new AtResource({ ...options, coordinator: first.open() });

  // The manager waits for the answer to its rollback; the resource that would have to undo says nothing, and the coordinator dies.
  const silence = (): Promise<never> => new Promise(() => undefined);
  await first.open().registerResource("rows://bank", { commit: silence, rollback: silence });
  const told: unknown[] = [];
  let xid = "";
  const manager = first.open();
  const work = async (carried: Metadata): Promise<never> => {
    xid = xidOf(carried)!;
    await before.transaction({ xid }, (local) => local.update(account, { id: 1, amount: 5 }));
    throw new Error("given up");
  };
  void inGlobalTransaction({ clock, telemetry: silent, coordinator: manager, name: "buy" }, work).catch(
    (error: unknown) => told.push(error),
  );
  await clock.advance(1_000);
  expect(await first.transactions.status(xid)).toBe("Rollbacking");
  expect(told).toEqual([]);
  expect(first.transactions.counts).toEqual({ sessions: 1, locks: 1 });
  // What is on the disk at this moment: a coordinator that stops in order would note first that it is to be tried again.
  const crashed = new MemoryDisk();
  for (const [name, bytes] of disk.files) crashed.files.set(name, bytes);
  await first.stop();

  const second = await coordinatorInProcess({ clock, disk: crashed });
  expect(await second.transactions.status(xid)).toBe("Rollbacking");
  const coordinator = second.open();
  const after = new AtResource({ ...options, coordinator });
  await after.register();
  // The next request of the same worker is in no transaction, unless it begins one.
  const seen: (string | undefined)[] = [];
  const ports = { clock, telemetry: silent, coordinator, name: "next" };
  await inGlobalTransaction({ ...ports, propagation: "SUPPORTS" }, (carried) =>
    Promise.resolve(seen.push(xidOf(carried))),
  );
  expect(seen).toEqual([undefined]);
  await clock.advance(5_000_000);
  expect(second.transactions.counts).toEqual({ sessions: 0, locks: 0 });
  expect(await dataSource.rows(account)).toEqual([{ id: 1, amount: 10 }]);
  await inGlobalTransaction(ports, async (carried) => {
    await after.transaction({ xid: xidOf(carried) }, (local) => local.update(account, { id: 1, amount: 9 }));
  });
  expect(await dataSource.rows(account)).toEqual([{ id: 1, amount: 9 }]);
  await second.stop();
});

const table: Table = {
  name: "accounts",
  columns: { bank: "text", id: "integer", amount: "integer", note: "text", data: "bytes" },
  key: ["bank", "id"],
};
const key = fc.record({ bank: fc.constantFrom("", "a_1", "a"), id: fc.nat(2) });
const values = fc.record({
  amount: fc.option(fc.maxSafeInteger()),
  note: fc.option(fc.string({ unit: "binary" })),
  data: fc.option(fc.uint8Array({ maxLength: 8 })),
});
const statement = fc.record({ what: fc.constantFrom("insert", "update", "remove", "savepoint"), key, values });

type Statement = typeof statement extends fc.Arbitrary<infer One> ? One : never;

async function run(local: LocalTransaction, { what, key: of, values: given }: Statement): Promise<void> {
  if (what === "insert") await local.insert(table, { ...of, ...given });
  else if (what === "remove") await local.remove(table, of);
  else if (what === "update") await local.update(table, { ...of, ...given }).catch(() => undefined);
  else {
    const undone = local.savepoint(async () => {
      await run(local, { what: "update", key: of, values: given });
      await local.remove(table, of);
      throw new Error("back");
    });
    await undone.catch(() => undefined);
  }
}

async function world() {
  const clock = new ManualClock();
  const dataSource = await openRowStore(new MemoryDisk());
  const { open, transactions, stop } = await coordinatorInProcess({ clock, disk: new MemoryDisk() });
  const coordinator = open();
  const resource = new AtResource({ clock, telemetry: silent, coordinator, dataSource, resourceId: "rows://bank" });
  await resource.register();
  const rows = async (): Promise<readonly string[]> =>
    (await dataSource.rows(table)).map((row) => JSON.stringify(Object.values(row).map(String))).sort();
  return { clock, dataSource, coordinator, transactions, resource, rows, stop };
}

test("whatever branches did, a rollback leaves every row as it was, and a commit as they left it", async () => {
  const branches = fc.array(fc.array(statement, { minLength: 1, maxLength: 5 }), { minLength: 1, maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(fc.array(statement, { maxLength: 8 }), branches, fc.boolean(), async (before, given, commits) => {
      const { clock, dataSource, coordinator, transactions, resource, rows, stop } = await world();
      for (const one of before) await dataSource.transaction((local) => run(local, one));
      const first = await rows();
      const xid = await coordinator.begin({ name: "any", timeoutMs: 60_000 });
      for (const statements of given) {
        await resource.transaction({ xid }, async (local) => {
          for (const one of statements) await run(local, one);
        });
      }
      const last = await rows();
      expect(await ended(clock, coordinator[commits ? "commit" : "rollback"](xid))).toMatch(/^(Committed|Rollbacked)$/);
      expect(await rows()).toEqual(commits ? last : first);
      await clock.advance(5_000_000);
      expect(await dataSource.rows(undoTable)).toEqual([]);
      expect(transactions.counts).toEqual({ sessions: 0, locks: 0 });
      await stop();
    }),
    { numRuns: 60 },
  );
});

test("transactions at the same time, some of them given up, some too late, never lose an update of each other", async () => {
  const transfer = fc.record({
    from: fc.nat(2),
    to: fc.nat(2),
    amount: fc.integer({ min: 1, max: 9 }),
    end: fc.constantFrom("commit", "commit", "rollback", "late"),
    afterMs: fc.nat(80),
  });
  const of = (id: number): Row => ({ bank: "a", id });
  await fc.assert(
    fc.asyncProperty(fc.array(transfer, { minLength: 2, maxLength: 8 }), async (given) => {
      const { clock, dataSource, coordinator, transactions, resource, stop } = await world();
      await dataSource.transaction(async (local) => {
        for (const id of [0, 1, 2]) await local.insert(table, { ...of(id), amount: 100, note: null, data: null });
      });
      const expected = [100, 100, 100];
      const add = (xid: string, id: number, by: number): Promise<void> =>
        resource.transaction({ xid }, async (local) => {
          const found = await local.lock(table, of(id));
          await Promise.resolve();
          await local.update(table, { ...of(id), amount: Number(found!["amount"]) + by });
        });
      const done = given.map(async ({ from, to, amount, end, afterMs }) => {
        const xid = await coordinator.begin({ name: "transfer", timeoutMs: end === "late" ? 50 : 60_000 });
        try {
          await add(xid, from, -amount);
          await clock.sleep(afterMs * 1000);
          await add(xid, to, amount);
        } catch {
          await coordinator.rollback(xid);
          return;
        }
        const status = await coordinator[end === "rollback" ? "rollback" : "commit"](xid);
        if (status !== "Committed") return;
        expected[from]! -= amount;
        expected[to]! += amount;
      });
      await ended(clock, Promise.all(done));
      await clock.advance(5_000_000);
      const rows = (await dataSource.rows(table)).toSorted((one, other) => Number(one["id"]) - Number(other["id"]));
      expect(rows.map(({ amount }) => amount)).toEqual(expected);
      expect((await dataSource.rows(undoTable)).filter((row) => row["log_status"] !== "1")).toEqual([]);
      expect(transactions.counts).toEqual({ sessions: 0, locks: 0 });
      await stop();
    }),
    { numRuns: 60 },
  );
});

test("an undo log says what it was told, in Seata's words, and one that isn't whole says nothing", () => {
  const branch = { xid: "tc:8091:1", branchId: "9223372036854775807" };
  fc.assert(
    fc.property(key, values, values, fc.nat(), (of, before, after, place) => {
      const rows = [{ before: { ...of, ...before }, after: { ...of, ...after } }];
      const row = undoRow(branch, [{ sqlType: "UPDATE", table, rows }], 1_795_877_100_000);
      const [item] = itemsIn(row);
      expect(item!.rows).toEqual(rows);
      expect([item!.table.name, item!.table.key]).toEqual(["accounts", ["bank", "id"]]);
      expect(row["log_created"]).toBe("2026-11-28 14:45:00");
      const info = row["rollback_info"] as Uint8Array;
      const touched = info.with(place % info.length, info[place % info.length]! ^ 1);
      for (const damaged of [touched, info.slice(0, place % info.length)]) {
        expect(() => itemsIn({ ...row, rollback_info: damaged })).toThrow("isn't what was written");
      }
      expect(() => itemsIn({ ...row, xid: "tc:8091:2" })).toThrow("another branch's");
    }),
  );
  const body = new TextDecoder().decode(undoRow(branch, [insert], 0)["rollback_info"] as Uint8Array);
  const { sqlUndoLogs } = JSON.parse(body) as { readonly sqlUndoLogs: readonly unknown[] };
  expect(sqlUndoLogs[0]).toEqual({
    ...{ sqlType: "INSERT", tableName: "accounts", beforeImage: { tableName: "accounts", rows: [] } },
    afterImage: {
      tableName: "accounts",
      rows: [
        {
          fields: [
            { name: "bank", keyType: "PRIMARY_KEY", type: 12, value: "b" },
            { name: "id", keyType: "PRIMARY_KEY", type: -5, value: 1 },
            { name: "amount", keyType: "NULL", type: -5, value: null },
            { name: "note", keyType: "NULL", type: 12, value: "n" },
            { name: "data", keyType: "NULL", type: -2, value: "AP8=" },
          ],
        },
      ],
    },
  });
});

const insert = {
  sqlType: "INSERT",
  table,
  rows: [{ before: undefined, after: { bank: "b", id: 1, amount: null, note: "n", data: new Uint8Array([0, 255]) } }],
} as const;
