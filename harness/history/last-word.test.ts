import { expect, test } from "vitest";

import type { TransactionChange } from "../../runtime/telemetry/events.ts";
import type { GlobalStatus } from "../../runtime/transactions/status.ts";
import { lastWord } from "./last-word.ts";

/** "found Begin": somebody asked; "status Committed": the coordinator said so by itself. */
function wordAfter(...told: readonly string[]): GlobalStatus | undefined {
  const changes = told.map((text) => {
    const [what, status] = text.split(" ");
    return { type: "transaction", atUs: 0, xid: "tc:1:1", what, status } as TransactionChange;
  });
  return changes.reduce<GlobalStatus | undefined>((word, change) => lastWord(word, change), undefined);
}

test("what the coordinator says by itself counts once it is over", () => {
  expect(wordAfter("status Begin", "status Committing")).toBeUndefined();
  expect(wordAfter("status Begin", "status Committing", "status Committed")).toBe("Committed");
  expect(wordAfter("status Rollbacking", "status RollbackFailed")).toBe("RollbackFailed");
});

test("whoever asks is answered", () => {
  expect(wordAfter("status Begin", "found Begin")).toBe("Begin");
  expect(wordAfter("found Committing", "found Finished")).toBe("Finished");
  expect(wordAfter("found Begin", "status TimeoutRollbacked")).toBe("TimeoutRollbacked");
});

test("an answer that comes in after the end was given before", () => {
  expect(wordAfter("status Committed", "found CommitRetrying")).toBe("Committed");
  expect(wordAfter("status Committed", "found Finished")).toBe("Finished");
});

test("a coordinator that lost the end, and goes on, isn't at the end", () => {
  expect(wordAfter("status Committed", "status CommitRetrying")).toBe("CommitRetrying");
  expect(wordAfter("status Committed", "status CommitRetrying", "status Committed")).toBe("Committed");
});
