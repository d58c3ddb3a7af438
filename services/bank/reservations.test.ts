import { expect, test } from "vitest";

import { DataSourceError } from "../../runtime/ports/data-source.ts";
import { TransactionError } from "../../runtime/transactions/error.ts";
import { withStatus } from "./reservations.ts";

test.each([
  ["is over", new TransactionError("gone", { code: "GlobalTransactionNotActive" }), "ABORTED"],
  ["came too late", new TransactionError("late", { code: "TransactionTimeout" }), "ABORTED"],
  ["may have been committed", new TransactionError("who knows", { code: "OutcomeUnknown" }), "UNKNOWN"],
  ["may be committed in part", new TransactionError("in part", { code: "CommitHeuristic" }), "UNKNOWN"],
  ["can't be asked for", new TransactionError("away", { code: "ConnectionLost" }), "UNAVAILABLE"],
  ["gave way to another", new DataSourceError("a circle", { code: "DEADLOCK" }), "ABORTED"],
  ["has no database", new DataSourceError("away", { code: "UNAVAILABLE" }), "UNAVAILABLE"],
])("a transaction that %s is told by a status of its own", async (_, error, code) => {
  const told = withStatus(() => Promise.reject(error));
  await expect(told).rejects.toMatchObject({ code, message: `[${error.code}] ${error.message}`, cause: error });
});

test("what is none of a transaction's goes on as it is", async () => {
  const error = new TypeError("x is not a function");
  await expect(withStatus(() => Promise.reject(error))).rejects.toBe(error);
  expect(await withStatus(() => Promise.resolve(1))).toBe(1);
});
