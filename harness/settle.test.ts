import { expect, test } from "vitest";

import { openWorld } from "./cli/worlds.ts";
import type { History } from "./history/history.ts";
import { runScenario } from "./run.ts";
import { at, bank, conservation, constant, consumer, scenario, type ScenarioInput } from "./scenario/builders.ts";
import { lastAudits, coordinatorsWords } from "./settle.ts";

async function played(timeline: NonNullable<ScenarioInput["timeline"]>): Promise<History> {
  const value = scenario({
    name: "shop",
    title: { en: "Shop", zh: "商店" },
    explanation: { en: "A shop.", zh: "一家商店。" },
    fleet: {
      buyer: consumer({ instances: 1, calls: "order", timeout: "2s", retries: 0 }),
      ...bank({ timeout: "3s", items: 2, stock: { serviceTime: "200ms" } }),
    },
    load: constant("20/s").on("buyer").for("2s"),
    timeline,
    expect: [conservation("order").detects("50%")],
  });
  return (await runScenario(value, { world: await openWorld("sim"), seed: 1 })).history;
}

const leftIn = ({ transactions }: History) => [...lastAudits(transactions).values()].flatMap(({ left }) => left);

test("a quiet bank's coordinator needn't be asked, and everybody reports what there is", async () => {
  const { transactions, run, end } = await played([]);
  expect([...lastAudits(transactions).keys()].sort()).toEqual(["account/0", "coordinator/0", "stock/0"]);
  const { holdings, atUs } = lastAudits(transactions).get("account/0")!;
  expect(atUs).toBeGreaterThan(run.durationUs);
  expect(holdings.map(({ item }) => item)).toEqual(["u0", "u1"]);
  // 40 orders and those of the warm-up, at 10 each.
  const begun = transactions.filter(({ what }) => what === "begin").length;
  expect(holdings.reduce((sum, { used }) => sum + used, 0)).toBe(begun * 10);
  expect(new Set(coordinatorsWords(transactions).values())).toEqual(new Set(["Committed"]));
  expect(coordinatorsWords(transactions).size).toBe(begun);
  expect(transactions.filter(({ what }) => what === "found")).toEqual([]);
  expect(end!.atUs).toBeLessThan(run.durationUs + 500_000);
});

test("every change says which branch it is of, and every step what came of it", async () => {
  const { transactions } = await played([]);
  const branches = new Set(transactions.flatMap((change) => (change.what === "branch" ? [change.branchId] : [])));
  const changes = transactions.filter((change) => change.what === "holding" || change.what === "step");
  expect(changes.length).toBeGreaterThan(40 * 2 * 2 * 2);
  expect(changes.every(({ branchId }) => branches.has(branchId!))).toBe(true);
});

test("what nobody ends any more is waited for until its timeout has ended it", async () => {
  const { transactions, run, end } = await played([at("1500ms").kill("order/0", { for: "400ms" })]);
  const orphans = transactions.filter((change) => change.what === "status" && change.status === "TimeoutRollbacked");
  expect(orphans.length).toBeGreaterThan(2);
  expect(end!.atUs).toBeGreaterThan(run.durationUs + 2_000_000);
  expect(leftIn({ transactions } as History)).toEqual([]);
  // It is asked, and tells the end by itself.
  const asked = new Set(transactions.flatMap((change) => (change.what === "found" ? [change.status] : [])));
  expect(asked).toEqual(new Set(["Begin"]));
  expect(new Set(coordinatorsWords(transactions).values())).toEqual(new Set(["Committed", "TimeoutRollbacked"]));
});

test("a node that never comes back keeps nobody waiting for longer than the plan allows", async () => {
  const history = await played([at("1s").stop("account/0")]);
  const { transactions, run, end } = history;
  // What was confirmed before it left is done; it can't be asked any more, and others can.
  expect(lastAudits(transactions).get("account/0")!.atUs).toBeLessThan(run.durationUs);
  expect(lastAudits(transactions).get("stock/0")!.atUs).toBeGreaterThanOrEqual(run.durationUs);
  expect(end!.atUs).toBeLessThan(run.durationUs + 15_000_000);
});
