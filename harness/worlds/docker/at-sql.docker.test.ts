import { afterAll, beforeAll, expect, test } from "vitest";

import { systemClock } from "../../../runtime/node/clock.ts";
import { postgresDataSource, type SqlDataSource } from "../../../runtime/node/postgres.ts";
import { AtSql, type SqlStatements } from "../../../runtime/node/sql/at-sql.ts";
import type { Telemetry } from "../../../runtime/ports/telemetry.ts";
import type { RuntimeEvent } from "../../../runtime/telemetry/events.ts";
import type { Coordinator } from "../../../runtime/ports/coordinator.ts";
import { AtResource } from "../../../runtime/transactions/at/at.ts";
import { undoTable } from "../../../runtime/transactions/at/undo-log.ts";
import { MemoryDisk } from "../../../runtime/transactions/testing.ts";
import { coordinatorInProcess } from "../../../services/coordinator/testing.ts";
import { postgres, type RunningServer } from "./servers.ts";
import { describeReal, startTestServer } from "./testing.ts";

describeReal("AT by SQL on PostgreSQL", () => {
  const clock = systemClock();
  let server: RunningServer;
  let dataSource: SqlDataSource;
  let coordinator: Coordinator;
  let stop: () => Promise<void>;
  let resource: AtResource<Parameters<Parameters<SqlDataSource["transaction"]>[0]>[0]>;
  let at: AtSql;
  const repairs: RuntimeEvent[] = [];
  const telemetry: Telemetry = {
    emit: (event) => {
      if (event.type === "transaction" && event.what === "repair") repairs.push(event);
    },
  };
  beforeAll(async () => {
    server = await startTestServer(postgres);
    const url = "postgres://flyball:flyball@postgres/flyball";
    dataSource = await postgresDataSource(() => server.addressOf(5432))({ url, client: "test", tables: [undoTable] });
    const opened = await coordinatorInProcess({ clock, disk: new MemoryDisk(), retryMs: 100 });
    stop = opened.stop;
    coordinator = opened.open();
    resource = new AtResource({ clock, telemetry, coordinator, dataSource, resourceId: "postgres://bank" });
    await resource.register();
    at = new AtSql(resource, { clock });
  }, 90_000);
  afterAll(async () => {
    await resource.close();
    await stop();
    await dataSource.close();
  });

  const begin = (): Promise<string> => coordinator.begin({ name: "buy", timeoutMs: 60_000 });
  const branch = <T>(xid: string, work: (local: SqlStatements) => Promise<T>): Promise<T> =>
    at.transaction({ xid }, work);
  const sql = async (...texts: readonly string[]): Promise<readonly (readonly (string | null)[])[]> =>
    dataSource.transaction(async (local) => {
      let last: readonly (readonly (string | null)[])[] = [];
      for (const text of texts) last = (await local.sql(text)).rows;
      return last;
    });
  const text = async (table: string): Promise<readonly unknown[]> =>
    (await sql(`SELECT t::text FROM ${table} t ORDER BY 1`)).flat();

  test("values of every type are as they were after a rollback, to the last digit", async () => {
    await sql(
      `CREATE TABLE every (b INT, a TEXT, big BIGINT, amount NUMERIC(30,10), c CHAR(5), blob BYTEA, j JSON, jb JSONB,
        tz TIMESTAMPTZ, ts TIMESTAMP, d DATE, i INTERVAL, f FLOAT8, u UUID, list INT[], flag BOOLEAN,
        twice INT GENERATED ALWAYS AS (b * 2) STORED, number INT GENERATED ALWAYS AS IDENTITY, PRIMARY KEY (a, b))`,
      `INSERT INTO every VALUES (1, 'x,y;z:_%', 9223372036854775807, 1.5000000001, 'ab', '\\x00ff', '{"b": 1,  "a": 2}',
        '{"b": 1, "a": 2}', '2026-11-28 14:00:00.000001+02', '2026-02-28 23:59:59.999999', '0044-03-15 BC',
        '1 mon 2 days 03:04:05.678', 'NaN', 'f81d4fae-7dec-11d0-a765-00a0c91e6bf6', '{1,NULL,3}', true),
        (2, '', NULL, NULL, NULL, NULL, NULL, NULL, 'infinity', NULL, NULL, NULL, 0.1, NULL, NULL, NULL),
        (3, 'kept', 0, 1.0, 'cd', '', NULL, NULL, NULL, NULL, NULL, NULL, '-0', NULL, '{}', false)`,
    );
    const before = await text("every");
    const xid = await begin();
    await branch(xid, async (local) => {
      const updated = await local.query(
        "UPDATE every AS e SET amount = amount-$2, c = 'zz', f = 2, j = NULL, list = '{9}' WHERE e.b < $1 RETURNING e.b, amount, twice",
        [3, 0.5],
      );
      expect([...updated.rows].sort((one, other) => Number(one["b"]) - Number(other["b"]))).toEqual([
        { b: 1, amount: "1.0000000001", twice: 2 },
        { b: 2, amount: null, twice: 4 },
      ]);
      expect((await local.query("DELETE FROM every WHERE b <> 2")).count).toBe(2);
      const added = await local.query(
        "INSERT INTO every (a, b) VALUES ('new', 4), ('', 2) ON CONFLICT DO NOTHING RETURNING *",
      );
      expect(added.rows).toMatchObject([{ a: "new", b: 4, big: null }]);
      expect((await local.query("UPDATE every SET f = 3 WHERE b = 99 RETURNING f")).rows).toEqual([]);
    });
    expect(await text("every")).not.toEqual(before);
    expect(await coordinator.rollback(xid)).toBe("Rollbacked");
    expect(await text("every")).toEqual(before);
    expect(await sql("SELECT count(*) FROM undo_log")).toEqual([["0"]]);
  });

  test("what is locked by SQL and by values is the same row; a locking read waits and reads anew (seata#1196)", async () => {
    await sql("CREATE TABLE stock (id TEXT PRIMARY KEY, amount BIGINT)", "INSERT INTO stock VALUES ('a_b', 10)");
    const table = { name: "stock", columns: { id: "text", amount: "integer" }, key: ["id"] } as const;
    const [writer, reader] = [await begin(), await begin()];
    await branch(writer, (local) => local.query("UPDATE stock SET amount=amount-$1 WHERE id = $2", [3, "a_b"]));
    const blind = resource.transaction({ xid: reader }, (local) => local.update(table, { id: "a_b", amount: 0 }));
    await expect(blind).rejects.toMatchObject({ code: "LockWaitTimeout" });
    void clock.sleep(50_000).then(() => coordinator.rollback(writer));
    const plain = await branch(reader, (local) => local.query("SELECT amount FROM stock"));
    expect(plain.rows).toEqual([{ amount: "7" }]);
    const locked = await branch(reader, (local) =>
      local.query("SELECT amount AS left_over FROM stock s WHERE s.id = $1 FOR UPDATE OF s", ["a_b"]),
    );
    expect(locked.rows).toEqual([{ left_over: "10" }]);
    await coordinator.rollback(reader);
  });

  test("only the rows that were seen are changed, though others have come to meet the condition", async () => {
    await sql("CREATE TABLE jobs (id INT PRIMARY KEY, state TEXT)", "INSERT INTO jobs VALUES (1, 'new'), (2, 'held')");
    const held = Promise.withResolvers<void>();
    const released = Promise.withResolvers<void>();
    const holding = dataSource.transaction(async (local) => {
      await local.sql("UPDATE jobs SET state = 'new' WHERE id = 1");
      held.resolve();
      await released.promise;
      await local.sql("INSERT INTO jobs VALUES (3, 'new')");
    });
    await held.promise;
    const xid = await begin();
    const changing = branch(xid, (local) => local.query("UPDATE jobs SET state = 'done' WHERE state = 'new'"));
    await clock.sleep(100_000);
    released.resolve();
    await holding;
    expect((await changing).count).toBe(1);
    await coordinator.rollback(xid);
    expect(await text("jobs")).toEqual(["(1,new)", "(2,held)", "(3,new)"]);
  });

  test("tables of other schemas, and keys of several columns in an order of their own, are undone there", async () => {
    await sql(
      "CREATE SCHEMA shop",
      "CREATE TABLE shop.items (a INT, b TEXT, n INT, PRIMARY KEY (b, a))",
      "INSERT INTO shop.items VALUES (1, 'x', 1), (2, 'x', 2)",
    );
    const [one, two] = [await begin(), await begin()];
    await branch(one, (local) => local.query(`UPDATE shop.items SET n = 9 WHERE (b, a) = ('x', 1)`));
    await branch(two, (local) => local.query(`DELETE FROM ONLY shop."items" i WHERE i.a = 2`));
    for (const xid of [one, two]) expect(await coordinator.rollback(xid)).toBe("Rollbacked");
    expect(await text("shop.items")).toEqual(["(1,x,1)", "(2,x,2)"]);
  });

  test("a table is undone where it is, also where another of its name comes first", async () => {
    await sql(
      "CREATE TABLE public.shadow (id INT PRIMARY KEY, n INT)",
      "INSERT INTO public.shadow VALUES (1, 10)",
      "CREATE SCHEMA flyball",
      "CREATE TABLE flyball.shadow (id INT PRIMARY KEY, n INT)",
      "INSERT INTO flyball.shadow VALUES (1, 11)",
    );
    try {
      const xid = await begin();
      await branch(xid, (local) => local.query("UPDATE public.shadow SET n = 11"));
      expect(await coordinator.rollback(xid)).toBe("Rollbacked");
      expect(await text("public.shadow")).toEqual(["(1,10)"]);
      expect(await text("flyball.shadow")).toEqual(["(1,11)"]);
      await sql("CREATE TABLE flyball.undo_log (LIKE public.undo_log INCLUDING ALL)");
      await expect(branch(await begin(), (local) => local.query("DELETE FROM undo_log"))).rejects.toThrow("undoes by");
    } finally {
      await sql("DROP SCHEMA flyball CASCADE");
    }
  });

  test("a column that came since the table was looked at is in the images, too", async () => {
    await sql("CREATE TABLE grown (id INT PRIMARY KEY, n INT)", "INSERT INTO grown VALUES (1, 1), (2, 2)");
    const first = await begin();
    await branch(first, (local) => local.query("UPDATE grown SET n = 0"));
    expect(await coordinator.rollback(first)).toBe("Rollbacked");
    await sql("ALTER TABLE grown ADD note TEXT DEFAULT 'kept'");
    const before = await text("grown");
    for (const work of [
      "INSERT INTO grown VALUES (3, 3, 'new') RETURNING *",
      "UPDATE grown SET note = 'gone' WHERE id = 1",
      "DELETE FROM grown WHERE id = 2",
    ]) {
      const xid = await begin();
      const { rows } = await branch(xid, (local) => local.query(work));
      expect(rows).toEqual(work.startsWith("INSERT") ? [{ id: 3, n: 3, note: "new" }] : []);
      expect(await coordinator.rollback(xid)).toBe("Rollbacked");
      expect(await text("grown")).toEqual(before);
    }
  });

  test("a statement whose values aren't those that it asks for is refused, and nothing is done", async () => {
    await sql("CREATE TABLE asked (id INT PRIMARY KEY, n INT)", "INSERT INTO asked VALUES (1, 1)");
    const xid = await begin();
    for (const values of [[1], [1, 2, 3]]) {
      const refused = branch(xid, (local) => local.query("UPDATE asked SET n = $2 WHERE id = $1", values));
      await expect(refused).rejects.toMatchObject({ code: "InvalidArgument" });
    }
    expect(await text("asked")).toEqual(["(1,1)"]);
    await coordinator.rollback(xid);
  });

  test("a locking read may order by what it calls like a column of the key", async () => {
    await sql("CREATE TABLE sorted (id INT PRIMARY KEY)", "INSERT INTO sorted VALUES (1), (2)");
    const xid = await begin();
    const read = "SELECT (3 - id)::text AS id FROM sorted AS s ORDER BY id FOR UPDATE";
    expect((await branch(xid, (local) => local.query(read))).rows).toEqual([{ id: "1" }, { id: "2" }]);
    await coordinator.rollback(xid);
  });

  test("a savepoint takes back what AT would undo, too", async () => {
    await sql("CREATE TABLE saved (id INT PRIMARY KEY, n INT)", "INSERT INTO saved VALUES (1, 1)");
    const xid = await begin();
    await branch(xid, async (local) => {
      await local
        .savepoint(async () => {
          await local.query("UPDATE saved SET n = 2");
          await local.query("INSERT INTO saved VALUES (1, 2)");
        })
        .catch(() => undefined);
    });
    expect(await sql(`SELECT * FROM undo_log WHERE xid = '${xid}'`)).toEqual([]);
    await coordinator.rollback(xid);
  });

  test("rows that refer to one another go back in an order that their constraints allow", async () => {
    await sql(
      "CREATE TABLE tree (id INT PRIMARY KEY, up INT REFERENCES tree)",
      "INSERT INTO tree VALUES (1, NULL), (3, 1), (2, 3)",
    );
    const before = await text("tree");
    const xid = await begin();
    await branch(xid, (local) => local.query("DELETE FROM tree WHERE id > 0"));
    expect(await text("tree")).toEqual([]);
    expect(await coordinator.rollback(xid)).toBe("Rollbacked");
    expect(await text("tree")).toEqual(before);
  });

  test("a thousand rows of every type go back together, changed, removed and added", async () => {
    await sql(
      "CREATE TABLE many (id INT, b TEXT, n NUMERIC(12,2), blob BYTEA, j JSONB, a INT[], PRIMARY KEY (b, id))",
      `INSERT INTO many SELECT i, 'x', i * 1.5, decode('00ff', 'hex'), '{"k": "a,b"}', ARRAY[1, NULL, 2] FROM generate_series(1, 1000) i`,
    );
    const before = await text("many");
    for (const work of [
      "UPDATE many SET n = n + 1, blob = NULL, a = CASE WHEN id % 2 = 0 THEN a END",
      "DELETE FROM many",
      "INSERT INTO many SELECT id + 1000, b, n, blob, j, a FROM many",
    ]) {
      const xid = await begin();
      const { count } = await branch(xid, (local) => local.query(work));
      expect(count).toBe(1000);
      expect(await text("many")).not.toEqual(before);
      expect(await coordinator.rollback(xid)).toBe("Rollbacked");
      expect(await text("many")).toEqual(before);
    }
  });

  test("one row that somebody else wrote keeps all of its statement from being undone", async () => {
    await sql(
      "CREATE TABLE mixed (id INT PRIMARY KEY, n INT)",
      "INSERT INTO mixed SELECT i, i FROM generate_series(1, 100) i",
    );
    const xid = await begin();
    await branch(xid, (local) => local.query("UPDATE mixed SET n = n + 1"));
    await sql("UPDATE mixed SET n = 0 WHERE id = 57");
    expect(await coordinator.rollback(xid)).toBe("RollbackFailed");
    expect(repairs.at(-1)).toMatchObject({ xid, code: "DirtyWrite" });
    expect(await sql("SELECT count(*) FROM mixed WHERE n = id + 1")).toEqual([["99"]]);
  });

  // Each has tables of its own: what can't be undone stays locked.
  test.each([
    [
      "a row that refers to one that is to go",
      "INSERT INTO a VALUES (2)",
      "INSERT INTO a_owned VALUES (1, 2)",
      "UndoRefused",
    ],
    ["a constraint that came meanwhile", "UPDATE b SET n = 5", "ALTER TABLE b ADD CHECK (n > 2)", "UndoRefused"],
    [
      "a unique value that was taken meanwhile",
      "DELETE FROM c WHERE id = 1",
      "INSERT INTO c VALUES (3, 1)",
      "DirtyWrite",
    ],
    [
      "an undo log that says to be a fence",
      "UPDATE d SET n = 7",
      "UPDATE undo_log SET log_status = 1",
      "DamagedUndoLog",
    ],
    [
      "rows of others that would go with what was added",
      "INSERT INTO e VALUES (2)",
      "INSERT INTO e_kept VALUES (1, 2)",
      "UndoRefused",
    ],
    [
      "rows of others that would change with what was added",
      "INSERT INTO f VALUES (2), (3)",
      "INSERT INTO f_set VALUES (1, 3)",
      "UndoRefused",
    ],
    [
      "a column that is too short by now",
      "UPDATE g SET t = 'short'",
      "ALTER TABLE g ALTER t TYPE VARCHAR(6)",
      "UndoRefused",
    ],
    [
      "a column that is too short by now, for several rows",
      "UPDATE h SET t = 'short'",
      "ALTER TABLE h ALTER t TYPE VARCHAR(6)",
      "UndoRefused",
    ],
    [
      "a trigger that raises",
      "UPDATE i SET n = 7",
      "CREATE TRIGGER t BEFORE UPDATE ON i FOR EACH ROW EXECUTE FUNCTION raises()",
      "UndoRefused",
    ],
    [
      "a trigger that lets nothing be changed",
      "UPDATE j SET n = 7",
      "CREATE TRIGGER t BEFORE UPDATE ON j FOR EACH ROW EXECUTE FUNCTION ignores()",
      "UndoRefused",
    ],
    [
      "a trigger that lets nothing be removed",
      "INSERT INTO k VALUES (2)",
      "CREATE TRIGGER t BEFORE DELETE ON k FOR EACH ROW EXECUTE FUNCTION ignores()",
      "UndoRefused",
    ],
  ])("what nothing can undo any more is told, and not tried for ever: %s", async (_, work, meanwhile, code) => {
    const table = /\b[a-k]\b/.exec(work)![0];
    await sql(
      `CREATE TABLE ${table} (id INT PRIMARY KEY, n INT UNIQUE, t TEXT)`,
      `CREATE TABLE ${table}_owned (id INT PRIMARY KEY, owner INT REFERENCES ${table})`,
      `CREATE TABLE ${table}_kept (id INT PRIMARY KEY, owner INT REFERENCES ${table} ON DELETE CASCADE)`,
      `CREATE TABLE ${table}_set (id INT PRIMARY KEY, owner INT REFERENCES ${table} ON DELETE SET NULL)`,
      ...(work.startsWith("DELETE") ? [`DROP TABLE ${table}_kept, ${table}_set`] : []),
      `INSERT INTO ${table} VALUES (1, 1, 'a long text')${table === "h" ? ", (4, 4, 'a long text')" : ""}`,
      "CREATE OR REPLACE FUNCTION raises() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''no''; END'",
      "CREATE OR REPLACE FUNCTION ignores() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    );
    const xid = await begin();
    await branch(xid, (local) => local.query(work));
    await sql(meanwhile);
    const between = await text(table);
    expect(await coordinator.rollback(xid)).toBe("RollbackFailed");
    expect(repairs.at(-1)).toMatchObject({ xid, code });
    expect(await text(table)).toEqual(between);
  });

  test("what one statement has added goes again together, also where it refers to itself and would go by a cascade", async () => {
    await sql("CREATE TABLE family (id INT PRIMARY KEY, up INT REFERENCES family ON DELETE CASCADE)");
    const xid = await begin();
    await branch(xid, (local) => local.query("INSERT INTO family VALUES (1, NULL), (2, 1), (3, 2)"));
    expect(await coordinator.rollback(xid)).toBe("Rollbacked");
    expect(await text("family")).toEqual([]);
  });

  test("what a table or a function makes impossible to undo is refused, and nothing is done", async () => {
    await sql(
      "CREATE TABLE plain (id INT PRIMARY KEY, n INT UNIQUE)",
      "INSERT INTO plain VALUES (1, 1)",
      "CREATE TABLE keyless (n INT)",
      "CREATE TABLE reckoned (a INT, b INT GENERATED ALWAYS AS (a * 2) STORED PRIMARY KEY)",
      "CREATE TABLE parent (id INT PRIMARY KEY)",
      "CREATE TABLE child () INHERITS (parent)",
      "CREATE VIEW view AS SELECT * FROM plain",
      "CREATE TABLE triggered (id INT PRIMARY KEY)",
      "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
      "CREATE TRIGGER t BEFORE INSERT ON triggered FOR EACH ROW EXECUTE FUNCTION f()",
      "CREATE TABLE ruled (id INT PRIMARY KEY)",
      "CREATE RULE r AS ON DELETE TO ruled DO INSTEAD NOTHING",
      "CREATE TABLE referrer (id INT PRIMARY KEY, n INT REFERENCES plain (n) ON DELETE CASCADE ON UPDATE SET NULL)",
      "CREATE FUNCTION writes() RETURNS INT LANGUAGE sql AS 'UPDATE plain SET n = 5 RETURNING n'",
      "CREATE TABLE defaulted (id INT PRIMARY KEY, n INT DEFAULT writes())",
      "CREATE FUNCTION writes(INT, INT) RETURNS INT LANGUAGE sql AS 'UPDATE plain SET n = 5 RETURNING n'",
      "CREATE OPERATOR @@@ (LEFTARG = INT, RIGHTARG = INT, FUNCTION = writes)",
      "CREATE TABLE late (id INT PRIMARY KEY DEFERRABLE, n INT)",
      "CREATE TABLE numbered (id INT PRIMARY KEY, n INT GENERATED ALWAYS AS IDENTITY)",
    );
    const xid = await begin();
    // Its name is asked for before it is there.
    await expect(branch(xid, (local) => local.query("SELECT sneaks()"))).rejects.toThrow("42883");
    await sql("CREATE FUNCTION sneaks() RETURNS INT LANGUAGE sql AS 'UPDATE plain SET n = 5 RETURNING n'");
    for (const [statement, reason] of [
      ["UPDATE nowhere SET n = 1", "there is no table"],
      ["INSERT INTO keyless VALUES (1)", "no primary key"],
      ["INSERT INTO reckoned VALUES (1)", "a primary key with b, which is generated"],
      ["DELETE FROM parent", "inherit"],
      ["UPDATE view SET n = 1", "no ordinary table"],
      ["INSERT INTO triggered VALUES (1)", "triggers (t)"],
      ["DELETE FROM ruled", "rules (r)"],
      ["DELETE FROM plain", "foreign key"],
      ["UPDATE plain SET n = 2", "foreign key"],
      ["UPDATE plain SET id = 2", "changes id, of the primary key"],
      ["DELETE FROM referrer WHERE n > random()", "random() in its condition"],
      ["SELECT writes()", "writes() may change rows"],
      ["SELECT count(*) FROM plain FOR UPDATE", "count() of rows that are locked"],
      ["SELECT row_number() OVER () FROM plain FOR UPDATE", "row_number() of rows that are locked"],
      ["DELETE FROM undo_log", "undo_log is what it undoes by"],
      ["SELECT * FROM undo_log FOR UPDATE", "undo_log is what it undoes by"],
      ["INSERT INTO referrer VALUES (writes())", "writes() may change rows"],
      ["SELECT sneaks()", "sneaks() may change rows"],
      ["SELECT 1 @@@ 2", "operator @@@ may change rows"],
      ["SELECT 1 WHERE 1 @@@ ANY (SELECT 2)", "operator @@@ in its condition"],
      ["INSERT INTO defaulted VALUES (1)", "defaults or constraints of defaulted call writes()"],
      ["DELETE FROM late", "late_pkey of late may be checked late"],
      ["UPDATE numbered SET n = DEFAULT", "n of numbered is GENERATED ALWAYS"],
    ] as const) {
      const refused = branch(xid, (local) => local.query(statement));
      await expect(refused, statement).rejects.toMatchObject({ code: "UnsupportedStatement" });
      await expect(refused, statement).rejects.toThrow(reason);
    }
    expect(await text("plain")).toEqual(["(1,1)"]);
    expect(await coordinator.rollback(xid)).toBe("Rollbacked");
    // Outside of a global transaction it is SQL like any other.
    await at.transaction({}, (local) => local.query("SELECT writes()"));
    expect(await text("plain")).toEqual(["(1,5)"]);
  });
});
