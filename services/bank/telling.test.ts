import fc from "fast-check";
import { expect, test } from "vitest";

import { DataSourceError, type DataSource } from "../../runtime/ports/data-source.ts";
import { ManualClock } from "../../runtime/testing/clock.ts";
import { openRowStore } from "../../runtime/transactions/row-store.ts";
import { MemoryDisk } from "../../runtime/transactions/testing.ts";
import { fenceTable } from "../../runtime/transactions/tcc/fence.ts";
import { holdingsOf, lockHolding, seedHoldings, versionsOf } from "./holdings.ts";
import { Doubts, type Teller } from "./telling.ts";

const table = holdingsOf("account");

/** What becomes of a commit, and of its answer; a late one comes, or is known to be lost, when `answer` is called. */
type Fate = "answered" | "done" | "undone" | "refused" | "late" | "late and done" | "late and undone";

/** A row store whose next commit, and the answer to it, have this fate. */
async function bank() {
  const clock = new ManualClock();
  const store = await openRowStore(new MemoryDisk());
  await seedHoldings(store, table, { items: 2, initial: 100 });
  let fate: Fate = "answered";
  const away = (): DataSourceError => new DataSourceError("no answer", { code: "UNAVAILABLE" });
  let answer = (): void => undefined;
  let answered = Promise.resolve();
  const wait = (): void => void ({ promise: answered, resolve: answer } = Promise.withResolvers<void>());
  wait();
  const database: DataSource = {
    transaction: async (work) => {
      if (fate === "answered") return store.transaction(work);
      const own = fate;
      const failure = own === "refused" ? new DataSourceError("no", { code: "FAILED" }) : away();
      const done = store.transaction(async (local) => {
        const result = await work(local);
        if (own === "undone" || own === "refused" || own === "late and undone") throw failure;
        return result;
      });
      if (!own.startsWith("late")) return done.then(() => Promise.reject(failure));
      await Promise.allSettled([done]);
      await answered;
      return own === "late" ? done : Promise.reject(failure);
    },
    rows: (of, filter) => store.rows(of, filter),
    close: () => store.close(),
  };
  const told: string[] = [];
  const teller: Teller = {
    wrote: ({ item, used }, { xid }, atUs) =>
      told.push(`${xid} left ${used} in ${item}${atUs === undefined ? "" : ` at ${atUs}`}`),
    doubts: ({ item }, { xid }, state) => told.push(`${xid} in ${item}: ${state}`),
  };
  const late: Promise<void>[] = [];
  const version = versionsOf(clock);
  const doubts = new Doubts({ table, version }, () => clock.nowUs());
  const telling = doubts.telling(database, teller);
  return {
    ...{ clock, told, store, telling, doubts, teller, database },
    /** Lets the late ones go, and waits until everybody knows. */
    answer: async (): Promise<void> => {
      answer();
      await Promise.all(late.splice(0));
      wait();
    },
    add: async (xid: string, item: string, as: Fate, by: DataSource = telling): Promise<void> => {
      fate = as;
      const added = by.transaction(async (local) => {
        await local.insert(fenceTable, { xid, branch_id: xid, action_name: "a", status: "1", gmt_modified: 0 });
        const holding = await lockHolding(local, table, item);
        await local.update(table, { ...holding, used: holding.used + 1, version: version() });
      });
      const over = added.catch(() => undefined);
      if (!as.startsWith("late")) await over;
      else {
        late.push(over);
        await clock.advance(1_000);
      }
      fate = "answered";
    },
    look: (item: string) => telling.transaction(async (local) => (await local.read(table, { item }))!["used"]),
  };
}

test("a commit without an answer is told of when somebody sees that it was done, as of the moment of the doubt", async () => {
  const { told, clock, add, look } = await bank();
  await add("T1", "u0", "done");
  await clock.advance(1_000);
  expect(told).toEqual(["T1 in u0: open"]);
  expect(await look("u0")).toBe(1);
  expect(told.slice(1)).toEqual(["T1 in u0: done", "T1 left 1 in u0 at 0"]);
  await add("T2", "u0", "answered");
  expect(told.slice(3)).toEqual(["T2 left 2 in u0"]);
});

