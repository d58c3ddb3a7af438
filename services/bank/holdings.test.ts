import { expect, test } from "vitest";

import { rowKey } from "../../runtime/transactions/at/branch.ts";
import { formatLockKey, parseLockKey } from "../../runtime/transactions/lock-key.ts";
import { openRowStore } from "../../runtime/transactions/row-store.ts";
import { MemoryDisk } from "../../runtime/transactions/testing.ts";
import {
  holdingsOf,
  itemIn,
  lockHolding,
  readHolding,
  rowKeys,
  seedHoldings,
  writeHolding,
  type RowKeys,
} from "./holdings.ts";

async function bank(keys: RowKeys) {
  const table = holdingsOf("account", keys);
  const store = await openRowStore(new MemoryDisk());
  await seedHoldings(store, table, { items: 12, initial: 100 });
  // Once they are there they stay as they are.
  await seedHoldings(store, table, { items: 12, initial: 7 });
  const take = (item: string): Promise<void> =>
    store.transaction(async (local) => {
      const holding = await lockHolding(local, table, item);
      await writeHolding(local, table, { ...holding, free: holding.free - 1, used: holding.used + 1 });
    });
  return { table, store, take };
}

test.each(rowKeys)(
  "whatever the key, rows are found by their item, and who waits goes on from what there is (%s)",
  async (keys) => {
    const { table, store, take } = await bank(keys);
    await Promise.all([take("u1"), take("u1"), take("u1"), take("u11")]);
    const free = async (item: string): Promise<number> =>
      (await store.transaction((local) => readHolding({ dataSource: store, local }, table, item))).free;
    expect([await free("u0"), await free("u1"), await free("u11")]).toEqual([100, 97, 99]);
    expect(await store.rows(table)).toHaveLength(12);
    await expect(take("u12")).rejects.toMatchObject({ code: "NOT_FOUND" });
  },
);

test.each(rowKeys)("a lock's key tells whose row it is (%s)", async (keys) => {
  const { table, store, take } = await bank(keys);
  await take("u7");
  const rows = await store.rows(table);
  const named = parseLockKey(formatLockKey(rows.map((row) => rowKey(table, row)))).map(({ pk }) => itemIn(pk, keys));
  expect(named).toEqual(rows.map(({ item }) => item));
});

test("a write to a row with an edition removes it, and adds the next one", async () => {
  const { table, store, take } = await bank("edition");
  await take("u3");
  await take("u3");
  expect(await store.rows(table, { among: { item: ["u3"] } })).toMatchObject([{ edition: 2, free: 98, used: 2 }]);
});
