import {
  DataSourceError,
  type DataSource,
  type LocalTransaction,
  type Row,
  type RowFilter,
  type Table,
} from "./data-source.ts";

/** A table that every database under test is opened with. */
export const contractTable: Table = {
  name: "contract_rows",
  columns: {
    tenant: "text",
    id: "integer",
    amount: "integer",
    note: "text",
    data: "bytes",
    at: { sql: "TIMESTAMPTZ" },
  },
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
      equal((await local.insert(contractTable, row(tenant, 1, 1)))?.["amount"], 1);
      equal(await local.insert(contractTable, row(tenant, 1, 2)), undefined);
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

  "an update sets what is given, and leaves the rest": async (dataSource, tenant) => {
    await insert(dataSource, tenant, 1, 5, "kept");
    await dataSource.transaction(async (local) => {
      await local.update(contractTable, { tenant, id: 1, amount: 6 });
      await local.update(contractTable, { tenant, id: 1 });
    });
    const found = await dataSource.transaction((local) => local.read(contractTable, { tenant, id: 1 }));
    equal(JSON.stringify([found?.["amount"], found?.["note"]]), '[6,"kept"]');
  },

  "a write answers the row as it is read then": async (dataSource, tenant) => {
    const key = { tenant, id: 1 };
    const [data, at] = [new Uint8Array([0, 255]), "2026-11-28 14:00:00.000001+00"];
    await dataSource.transaction(async (local) => {
      const isRead = async (written: Row | undefined): Promise<void> =>
        equal(JSON.stringify(written), JSON.stringify(await local.read(contractTable, key)));
      await isRead(await local.insert(contractTable, { ...key, amount: 1, data }));
      await isRead(await local.update(contractTable, { ...key, at }));
      await isRead(await local.update(contractTable, { ...key, note: "new", data: null }));
      await isRead(await local.update(contractTable, key));
    });
    const found = await dataSource.transaction((local) => local.read(contractTable, key));
    equal(JSON.stringify(found), JSON.stringify({ ...key, amount: 1, note: "new", data: null, at }));
  },

  "bytes and values of the database's own types come back as they went": async (dataSource, tenant) => {
    const data = new Uint8Array([0, 255, 39, 92, 10]);
    const at = "2026-11-28 14:00:00.000001+00";
    await dataSource.transaction((local) => local.insert(contractTable, { ...row(tenant, 1, 1), data, at }));
    const found = await dataSource.transaction((local) => local.read(contractTable, { tenant, id: 1 }));
    equal(JSON.stringify([...(found?.["data"] as Uint8Array)]), "[0,255,39,92,10]");
    equal(found?.["at"], at);
  },

  "a removed row is gone for who comes later, there again after a rollback, and may be added anew": async (
    dataSource,
    tenant,
  ) => {
    await insert(dataSource, tenant, 1, 1);
    const failed = dataSource.transaction(async (local) => {
      equal(await local.remove(contractTable, { tenant, id: 1 }), true);
      equal(await local.lock(contractTable, { tenant, id: 1 }), undefined);
      equal(await local.remove(contractTable, { tenant, id: 1 }), false);
      throw new Error("no");
    });
    await failed.catch(() => undefined);
    equal(JSON.stringify(await amounts(dataSource, tenant)), '{"1":1}');
    await dataSource.transaction((local) => local.remove(contractTable, { tenant, id: 1 }));
    equal(JSON.stringify(await amounts(dataSource, tenant)), "{}");
    equal((await dataSource.transaction((local) => local.insert(contractTable, row(tenant, 1, 2))))?.["amount"], 2);
  },

  "only those rows are read that are meant, and so many of them": async (dataSource, tenant) => {
    for (const [id, amount, note] of [
      [1, 10, "a"],
      [2, 20, "b"],
      [3, 30, "a"],
    ] as const)
      await insert(dataSource, tenant, id, amount, note);
    await dataSource.transaction((local) => local.insert(contractTable, { tenant, id: 4, amount: null, note: null }));
    const meant = async (filter: RowFilter): Promise<string> => {
      const found = await dataSource.rows(contractTable, { ...filter, among: { tenant: [tenant], ...filter.among } });
      return found
        .map(({ id }) => String(id))
        .sort()
        .join();
    };
    equal(await meant({}), "1,2,3,4");
    equal(await meant({ among: { note: ["a"] } }), "1,3");
    equal(await meant({ among: { note: ["b", null] } }), "2,4");
    equal(await meant({ among: { note: [] } }), "");
    equal(await meant({ atMost: { amount: 20 } }), "1,2");
    equal(await meant({ among: { note: ["a"] }, atMost: { amount: 29, id: 3 } }), "1");
    equal((await meant({ max: 3 })).split(",").length, 3);
    equal(await meant({ max: 0 }), "");
  },

  "a table is read in parts, one after the other in the key's order, whatever goes meanwhile": async (
    dataSource,
    tenant,
  ) => {
    for (const id of [3, 10, 2, 7, 1]) await insert(dataSource, tenant, id, id % 2);
    const part = async (after: Row): Promise<readonly Row[]> =>
      dataSource.rows(contractTable, { among: { tenant: [tenant] }, atMost: { amount: 1 }, after, max: 2 });
    const seen: string[] = [];
    for (let rows = await part({}); rows.length > 0; rows = await part(rows.at(-1)!)) {
      seen.push(rows.map(({ id }) => String(id)).join());
      await dataSource.transaction((local) => local.remove(contractTable, { tenant, id: rows[0]!["id"]! }));
    }
    equal(seen.join(" "), "1,2 3,7 10");
  },

  "of the rows that are to be removed together, those that are there go, and no others": async (dataSource, tenant) => {
    for (const id of [1, 2, 3]) await insert(dataSource, tenant, id, id);
    await insert(dataSource, `${tenant}-other`, 1, 1);
    const keys = [1, 3, 9].map((id) => ({ tenant, id }));
    await dataSource.transaction((local) => local.removeEach(contractTable, keys));
    await dataSource.transaction((local) => local.removeEach(contractTable, []));
    equal(JSON.stringify(await amounts(dataSource, tenant)), '{"2":2}');
    equal(JSON.stringify(await amounts(dataSource, `${tenant}-other`)), '{"1":1}');
  },

  "who locks a row that is being removed finds none, and who adds it waits for the end": async (dataSource, tenant) => {
    // One after the other: whichever of two reached a real database first would decide what the other finds.
    const locked = await whileItIsRemoved(dataSource, tenant, (local) => local.lock(contractTable, { tenant, id: 1 }));
    equal(locked, undefined);
    const added = await whileItIsRemoved(dataSource, tenant, (local) => local.insert(contractTable, row(tenant, 1, 2)));
    equal(added?.["amount"], 2);
  },

  "a row that is there is no reason to wait for who would add it, nor is one that isn't for who would lock it": async (
    dataSource,
    tenant,
  ) => {
    await insert(dataSource, tenant, 1, 1);
    await dataSource.transaction(async (local) => {
      await local.lock(contractTable, { tenant, id: 1 });
      equal((await local.insert(contractTable, row(tenant, 2, 1)))?.["amount"], 1);
      await dataSource.transaction(async (other) => {
        equal(await other.insert(contractTable, row(tenant, 1, 9)), undefined);
        equal(await other.lock(contractTable, { tenant, id: 2 }), undefined);
        equal(await other.read(contractTable, { tenant, id: 2 }), undefined);
      });
    });
  },

  "a savepoint undoes what came after it, and lets go of the rows that it locked": async (dataSource, tenant) => {
    await insert(dataSource, tenant, 1, 1);
    await insert(dataSource, tenant, 2, 1);
    await dataSource.transaction(async (local) => {
      await add(local, tenant, 1, 1);
      const undone = local.savepoint(async () => {
        await add(local, tenant, 1, 5);
        await add(local, tenant, 2, 5);
        await local.remove(contractTable, { tenant, id: 1 });
        await local.insert(contractTable, row(tenant, 3, 5));
        throw new Error("back");
      });
      equal(await undone.catch((error: unknown) => (error as Error).message), "back");
      await dataSource.transaction((other) => add(other, tenant, 2, 2));
      const kept = await local.savepoint(async () => {
        await add(local, tenant, 1, 3);
        return "kept";
      });
      equal(kept, "kept");
    });
    equal(JSON.stringify(await amounts(dataSource, tenant)), '{"1":5,"2":3}');
  },

  "the rows of a part of the key come in its order, those that are this transaction's own too": async (
    dataSource,
    tenant,
  ) => {
    await insert(dataSource, tenant, 2, 2);
    await insert(dataSource, tenant, 1, 1);
    await insert(dataSource, `${tenant}-other`, 1, 9);
    await dataSource.transaction(async (local) => {
      await local.insert(contractTable, row(tenant, 3, 3));
      await local.remove(contractTable, { tenant, id: 1 });
      const found = await local.lockEach(contractTable, { tenant });
      equal(JSON.stringify(found.map(({ id, amount }) => [id, amount])), "[[2,2],[3,3]]");
    });
    equal(
      JSON.stringify(await dataSource.transaction((local) => local.lockEach(contractTable, { tenant: "nobody" }))),
      "[]",
    );
  },

  "a transaction that gave way can do no more, and isn't committed by who thinks nothing of it": async (
    dataSource,
    tenant,
  ) => {
    await insert(dataSource, tenant, 1, 0);
    await insert(dataSource, tenant, 2, 0);
    let arrived = 0;
    const both = Promise.withResolvers<void>();
    const inOrder = (first: number, second: number): Promise<string> =>
      dataSource
        .transaction(async (local) => {
          await add(local, tenant, first, 1);
          if (++arrived === 2) both.resolve();
          await both.promise;
          const failed = await add(local, tenant, second, 1).then(
            () => undefined,
            () => add(local, tenant, first, 1),
          );
          return failed;
        })
        .then(
          () => "done",
          (error: unknown) => (error instanceof DataSourceError ? error.code : String(error)),
        );
    const swallowing = async (first: number, second: number): Promise<string> => {
      const ended = dataSource.transaction(async (local) => {
        await add(local, tenant, first, 1);
        if (++arrived === 2) both.resolve();
        await both.promise;
        await add(local, tenant, second, 1).catch(() => undefined);
      });
      return ended.then(
        () => "done",
        (error: unknown) => (error instanceof DataSourceError ? error.code : String(error)),
      );
    };
    const ends = await Promise.all([inOrder(1, 2), swallowing(2, 1)]);
    equal(ends.sort().join(), "FAILED,done");
    equal(JSON.stringify(await amounts(dataSource, tenant)), '{"1":1,"2":1}');
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
    equal((await second)?.["amount"], 2);
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

const row = (tenant: string, id: number, amount: number, note = "") => ({
  ...{ tenant, id, amount, note, data: null, at: null },
});

async function insert(dataSource: DataSource, tenant: string, id: number, amount: number, note = ""): Promise<void> {
  await dataSource.transaction((local) => local.insert(contractTable, row(tenant, id, amount, note)));
}

async function add(local: LocalTransaction, tenant: string, id: number, amount: number): Promise<void> {
  const found = await local.lock(contractTable, { tenant, id });
  await local.update(contractTable, { ...found!, amount: Number(found!["amount"]) + amount });
}

/** What `work` answers, which begins while another transaction removes the tenant's first row, and has to wait for that. */
async function whileItIsRemoved<T>(
  dataSource: DataSource,
  tenant: string,
  work: (local: LocalTransaction) => Promise<T>,
): Promise<T> {
  await insert(dataSource, tenant, 1, 1);
  const gate = Promise.withResolvers<void>();
  const removed = Promise.withResolvers<void>();
  const removing = dataSource.transaction(async (local) => {
    await local.remove(contractTable, { tenant, id: 1 });
    removed.resolve();
    await gate.promise;
  });
  await removed.promise;
  let isOver = false;
  const working = dataSource.transaction(work).finally(() => (isOver = true));
  try {
    // Whoever doesn't lock waits for nobody.
    const seen = await dataSource.transaction((local) => local.read(contractTable, { tenant, id: 1 }));
    equal(seen?.["amount"], 1);
    equal(isOver, false);
  } finally {
    gate.resolve();
    await removing;
  }
  return working;
}

async function amounts(dataSource: DataSource, tenant: string): Promise<Readonly<Record<string, unknown>>> {
  const rows = (await dataSource.rows(contractTable)).filter((found) => found["tenant"] === tenant);
  return Object.fromEntries(rows.map((found) => [String(found["id"]), found["amount"]]));
}

function equal(actual: unknown, expected: unknown): void {
  if (actual !== expected) throw new Error(`expected ${JSON.stringify(expected)}, got ${JSON.stringify(actual)}`);
}
