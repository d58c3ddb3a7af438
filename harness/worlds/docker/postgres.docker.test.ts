import { afterAll, beforeAll, expect, test } from "vitest";

import { postgresDataSource } from "../../../runtime/node/postgres.ts";
import { contractTable, dataSourceContract } from "../../../runtime/ports/data-source.contract.ts";
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
