import { bank, conservation, constant, consumer, scenario } from "../scenario/builders.ts";
import type { Scenario } from "../scenario/schema.ts";

/** A transaction that is tried at every point: how it takes part, and how it ends where nothing happens. */
export interface Case {
  /** "tcc/commit" */
  readonly name: string;
  readonly scenario: Scenario;
  /** Where nothing happens: its price is paid and the piece taken, or neither, or it waits for a person. */
  readonly ends: "done" | "undone" | "manual";
  /** Calls that always fail, by the end of their path. */
  readonly failing?: string | undefined;
}

type Mode = NonNullable<NonNullable<Parameters<typeof bank>[0]>["mode"]>;

/** What each mode is tried with: a mode joins by its name. */
const modes: readonly Mode[] = ["tcc", "at", "saga"];

export const price = 10;
/** Of each account and each good, at first. */
export const initial = 1_000;

/** Every transaction that is tried. */
export const cases: readonly Case[] = [
  ...modes.flatMap((mode): readonly Case[] => [
    { name: `${mode}/commit`, scenario: bankOf({ mode }), ends: "done" },
    { name: `${mode}/given-up`, scenario: bankOf({ mode, abortRate: "100%" }), ends: "undone" },
    { name: `${mode}/refused`, scenario: bankOf({ mode, stock: { initial: 0 } }), ends: "undone" },
  ]),
  {
    name: "saga/compensation-fails",
    scenario: bankOf({ mode: "saga", stock: { initial: 0 } }),
    ends: "manual",
    failing: "Reservations/GiveBack",
  },
];

function bankOf({ stock, ...input }: NonNullable<Parameters<typeof bank>[0]>): Scenario {
  return scenario({
    name: "crash-points",
    title: { en: "One transaction", zh: "一个事务" },
    explanation: { en: "One transaction.", zh: "一个事务。" },
    fleet: {
      buyer: consumer({ instances: 1, calls: "order", timeout: "3s", retries: 0, key: { name: "user", count: 1 } }),
      ...bank({
        ...{ items: 1, price, timeout: "2s", reserve: { timeout: "1s" }, account: { initial } },
        ...{ stock: { initial, ...stock } },
        ...input,
      }),
    },
    coordinator: { retry: "200ms" },
    // Neither is used: an attempt makes one call, and looks for itself.
    load: constant("100/s").on("buyer").for("1s"),
    timeline: [],
    expect: [conservation("order").detects("50%")],
  });
}
