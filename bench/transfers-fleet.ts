import {
  atomicity,
  bank,
  conservation,
  constant,
  consumer,
  nothingLeft,
  scenario,
} from "../harness/scenario/builders.ts";
import type { Scenario } from "../harness/scenario/schema.ts";
import type { BankMode } from "../services/bank/mode.ts";

/** With account, stock, registry and coordinator these are 50 nodes. */
const buyers = 23;
const orders = 23;
/** Transfers that are under way at any time, and how long each is, half of it at the account and half at the stock. */
const concurrent = 1_000;
const lastsS = 20;
const accounts = 20_000;

/** The bank with a thousand transfers under way at any time, one in a hundred of which is given up when everything is done. */
export function bankUnderLoad(mode: BankMode, minutes: number): Scenario {
  const half = { serviceTime: { exponential: { mean: `${lastsS / 2}s` } } };
  // What a load of so many transfers is enough for.
  const detects = `${2 / minutes}%`;
  return scenario({
    name: "bench-transfers",
    title: { en: "How fast the simulator is with transactions", zh: "模拟器做事务有多快" },
    explanation: { en: "A healthy bank under load.", zh: "健康的银行在负载之下。" },
    tags: [],
    fleet: {
      buyer: consumer({
        ...{ instances: buyers, calls: "order", timeout: "10m", retries: 0 },
        key: { name: "user", count: accounts },
      }),
      ...bank({
        ...{ mode, instances: orders, items: accounts, abortRate: "1%", timeout: "10m", account: half, stock: half },
        reserve: { timeout: "5m" },
      }),
    },
    load: constant(`${concurrent / lastsS}/s`)
      .on("buyer")
      .for(`${minutes * 60}s`),
    timeline: [],
    expect: [
      conservation("order").detects(detects),
      atomicity("order").detects(detects),
      nothingLeft("order").detects(detects),
    ],
  });
}
