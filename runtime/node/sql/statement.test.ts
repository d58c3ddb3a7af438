import { describe, expect, test } from "vitest";

import { checkValues, parseStatement } from "./statement.ts";
import { SqlText } from "./text.ts";

describe("what AT couldn't undo is refused with the reason", () => {
  test.each<[string, string]>([
    ["UPDATE a SET x = b.x FROM b WHERE a.id = b.id", "UPDATE … FROM"],
    ["DELETE FROM a USING b WHERE a.id = b.id", "DELETE … USING"],
    ["WITH w AS (SELECT 1) UPDATE a SET x = 1", "WITH"],
    ["WITH w AS (DELETE FROM a RETURNING *) SELECT * FROM w", "a WITH clause changes rows"],
    ["INSERT INTO a VALUES (1) ON CONFLICT (id) DO UPDATE SET x = 1", "ON CONFLICT DO UPDATE"],
    ["UPDATE a SET x = 1 WHERE id IN (SELECT id FROM a LIMIT 1)", "LIMIT without ORDER BY"],
    ["DELETE FROM a WHERE CURRENT OF c", "WHERE CURRENT OF"],
    ["SELECT * INTO b FROM a", "SELECT INTO"],
    ["SELECT * FROM a, b FOR UPDATE", "more than the rows of one table"],
    ["SELECT * FROM a JOIN b USING (id) FOR UPDATE", "more than the rows of one table"],
    ["SELECT * FROM (SELECT * FROM a FOR UPDATE) s", "a subquery locks rows"],
    ["TABLE a FOR UPDATE", "of TABLE"],
    ["(SELECT * FROM a) FOR UPDATE", "within parentheses"],
    ["(SELECT * FROM a FOR UPDATE)", "within parentheses"],
    ["SELECT y FROM a AS b (x, y) FOR UPDATE", "other names"],
    ["SELECT 1; SELECT 2", "several statements"],
    ["CREATE TABLE a (id INT)", "Create"],
    ["ALTER TABLE a ADD b INT", "AlterTable"],
    ["TRUNCATE a", "Truncate"],
    ["MERGE INTO a USING b ON a.id = b.id WHEN MATCHED THEN DELETE", "Merge"],
    ["COPY a FROM STDIN", "Copy"],
    ["CALL p()", "Call"],
    ["COMMIT", "Transaction"],
    ["SET TimeZone = 'UTC'", "VariableSet"],
    ["LOCK TABLE a", "Lock"],
  ])("%s", async (text, reason) => {
    const refused = parseStatement(text);
    await expect(refused).rejects.toMatchObject({ code: "UnsupportedStatement" });
    await expect(refused).rejects.toThrow(reason);
  });
});

test.each(["SELEC 1", "", "  -- nothing", "UPDATE a SET"])("%j is no SQL, and said to be none", async (text) => {
  await expect(parseStatement(text)).rejects.toMatchObject({ code: "InvalidArgument" });
});

test("what can't be looked up as an operator is none", async () => {
  const { calls } = await parseStatement("SELECT 1 WHERE 2 BETWEEN 1 AND 3 AND 4 NOT BETWEEN 5 AND 6 AND 7 + 8 IN (9)");
  expect(calls.map(({ name }) => name)).toEqual(["=", "+"]);
  const asked = await parseStatement("SELECT 1 @@@ ANY (SELECT 2), EXISTS (SELECT 3), 4 IN (SELECT 5)");
  expect(asked.calls.map(({ name }) => name)).toEqual(["@@@"]);
});

test("a statement is cut at its own words, not at those in strings, names, comments or parentheses", async () => {
  const text = `UPDATE ONLY "ünï"."where" AS "a" SET x = 'WHERE RETURNING', y = (SELECT 1 WHERE true), z = $2 -- WHERE
    WHERE id = $1 AND "returning" IS DISTINCT FROM $2 /* RETURNING */ RETURNING *, '数据' ;`;
  const statement = await parseStatement(text);
  if (statement.kind !== "update") throw new Error(statement.kind);
  expect(statement.relation).toEqual({ schema: "ünï", name: "where", alias: "a", isOnly: true });
  expect(statement.sets).toEqual(["x", "y", "z"]);
  expect(sqlOf(statement.where!)).toBe(`id = $1 AND "returning" IS DISTINCT FROM $2 /* RETURNING */`);
  expect(sqlOf(statement.returning!)).toBe("*, '数据'");
  expect(sqlOf(statement.body)).toContain("z = $1");
});

test("the values are as many as it asks for", async () => {
  const statement = await parseStatement("UPDATE a SET x = $2 WHERE y = '$9' AND id = $1");
  checkValues(statement, [1, null]);
  for (const values of [[], [1], [1, 2, 3]]) {
    expect(() => checkValues(statement, values)).toThrow(
      `the statement asks for values up to $2, and ${values.length} came with it`,
    );
  }
  const without = await parseStatement("DELETE FROM a");
  expect(() => checkValues(without, [1])).toThrow("the statement asks for no value, and 1 came with it");
});

test("a locking read is cut before its table, whatever reads like it", async () => {
  const text =
    "SELECT a IS DISTINCT FROM b, extract(day FROM c) FROM t x WHERE id = $3 ORDER BY 1 FOR UPDATE SKIP LOCKED";
  const statement = await parseStatement(text);
  if (statement.kind !== "lock") throw new Error(statement.kind);
  expect(sqlOf(statement.columns)).toBe("SELECT a IS DISTINCT FROM b, extract(day FROM c)");
  expect(sqlOf(statement.from)).toBe("FROM t x WHERE id = $1 ORDER BY 1 FOR UPDATE SKIP LOCKED");
});

test("parameters are numbered by what is used, each once, with its value", () => {
  const sql = new SqlText(["a", "b", "c"]);
  sql
    .slice({ pieces: ["x = ", " OR y = ", " OR z = ", ""], parameters: [3, 1, 3] })
    .add(" AND k = ")
    .value(7);
  expect(sql.text).toBe("x = $1 OR y = $2 OR z = $1 AND k = $3");
  expect(sql.values).toEqual(["c", "a", 7]);
});

test("functions and operators are told from where they are called", async () => {
  const { calls } = await parseStatement("UPDATE a SET x = random() WHERE y < pg_catalog.now() AND z IN (SELECT f(1))");
  expect(calls).toEqual([
    { name: "random", isInPredicate: false },
    { name: "<", isInPredicate: true },
    { name: "now", isInPredicate: true },
    { name: "f", isInPredicate: true },
  ]);
});

const sqlOf = (slice: Parameters<SqlText["slice"]>[0]): string => new SqlText(["1", "2", "3"]).slice(slice).text.trim();
