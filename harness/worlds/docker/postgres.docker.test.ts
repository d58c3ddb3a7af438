import { setTimeout as sleep } from "node:timers/promises";

import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";

import { postgresDataSource } from "../../../runtime/node/postgres.ts";
import { contractTable, dataSourceContract } from "../../../runtime/ports/data-source.contract.ts";
import { told, whats } from "../../../runtime/ports/data-source.sequences.ts";
import { settled } from "../../../runtime/testing/clock.ts";
import { openRowStore } from "../../../runtime/transactions/row-store.ts";
import { MemoryDisk } from "../../../runtime/transactions/testing.ts";
import type { DataSource } from "../../../runtime/ports/data-source.ts";
import { postgres, type RunningServer } from "./servers.ts";
import { describeReal, startTestServer } from "./testing.ts";

describeReal("PostgreSQL as a database of branches", () => {
  let server: RunningServer;
  let dataSource: DataSource;
  const open = (url: string): Promise<DataSource> =>
    postgresDataSource(() => server.addressOf(5432))({ url, client: "test", tables: [contractTable] });
  beforeAll(async () => {
    server = await startTestServer(postgres);
    dataSource = await open("postgres://flyball:flyball@postgres:5432/flyball");
  }, 90_000);
  afterAll(() => dataSource.close());

  for (const [index, [fact, holds]] of Object.entries(dataSourceContract).entries()) {
    test(fact, () => holds(dataSource, `tenant-${index}`));
  }

  test("whatever meets at a few rows gets the answers that it gets from the row store, waiting and deadlocks included", async () => {
    const url = "postgres://flyball:flyball@postgres/flyball";
    const open = (client: string) =>
      postgresDataSource(() => server.addressOf(5432))({ url, client, tables: [contractTable] });
    const watching = await open("watching");
    // Who closes a circle finds out before anything else happens.
    await watching.transaction((local) => local.sql("ALTER ROLE flyball SET deadlock_timeout = '10ms'"));
    const real = await open("sequences");
    const waiting = async (): Promise<number> => {
      const sql =
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'sequences' AND wait_event_type = 'Lock'";
      return Number((await watching.transaction((local) => local.sql(sql))).rows[0]![0]);
    };
    const settledReally = async (busy: () => number): Promise<void> => {
      while (busy() > 0) {
        const isStill = async (): Promise<boolean> => (await waiting()) === busy();
        if (!(await isStill())) continue;
        await sleep(20);
        if (await isStill()) return;
      }
    };
    let runs = 0;
    const step = fc.record({ of: fc.nat(2), what: fc.constantFrom(...whats), id: fc.nat(2), amount: fc.nat(99) });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 4, maxLength: 14 }), async (steps) => {
        const tenant = `sequence-${runs++}`;
        const embedded = await openRowStore(new MemoryDisk());
        const [own, theirs] = [
          await told(embedded, { tenant, steps, settled }),
          await told(real, { tenant, steps, settled: settledReally }),
        ];
        expect(theirs).toEqual(own);
      }),
      { numRuns: 150, endOnFailure: true },
    );
    await real.close();
    await watching.close();
  }, 120_000);

  test("the same table may be opened by several at the same time, and again", async () => {
    const url = "postgres://flyball:flyball@postgres/flyball";
    const others = await Promise.all([open(url), open(url), open(url)]);
    for (const other of others) await other.close();
  });

  test("a wrong password, and a URL that names no database, are refused by name", async () => {
    await expect(open("postgres://flyball:wrong@postgres/flyball")).rejects.toMatchObject({ name: "DataSourceError" });
    await expect(open("postgres://postgres")).rejects.toThrow("no URL of a database");
  });

  test("what was committed is there after it was killed, and who used it goes on", async () => {
    const row = { tenant: "killed", id: 1, amount: 1, note: null, data: null, at: null };
    await dataSource.transaction((local) => local.insert(contractTable, row));
    await server.container.kill();
    await expect(dataSource.rows(contractTable)).rejects.toMatchObject({ code: "UNAVAILABLE" });
    await server.restart();
    // It was reached at another port; the server's own is the same.
    const again = await open("postgres://flyball:flyball@postgres/flyball");
    expect(await again.rows(contractTable)).toContainEqual(row);
    await again.close();
  }, 60_000);
});
