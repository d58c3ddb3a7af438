import { create, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { expect, test } from "vitest";

import { ListFailedReplySchema } from "../../runtime/transactions/proto/coordinator_pb.ts";
import { listing } from "./listing.ts";
import type { GlobalSession } from "./session.ts";

const session = (index: number, lockKeys: readonly string[]): GlobalSession => ({
  ...{ xid: `127.0.0.1:20880:${index}`, name: "buy", application: "order", timeoutMs: 60_000, beganMs: index },
  status: "RollbackFailed",
  branches: lockKeys.map((lockKey, branch) => ({
    ...{ branchId: String(branch), branchType: "AT", resourceId: "stock.reserve", lockKey, application: "stock" },
    ...{ client: "stock/0", status: "PhaseTwo_RollbackFailed_Unretryable", applicationData: "x".repeat(9_000) },
  })),
});

test("few are listed whole", () => {
  const { transactions, more } = listing([session(1, ["stock:1", "stock:2"]), session(2, [])]);
  expect(transactions.map(({ xid, branches, moreBranches }) => [xid, branches.length, moreBranches])).toEqual([
    ["127.0.0.1:20880:1", 2, 0],
    ["127.0.0.1:20880:2", 0, 0],
  ]);
  expect(more).toBe(0);
});

test("the largest that a coordinator can have fits into a message, and says how much is left out", () => {
  const huge = session(
    1,
    Array.from({ length: 10_000 }, () => "€".repeat(7_000)),
  );
  const { transactions, more } = listing([
    huge,
    ...Array.from({ length: 3_000 }, (_, index) => session(index + 2, [])),
  ]);
  const [first, ...others] = transactions;
  expect(first!.branches.length + first!.moreBranches).toBe(10_000);
  expect(first!.moreBranches).toBeGreaterThan(9_000);
  expect(transactions.length + more).toBe(3_001);
  // It hides nobody.
  expect(others).toHaveLength(999);
  expect(
    toBinary(ListFailedReplySchema, create(ListFailedReplySchema, { transactions: [...transactions].map(plain), more }))
      .length,
  ).toBeLessThan(4 * 1024 * 1024);
});

test("whatever there is, nothing is listed twice or lost, and the characters are kept to", () => {
  const sizes = fc.array(fc.array(fc.nat({ max: 500 }), { maxLength: 6 }), { maxLength: 12 });
  fc.assert(
    fc.property(sizes, fc.nat({ max: 3_000 }), (all, characters) => {
      const sessions = all.map((keys, index) =>
        session(
          index,
          keys.map((length) => "k".repeat(length)),
        ),
      );
      const { transactions, more } = listing(sessions, { transactions: 8, characters });
      expect(transactions.length + more).toBe(sessions.length);
      expect(transactions.map(({ xid }) => xid)).toEqual(sessions.slice(0, transactions.length).map(({ xid }) => xid));
      const told = transactions
        .flatMap(({ branches }) => branches)
        .reduce((sum, { lockKey }) => sum + lockKey.length, 0);
      expect(told).toBeLessThanOrEqual(characters);
      for (const [index, { branches, moreBranches }] of transactions.entries()) {
        expect(branches.length + moreBranches).toBe(sessions[index]!.branches.length);
      }
    }),
  );
});

const plain = ({ branches, ...rest }: ReturnType<typeof listing>["transactions"][number]) => ({
  ...rest,
  branches: branches.map(({ branchId, branchType, resourceId, lockKey, status }) => ({
    ...{ branchId, branchType, resourceId, lockKey, status },
  })),
});
