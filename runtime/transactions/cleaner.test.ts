import fc from "fast-check";
import { describe, expect, test } from "vitest";

import type { DataSource, Row } from "../ports/data-source.ts";
import { ManualClock } from "../testing/clock.ts";
import { fenceRow, oldUndoFences, undoRow, undoStatus } from "./at/undo-log.ts";
import { Cleaner, retentionMs, type CleanerOptions, type Remains } from "./cleaner.ts";
import { openRowStore } from "./row-store.ts";
import { oldSagas } from "./saga/log.ts";
import { oldStepFences } from "./saga/participant.ts";
import type { GlobalStatus } from "./status.ts";
import { fenceStatus, fenceTable, oldFences } from "./tcc/fence.ts";
import { MemoryDisk } from "./testing.ts";

const dayMs = 86_400_000;

/** Nobody has a transaction that isn't over. */
const nothingOpen = { status: async (): Promise<GlobalStatus> => "Finished" };

async function open(remains: Remains, options: Partial<Pick<CleanerOptions, "batchMax" | "coordinator">> = {}) {
  const clock = new ManualClock();
  const dataSource = await openRowStore(new MemoryDisk());
  const cleaner = new Cleaner({ clock, dataSource, remains: [remains], coordinator: nothingOpen, ...options });
  const add = (rows: readonly Row[]): Promise<void> =>
    dataSource.transaction(async (local) => {
      for (const row of rows) await local.insert(remains.table, row);
    });
  const left = async (): Promise<readonly Row[]> => dataSource.rows(remains.table);
  return { clock, dataSource, cleaner, add, left };
}

const fence = (xid: string, status: number, gmt_modified: number): Row => ({
  ...{ xid, branch_id: "1", action_name: "account.reserve", status, gmt_create: 0, gmt_modified },
});

describe("a fence's row", () => {
  test("that is over goes a day later, and not before; one that only tried stays", async () => {
    const { clock, add, left, cleaner } = await open(oldFences);
    const now = clock.wallMs();
    await add(Object.entries(fenceStatus).map(([name, status]) => fence(name, status, now)));
    await clock.advance((dayMs - 1) * 1000);
    expect(await cleaner.sweep()).toBe(0);
    await clock.advance(1_000);
    await clock.advance(dayMs * 1000);
    expect((await left()).map(({ xid }) => xid)).toEqual(["tried"]);
    await clock.advance(100 * dayMs * 1000);
    expect(await left()).toHaveLength(1);
  });

  test("goes in as many local transactions as there are batches, none of them larger", async () => {
    const { add, left, dataSource } = await open(oldFences);
    await add(Array.from({ length: 25 }, (_, index) => fence(`x${index}`, fenceStatus.committed, -dayMs)));
    const sizes: number[] = [];
    const telling: DataSource = {
      ...{ rows: (table, filter) => dataSource.rows(table, filter), close: () => dataSource.close() },
      transaction: async (work) => {
        const before = (await left()).length;
        const result = await dataSource.transaction(work);
        sizes.push(before - (await left()).length);
        return result;
      },
    };
    const cleaner = new Cleaner({
      ...{ clock: new ManualClock(), dataSource: telling, remains: [oldFences], coordinator: nothingOpen },
      batchMax: 10,
    });
    expect(await cleaner.sweep()).toBe(25);
    expect(sizes).toEqual([10, 10, 5]);
  });
});

test("an undo log's fence goes after seven days; undo logs that are still needed never do", async () => {
  const { clock, add, left, cleaner } = await open(oldUndoFences);
  const now = clock.wallMs();
  const changed = { before: { id: 1 }, after: { id: 2 } };
  const table = { name: "t", columns: { id: "integer" }, key: ["id"] } as const;
  const needed = undoRow({ xid: "needed", branchId: "1" }, [{ sqlType: "UPDATE", table, rows: [changed] }], now);
  await add([
    needed,
    fenceRow({ xid: "old", branchId: "2" }, now),
    { ...needed, xid: "later", log_status: undoStatus.undone },
  ]);
  await clock.advance(retentionMs.undo * 1000 - 1_000_000);
  expect(await cleaner.sweep()).toBe(0);
  await clock.advance(2 * dayMs * 1000);
  expect((await left()).map(({ xid }) => xid)).toEqual(["needed", "later"]);
});

test("a saga that is over goes after seven days; one that is under way, or needs a person, stays", async () => {
  const { clock, add, left } = await open(oldSagas);
  const gmt = clock.wallMs();
  const saga = { branch_id: "1", saga: "buy", owner: "order/0", is_launcher: 1, version: 1, state: "{}" };
  const phases = ["forward", "done", "compensating", "compensated", "failed"];
  await add(phases.map((phase) => ({ ...saga, xid: phase, phase, gmt_create: gmt, gmt_modified: gmt })));
  await clock.advance(9 * dayMs * 1000);
  expect((await left()).map(({ xid }) => xid)).toEqual(["forward", "compensating", "failed"]);
});

test("what a restart finds goes within a minute, and not only a day later", async () => {
  const { clock, add, left } = await open(oldFences);
  await add([fence("x", fenceStatus.committed, clock.wallMs() - 2 * dayMs)]);
  await clock.advance(59_000_000);
  expect(await left()).toHaveLength(1);
  await clock.advance(1_000_000);
  expect(await left()).toEqual([]);
});