test("who only reads doesn't know that it wasn't done: the other may be at it still; who has the row's lock does", async () => {
  const { told, add, look } = await bank();
  await add("T1", "u0", "undone");
  await look("u0");
  expect(told).toEqual(["T1 in u0: open"]);
  await add("T2", "u0", "answered");
  expect(told.slice(1)).toEqual(["T1 in u0: undone", "T2 left 1 in u0"]);
});

test("what the database refuses is in nobody's doubt", async () => {
  const { told, add } = await bank();
  await add("T1", "u0", "refused");
  expect(told).toEqual([]);
});

test("who writes for somebody else to the same table finds out, too", async () => {
  const { told, doubts, teller, database, add } = await bank();
  await add("T1", "u0", "done");
  await add("T2", "u0", "answered", doubts.telling(database, teller));
  expect(told.slice(1)).toEqual(["T1 in u0: done", "T1 left 1 in u0 at 0", "T2 left 2 in u0"]);
});

test("what another one has written on top of is told before that, however late its own answer comes or is known to be lost", async () => {
  for (const fate of ["late", "late and done"] as const) {
    const { told, add, answer } = await bank();
    await add("T1", "u0", fate);
    expect(told).toEqual([]);
    await add("T2", "u0", "answered");
    await answer();
    expect(told).toEqual(["T1 left 1 in u0", "T2 left 2 in u0"]);
  }
  const { told, add, answer } = await bank();
  await add("T1", "u0", "late and undone");
  await add("T2", "u0", "done");
  await answer();
  expect(told).toEqual(["T2 in u0: open"]);
});

test("at the end everything is found out that the database can tell, and what it can't tell stays open", async () => {
  const { told, doubts, store, database, add } = await bank();
  await add("T1", "u0", "done");
  await add("T2", "u1", "undone");
  const away = (): Promise<never> => Promise.reject(new DataSourceError("away", { code: "UNAVAILABLE" }));
  await doubts.settle({ ...database, transaction: away });
  expect(told).toEqual(["T1 in u0: open", "T2 in u1: open"]);
  await doubts.settle(store);
  expect(told.slice(2)).toEqual(["T1 in u0: done", "T1 left 1 in u0 at 0", "T2 in u1: undone"]);
});

test("whatever gets lost, in the end exactly what was done is told, once and in its order", async () => {
  const fates = fc.constantFrom<Fate>(
    ...(["answered", "done", "undone", "refused", "late", "late and done", "late and undone"] as const),
  );
  const step = fc.record({
    ...{ item: fc.constantFrom("u0", "u1"), fate: fates, looks: fc.boolean() },
    answers: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
      const { told, add, look, answer, doubts, store } = await bank();
      const expected: Record<string, string[]> = { u0: [], u1: [] };
      for (const [index, { item, fate, looks, answers }] of steps.entries()) {
        await add(`T${index}`, item, fate);
        const own = expected[item]!;
        if (!["undone", "refused", "late and undone"].includes(fate))
          own.push(`T${index} left ${own.length + 1} in ${item}`);
        if (answers) await answer();
        // Nobody sees what nobody has told of.
        if (looks)
          expect(await look(item)).toBe(
            told.filter((one) => one.includes(`in ${item}`) && one.includes("left")).length,
          );
      }
      await answer();
      await doubts.settle(store);
      for (const item of ["u0", "u1"]) {
        const writes = told.filter((one) => one.includes("left") && one.includes(`in ${item}`));
        expect(writes.map((one) => one.replace(/ at \d+$/, ""))).toEqual(expected[item]);
      }
      const opened = told.filter((one) => one.endsWith("open")).length;
      expect(told.filter((one) => /: (un)?done$/.test(one))).toHaveLength(opened);
    }),
    { numRuns: 60 },
  );
});
