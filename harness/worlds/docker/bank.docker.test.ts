import { afterAll, expect, test } from "vitest";

import { openWorld } from "../../cli/worlds.ts";
import { runScenario } from "../../run.ts";
import {
  at,
  atomicity,
  bank,
  conservation,
  constant,
  consumer,
  nothingLeft,
  scenario,
} from "../../scenario/builders.ts";
import { lastAudits } from "../../settle.ts";
import type { World } from "../world.ts";
import { describeReal } from "./testing.ts";

const shop = (more: Pick<Parameters<typeof scenario>[0], "timeline"> = {}) =>
  scenario({
    name: "shop",
    title: { en: "Shop", zh: "商店" },
    explanation: { en: "A shop.", zh: "一家商店。" },
    fleet: {
      buyer: consumer({ instances: 1, calls: "order", timeout: "5s", retries: 0, key: { name: "user", count: 20 } }),
      ...bank({ timeout: "3s", abortRate: "20%", account: { serviceTime: "50ms" } }),
    },
    load: constant("10/s").on("buyer").for("4s"),
    ...more,
    expect: [
      conservation("order").detects("30%"),
      atomicity("order").detects("30%"),
      nothingLeft("order").detects("30%"),
    ],
  });

describeReal("a bank in containers", () => {
  let world: World | undefined;
  afterAll(() => world?.close?.(), 60_000);
  const play = async (coordinator: "embedded" | "seata", more: Parameters<typeof shop>[0] = {}) => {
    world ??= await openWorld("docker");
    const { result, history } = await runScenario(shop(more), { world, seed: 1, coordinator });
    expect(result.checks.filter(({ verdict }) => verdict === "fail").map(({ message }) => message)).toEqual([]);
    expect(result.verdict, result.reason).not.toBe("error");
    return { result, history };
  };

  test("is coordinated by Seata, and has its rows in PostgreSQL", async () => {
    const { history } = await play("seata");
    const audits = lastAudits(history.transactions);
    // A Seata reports nothing itself: what is found of its transactions is what it answers.
    expect([...audits.keys()].sort()).toEqual(["account/0", "stock/0"]);
    expect(history.transactions.some(({ what }) => what === "status")).toBe(false);
    const ends = new Set(history.transactions.flatMap((change) => (change.what === "end" ? [change.status] : [])));
    expect(ends).toEqual(new Set(["Committed", "Rollbacked"]));
    // Each run has databases of its own.
    const again = await play("seata");
    expect(again.history.transactions.find(({ what }) => what === "audit")).toMatchObject({
      holdings: expect.arrayContaining([expect.objectContaining({ free: 1_000_000, used: 0 })]) as unknown,
    });
  }, 150_000);

  test("ends well when its Seata is killed, or one of its own is", async () => {
    const timeline = [at("1500ms").kill("coordinator", { for: "1500ms" })];
    const { result } = await play("seata", { timeline });
    expect(result.faults).toMatchObject([{ kind: "kill", effect: "confirmed" }]);
    await play("embedded", { timeline: [at("1500ms").kill("account", { for: "500ms" })] });
  }, 150_000);
});
