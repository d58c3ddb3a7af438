import { DataSourceError, type DataSource, type LocalTransaction, type Table } from "./data-source.ts";

/** A table that every database under test is opened with. */
export const contractTable: Table = {
  name: "contract_rows",
  columns: { tenant: "text", id: "integer", amount: "integer", note: "text" },
  key: ["tenant", "id"],
};

/** A fact about databases: resolves when it holds, rejects with what doesn't. `tenant` is a part of the key that nobody else uses. */
export type DataSourceFact = (dataSource: DataSource, tenant: string) => Promise<void>;

/** What every database promises, our row store or PostgreSQL: the same statements have the same effect. */
export const dataSourceContract: Readonly<Record<string, DataSourceFact>> = {
  "what is committed is there, whatever is in it; what is rolled back never was": async (dataSource, tenant) => {
    const note = "O'Brien; DROP TABLE – 数据\n\"\\";
    await insert(dataSource, tenant, 1, 5, note);
    const failed = dataSource.transaction(async (local) => {
      await local.update(contractTable, row(tenant, 1, 6));
      await local.insert(contractTable, row(tenant, 2, 7));
      throw new Error("no");
    });
    equal(await failed.catch((error: unknown) => (error as Error).message), "no");
    equal(JSON.stringify(await amounts(dataSource, tenant)), '{"1":5}');
    const found = await dataSource.transaction((local) => local.lock(contractTable, { tenant, id: 1 }));
    equal(found?.["note"], note);
  },

  "a transaction sees what it wrote": async (dataSource, tenant) => {
    await dataSource.transaction(async (local) => {
      equal(await local.insert(contractTable, row(tenant, 1, 1)), true);
      equal(await local.insert(contractTable, row(tenant, 1, 2)), false);
      await local.update(contractTable, row(tenant, 1, 3));
      equal((await local.lock(contractTable, { tenant, id: 1 }))?.["amount"], 3);
    });
    equal(JSON.stringify(await amounts(dataSource, tenant)), '{"1":3}');
  },

  "null and large integers come back as they went; absent rows are undefined": async (dataSource, tenant) => {
    await dataSource.transaction((local) =>
      local.insert(contractTable, { tenant, id: 9_007_199_254_740_991, amount: -9_007_199_254_740_991, note: null }),
    );
    const found = await dataSource.transaction((local) =>
      local.lock(contractTable, { tenant, id: 9_007_199_254_740_991 }),
    );
    equal(JSON.stringify([found?.["amount"], found?.["note"]]), "[-9007199254740991,null]");
    equal(await dataSource.transaction((local) => local.lock(contractTable, { tenant, id: 8 })), undefined);
  },

  "increments of one row at the same time are all there": async (dataSource, tenant) => {
    await insert(dataSource, tenant, 1, 0);
    await Promise.all(Array.from({ length: 10 }, () => dataSource.transaction((local) => add(local, tenant, 1, 1))));
    equal(JSON.stringify(await amounts(dataSource, tenant)), '{"1":10}');
  },

  "of several who insert one key, one does": async (dataSource, tenant) => {
    const inserted = await Promise.all(
      [1, 2, 3, 4].map((amount) =>
        dataSource.transaction((local) => local.insert(contractTable, row(tenant, 1, amount))),
      ),
    );
    equal(inserted.filter((isNew) => isNew).length, 1);
  },

  "who waits for an insert that is rolled back inserts": async (dataSource, tenant) => {
    const first = dataSource.transaction(async (local) => {
      await local.insert(contractTable, row(tenant, 1, 1));
      throw new Error("no");
    });
    const second = dataSource.transaction((local) => local.insert(contractTable, row(tenant, 1, 2)));
    await first.catch(() => undefined);
    equal(await second, true);
    equal(JSON.stringify(await amounts(dataSource, tenant)), '{"1":2}');
  },

  "of two who wait for each other one gives way, by name, and the other goes on": async (dataSource, tenant) => {
    await insert(dataSource, tenant, 1, 0);
    await insert(dataSource, tenant, 2, 0);
    let arrived = 0;
    let open: () => void = () => undefined;
    const both = new Promise<void>((resolve) => (open = resolve));
    const inOrder = async (first: number, second: number): Promise<string> =>
      dataSource
        .transaction(async (local) => {
          await add(local, tenant, first, 1);
          if (++arrived === 2) open();
          await both;
          await add(local, tenant, second, 1);
        })
        .then(
          () => "done",
          (error: unknown) => (error instanceof DataSourceError ? error.code : String(error)),
        );
    const ends = await Promise.all([inOrder(1, 2), inOrder(2, 1)]);
    equal(ends.sort().join(), "DEADLOCK,done");
    equal(JSON.stringify(await amounts(dataSource, tenant)), '{"1":1,"2":1}');
  },

  "an update of a row that isn't there is refused by name": async (dataSource, tenant) => {
    const failed = dataSource.transaction((local) => local.update(contractTable, row(tenant, 1, 1)));
    equal(await failed.catch((error: unknown) => (error as DataSourceError).code), "NO_ROW");
  },
};

const row = (tenant: string, id: number, amount: number, note = "") => ({ tenant, id, amount, note });

async function insert(dataSource: DataSource, tenant: string, id: number, amount: number, note = ""): Promise<void> {
  await dataSource.transaction((local) => local.insert(contractTable, row(tenant, id, amount, note)));
}

async function add(local: LocalTransaction, tenant: string, id: number, amount: number): Promise<void> {
  const found = await local.lock(contractTable, { tenant, id });
  await local.update(contractTable, { ...found!, amount: Number(found!["amount"]) + amount });
}

async function amounts(dataSource: DataSource, tenant: string): Promise<Readonly<Record<string, unknown>>> {
  const rows = (await dataSource.rows(contractTable)).filter((found) => found["tenant"] === tenant);
  return Object.fromEntries(rows.map((found) => [String(found["id"]), found["amount"]]));
}

function equal(actual: unknown, expected: unknown): void {
  if (actual !== expected) throw new Error(`expected ${JSON.stringify(expected)}, got ${JSON.stringify(actual)}`);
}