describe("where rows don't tell whether their transaction is over", () => {
  const known = new Map<string, GlobalStatus>([
    ["under way", "Begin"],
    ["retried", "CommitRetrying"],
    ["for a person", "RollbackFailed"],
  ]);
  const status = async (xid: string): Promise<GlobalStatus> => known.get(xid) ?? "Finished";

  test("the coordinator does: a saga's steps go seven days later, but not while it knows their transaction", async () => {
    const { clock, add, left, cleaner } = await open(oldStepFences, { coordinator: { status }, batchMax: 2 });
    const now = clock.wallMs();
    const over = ["done 1", "done 2", "done 3"];
    await add([...known.keys(), ...over].map((xid) => fence(xid, fenceStatus.tried, now)));
    await add([{ ...fence("done 1", fenceStatus.tried, now), branch_id: "2" }]);
    await clock.advance(retentionMs.saga * 1000 - 1_000_000);
    expect(await cleaner.sweep()).toBe(0);
    await clock.advance(1_000_000);
    expect(await cleaner.sweep()).toBe(4);
    expect((await left()).map(({ xid }) => xid)).toEqual([...known.keys()]);
    cleaner.close();
  });

  test("no more of them are read or removed at once than a batch has, however many have to stay", async () => {
    const { dataSource, add, left } = await open(oldStepFences);
    const xids = Array.from({ length: 50 }, (_, index) => `${index < 30 ? "open" : "over"} ${index}`);
    await add(xids.map((xid) => fence(xid, fenceStatus.tried, -30 * dayMs)));
    const [read, removed]: number[][] = [[], []];
    const telling: DataSource = {
      close: () => dataSource.close(),
      rows: async (table, filter) => {
        const rows = await dataSource.rows(table, filter);
        read!.push(rows.length);
        return rows;
      },
      transaction: async (work) => {
        const before = (await left()).length;
        const result = await dataSource.transaction(work);
        removed!.push(before - (await left()).length);
        return result;
      },
    };
    const cleaner = new Cleaner({
      ...{ clock: new ManualClock(), dataSource: telling, remains: [oldStepFences], batchMax: 8 },
      coordinator: { status: async (xid) => (xid.startsWith("open") ? "RollbackFailed" : "Finished") },
    });
    expect(await cleaner.sweep()).toBe(20);
    expect(read).toEqual([8, 8, 8, 8, 8, 8, 2]);
    expect(Math.max(...removed!)).toBeLessThanOrEqual(8);
    expect((await left()).every(({ xid }) => String(xid).startsWith("open"))).toBe(true);
    cleaner.close();
  });

  test("a coordinator that is away is asked the next time, and until then everything stays", async () => {
    let isAway = true;
    const coordinator = {
      status: (xid: string) => (isAway ? Promise.reject(new Error("away")) : status(xid)),
    };
    const { clock, add, left, cleaner } = await open(oldStepFences, { coordinator });
    await add([fence("done", fenceStatus.tried, clock.wallMs() - 30 * dayMs)]);
    await clock.advance(60_000_000);
    expect(await left()).toHaveLength(1);
    isAway = false;
    await clock.advance(dayMs * 1000);
    expect(await left()).toEqual([]);
    cleaner.close();
  });
});

test("what was told to be over before the coordinator went away is gone", async () => {
  let answers = 0;
  const coordinator = {
    status: async (): Promise<GlobalStatus> => {
      if (++answers > 40) throw new Error("away");
      return "Finished";
    },
  };
  const { clock, add, left, cleaner } = await open(oldStepFences, { coordinator });
  await add(
    Array.from({ length: 100 }, (_, xid) => fence(String(xid), fenceStatus.tried, clock.wallMs() - 30 * dayMs)),
  );
  await expect(cleaner.sweep()).rejects.toThrow("away");
  expect(await left()).toHaveLength(60);
  cleaner.close();
});

test("a database that is away is cleaned the next time", async () => {
  const clock = new ManualClock();
  const healthy = await openRowStore(new MemoryDisk());
  await healthy.transaction((local) => local.insert(fenceTable, fence("x", fenceStatus.committed, -dayMs)));
  let isAway = true;
  const dataSource: DataSource = {
    transaction: (work) => healthy.transaction(work),
    rows: (table, filter) => (isAway ? Promise.reject(new Error("away")) : healthy.rows(table, filter)),
    close: () => healthy.close(),
  };
  const cleaner = new Cleaner({ clock, dataSource, remains: [oldFences], coordinator: nothingOpen });
  await clock.advance(dayMs * 1000);
  isAway = false;
  await clock.advance(dayMs * 1000);
  expect(await healthy.rows(fenceTable)).toEqual([]);
  cleaner.close();
});

test("once closed it removes nothing any more", async () => {
  const { clock, add, left, cleaner } = await open(oldFences);
  await add([fence("x", fenceStatus.committed, -dayMs)]);
  cleaner.close();
  await clock.advance(3 * dayMs * 1000);
  expect(await left()).toHaveLength(1);
});

test("whatever is there, exactly what is over and old enough goes", async () => {
  const rows = fc.uniqueArray(
    fc.record({ xid: fc.nat(50), status: fc.constantFrom(1, 2, 3, 4), ageMs: fc.nat(2 * dayMs) }),
    { selector: ({ xid }) => xid, maxLength: 40 },
  );
  await fc.assert(
    fc.asyncProperty(rows, fc.integer({ min: 1, max: 7 }), async (all, batchMax) => {
      const { clock, add, left, cleaner } = await open(oldFences, { batchMax });
      const now = clock.wallMs();
      await add(all.map(({ xid, status, ageMs }) => fence(String(xid), status, now - ageMs)));
      const due = all.filter(({ status, ageMs }) => status !== fenceStatus.tried && ageMs >= dayMs);
      expect(await cleaner.sweep()).toBe(due.length);
      expect((await left()).length).toBe(all.length - due.length);
      cleaner.close();
    }),
    { numRuns: 50 },
  );
});
