import { expect, test } from "vitest";

import { silent } from "../../runtime/ports/telemetry.ts";
import { ManualClock } from "../../runtime/testing/clock.ts";
import { Cleaner } from "../../runtime/transactions/cleaner.ts";
import { openRowStore } from "../../runtime/transactions/row-store.ts";
import { MemoryDisk } from "../../runtime/transactions/testing.ts";
import { coordinatorInProcess } from "../coordinator/testing.ts";
import { AtReservations, oldRequests, requestTable } from "./at.ts";
import { holdingsOf, seedHoldings, versionsOf } from "./holdings.ts";

const dayMs = 86_400_000;

test("a request is done once for as long as its transaction lasts; a day later what is left of it goes, and it is refused all the same", async () => {
  const clock = new ManualClock();
  const dataSource = await openRowStore(new MemoryDisk());
  const { open, stop } = await coordinatorInProcess({ clock, disk: new MemoryDisk(), retryMs: 3_600_000 });
  const coordinator = open();
  const holdings = { table: holdingsOf("account"), version: versionsOf(clock) };
  await seedHoldings(dataSource, holdings.table, { items: 1, initial: 10 });
  const resourceId = "rows://account/0";
  const bank = new AtReservations({ clock, telemetry: silent, coordinator, dataSource, resourceId, holdings });
  await bank.register();
  const cleaner = new Cleaner({ clock, dataSource, coordinator, remains: [oldRequests], firstMs: 30 * dayMs });
  const xid = await coordinator.begin({ name: "buy", timeoutMs: 20 * dayMs });
  const reserve = (): Promise<string> => bank.reserve(xid, { item: "u0", amount: 1, key: "account" });
  await reserve();
  await clock.advance(2 * dayMs * 1000);
  // It is old, but its transaction is under way.
  expect(await cleaner.sweep()).toBe(0);
  await expect(reserve()).rejects.toMatchObject({ code: "ALREADY_EXISTS" });
  await coordinator.commit(xid);
  await clock.advance(dayMs * 1000);
  expect(await cleaner.sweep()).toBe(1);
  expect(await dataSource.rows(requestTable)).toEqual([]);
  await expect(reserve()).rejects.toMatchObject({ code: "GlobalTransactionNotExist" });
  expect(await dataSource.rows(holdings.table)).toMatchObject([{ free: 9, used: 1 }]);
  cleaner.close();
  await bank.close();
  await stop();
});
