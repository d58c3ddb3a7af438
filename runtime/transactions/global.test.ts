import { describe, expect, test } from "vitest";

import { metadata, noMetadata } from "../call/metadata.ts";
import type { Coordinator } from "../ports/coordinator.ts";
import type { RuntimeEvent } from "../telemetry/events.ts";
import { ManualClock } from "../testing/clock.ts";
import { TransactionError } from "./error.ts";
import { inGlobalTransaction, type Propagation } from "./global.ts";
import type { GlobalStatus } from "./status.ts";
import { xidOf } from "./xid.ts";

const lost = () => new TransactionError("gone", { code: "ConnectionLost" });

test("what resolves is committed, what rejects is rolled back, and the work's own words are passed on", async () => {
  const world = open();
  expect(await world.run(async (bound) => `in ${xidOf(bound)}`)).toBe("in tc:1");
  await expect(world.run(() => Promise.reject(new Error("too little")))).rejects.toThrow("too little");
  expect(world.asked).toEqual(["begin", "commit tc:1", "begin", "rollback tc:2"]);
});

test("a lost answer is asked for again, five times, and reported", async () => {
  const world = open({ answers: [lost(), lost(), "Committed"] });
  const running = world.run(() => Promise.resolve("bought"));
  await world.clock.advance(2_000_000);
  expect(await running).toBe("bought");
  expect(world.asked.filter((one) => one === "commit tc:1")).toHaveLength(3);
  expect(world.events.map((event) => "what" in event && event.what)).toEqual(["retry", "retry"]);

  const silent = open({ answers: Array.from({ length: 9 }, lost) });
  const failing = silent.run(() => Promise.resolve("bought")).catch((error: unknown) => error);
  await silent.clock.advance(5_000_000);
  expect(await failing).toMatchObject({ code: "OutcomeUnknown" });
  expect(silent.asked.filter((one) => one === "commit tc:1")).toHaveLength(6);
  expect(silent.events.at(-1)).toMatchObject({ what: "end", status: "UnKnown" });
});

test("a rollback that can't be told changes nothing about why", async () => {
  const world = open({ answers: Array.from({ length: 9 }, lost) });
  const failing = world.run(() => Promise.reject(new Error("too little"))).catch((error: unknown) => error);
  await world.clock.advance(5_000_000);
  expect(await failing).toMatchObject({ message: "too little" });
});

test.each([0, -1, 0.5, Number.NaN, Infinity, 2 ** 31])(
  "a timeout of %s ms is refused before anything is begun",
  async (timeoutMs) => {
    const world = open();
    const refused = world.run(() => Promise.resolve(), { timeoutMs });
    await expect(refused).rejects.toMatchObject({ code: "InvalidArgument" });
    expect(world.asked).toEqual([]);
  },
);

test.each<[GlobalStatus, string]>([
  ["Committed", "done"],
  ["CommitRetrying", "done"],
  ["AsyncCommitting", "done"],
  ["Finished", "OutcomeUnknown"],
  ["TimeoutRollbacking", "TransactionTimeout"],
  ["TimeoutRollbacked", "TransactionTimeout"],
  ["Rollbacked", "TransactionTimeout"],
  ["CommitFailed", "CommitHeuristic"],
  ["CommitRetryTimeout", "CommitHeuristic"],
])("a commit that is answered %s is %s", async (status, outcome) => {
  const world = open({ answers: [status] });
  const ended = world.run(() => Promise.resolve("done"));
  expect(await ended.catch((error: unknown) => (error as TransactionError).code)).toBe(outcome);
});

describe("propagation", () => {
  const inside = metadata({ traceparent: "00", tx_xid: "tc:9" });
  test.each<[Propagation, string, string]>([
    ["REQUIRED", "tc:1", "tc:9"],
    ["REQUIRES_NEW", "tc:1", "tc:1"],
    ["SUPPORTS", "none", "tc:9"],
    ["NOT_SUPPORTED", "none", "none"],
    ["NEVER", "none", "InvalidPropagation"],
    ["MANDATORY", "InvalidPropagation", "tc:9"],
  ])("%s: outside of one it runs in %s, inside of tc:9 in %s", async (propagation, outside, within) => {
    for (const [given, expected] of [
      [noMetadata, outside],
      [inside, within],
    ] as const) {
      const world = open();
      const ran = await world
        .run((bound) => Promise.resolve(bound), { propagation, metadata: given })
        .catch((error: unknown) => (error as TransactionError).code);
      if (typeof ran === "string") {
        expect(ran).toBe(expected);
        continue;
      }
      expect(xidOf(ran) ?? "none").toBe(expected);
      // Whatever else travels goes on, and only who began a transaction ends it.
      expect(ran.get("traceparent")).toBe(given.get("traceparent"));
      expect(world.asked).toEqual(expected === "tc:1" ? ["begin", "commit tc:1"] : []);
    }
  });

  test("a transaction leaves nothing behind: what runs after it, or after its failure, is outside", async () => {
    const world = open();
    const given = metadata({ traceparent: "00" });
    await world.run(() => Promise.resolve(), { metadata: given });
    await world.run(() => Promise.reject(new Error()), { metadata: given }).catch(() => undefined);
    expect(xidOf(given)).toBeUndefined();
    const after = await world.run((bound) => Promise.resolve(xidOf(bound)), {
      metadata: given,
      propagation: "SUPPORTS",
    });
    expect(after).toBeUndefined();
  });
});

/** A coordinator that counts what it is asked, and answers as told, else as it is asked. */
function open({ answers = [] }: { readonly answers?: readonly (GlobalStatus | TransactionError)[] } = {}) {
  const clock = new ManualClock();
  const asked: string[] = [];
  const events: RuntimeEvent[] = [];
  const left = [...answers];
  let begun = 0;
  const end = (decision: string, status: GlobalStatus) => (xid: string) => {
    asked.push(`${decision} ${xid}`);
    const answer = left.shift() ?? status;
    return answer instanceof TransactionError ? Promise.reject(answer) : Promise.resolve(answer);
  };
  const coordinator = {
    begin: () => {
      asked.push("begin");
      return Promise.resolve(`tc:${++begun}`);
    },
    commit: end("commit", "Committed"),
    rollback: end("rollback", "Rollbacked"),
  } as unknown as Coordinator;
  const telemetry = { emit: (event: RuntimeEvent): void => void events.push(event) };
  return {
    ...{ clock, asked, events },
    run: <T>(
      work: Parameters<typeof inGlobalTransaction<T>>[1],
      more: {
        readonly propagation?: Propagation;
        readonly metadata?: typeof noMetadata;
        readonly timeoutMs?: number;
      } = {},
    ) => inGlobalTransaction<T>({ clock, telemetry, coordinator, name: "buy", ...more }, work),
  };
}
