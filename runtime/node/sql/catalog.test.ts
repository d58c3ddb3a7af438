import { expect, test } from "vitest";

import { ManualClock } from "../../testing/clock.ts";
import type { SqlTransaction } from "../postgres.ts";
import { Catalog } from "./catalog.ts";
import { parseStatement, type Changing } from "./statement.ts";

const column = (name: string, generated = "") => ({ name, type: "integer", generated, identity: "" });

/** A database with one table, whose primary key this is. */
async function tableWithKey(key: readonly string[]) {
  const definition = {
    ...{ schema: "public", name: "doubles", kind: "r", isParent: false },
    ...{ columns: [column("id"), column("twice", "s"), column("n")], key },
    ...{ triggers: null, rules: null, references: null, calls: null, deferrable: null, isOwn: false },
  };
  const local = { sql: async () => ({ columns: [], rows: [[JSON.stringify(definition)]], count: 1 }) };
  const statement = (await parseStatement("UPDATE doubles SET n = 1")) as Changing;
  return new Catalog(new ManualClock()).tableOf(local as unknown as SqlTransaction, statement);
}

test("a row that is found by what is generated is refused: what is generated is in no image", async () => {
  await expect(tableWithKey(["twice"])).rejects.toMatchObject({ code: "UnsupportedStatement" });
  await expect(tableWithKey(["id", "twice"])).rejects.toThrow(
    "doubles has a primary key with twice, which is generated",
  );
  expect(await tableWithKey(["id"])).toMatchObject({
    name: "public.doubles",
    key: ["id"],
    columns: { id: { sql: "integer" } },
  });
});
