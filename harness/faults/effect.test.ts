import { describe, expect, test } from "vitest";

import type { CallRecord, History } from "../history/history.ts";
import { call, calls, historyOf, planOf, type CallSketch } from "../judge/fixtures.ts";
import { successRate } from "../scenario/builders.ts";
import { brokenInFlight, lostSuccesses, over, slowedAttempts, towards } from "./effect.ts";
import type { Observation } from "./fault.ts";

const plan = planOf([successRate("orders").atLeast("99%").detects("80%")]);

/** 960 calls in 8 s, dealt to four instances in turn; the fault is there from 3 s to 5 s. */
const dealt = (make: (dueUs: number, to: string) => Partial<CallSketch> = () => ({})): CallRecord[] =>
  calls(960, (index) => {
    const to = `orders/${index % 4}`;
    return { to, ...make(Math.floor((index * 8_000_000) / 960), to) };
  });
const seen = (made: readonly CallRecord[], more: Partial<Observation> = {}): Observation => ({
  history: historyOf(plan, made),
  orderedUs: 3_000_000,
  fromUs: 3_000_000,
  toUs: 5_000_000,
  control: undefined,
  isOnlyControlValid: false,
  ...more,
});
const without = (made: readonly CallRecord[]): { readonly control: History } => ({ control: historyOf(plan, made) });
const lasts = (dueUs: number): boolean => dueUs >= 3_000_000 && dueUs < 5_000_000;

describe("a fault that ends service", () => {
  const one = towards(["orders/1"]);
  const all = towards(["orders/0", "orders/1", "orders/2", "orders/3"]);
  const failing = (dueUs: number, to: string): Partial<CallSketch> =>
    lasts(dueUs) && to === "orders/1" ? { code: "UNAVAILABLE" } : {};

  test("is confirmed when its node answers no more, and others do", () => {
    expect(lostSuccesses(seen(dealt(failing)), one)).toEqual({
      effect: "confirmed",
      evidence: "0 of 180 successes while it lasted, 60 of 240 before",
    });
  });

  test("is confirmed when the balancer goes around the node", () => {
    const around = dealt((dueUs, to) => (lasts(dueUs) && to === "orders/1" ? { to: "orders/0" } : {}));
    expect(lostSuccesses(seen(around), one).effect).toBe("confirmed");
  });

  test("has none when the node answers as ever", () => {
    expect(lostSuccesses(seen(dealt()), one).effect).toBe("none");
  });

  test("proves nothing when the node got no calls, before or after", () => {
    const never = dealt((_dueUs, to) => (to === "orders/1" ? { to: "orders/0" } : {}));
    expect(lostSuccesses(seen(never), one).effect).toBe("inconclusive");
    expect(lostSuccesses(seen([]), one).effect).toBe("inconclusive");
  });

  test("proves nothing with too few calls", () => {
    const few = dealt(failing).filter((_, index) => index % 24 < 4);
    expect(lostSuccesses(seen(few), one).effect).toBe("inconclusive");
  });

  test("answers that come after it was lifted don't count against it", () => {
    const late = dealt((dueUs, to) => (lasts(dueUs) && to === "orders/1" ? { tookUs: 5_100_000 - dueUs } : {}));
    expect(lostSuccesses(seen(late), one).effect).toBe("confirmed");
  });

  test("on every instance is weighed against what was asked", () => {
    const down = dealt((dueUs) => (lasts(dueUs) ? { code: "UNAVAILABLE" } : {}));
    expect(lostSuccesses(seen(down), all)).toEqual({
      effect: "confirmed",
      evidence: "0 successes in 2.0 s while it lasted, 240 in the 2.0 s before",
    });
    expect(lostSuccesses(seen(dealt()), all).effect).toBe("none");
    // A load that goes down to a tenth by itself is no effect.
    const ebb = dealt().filter(({ dueUs }, index) => dueUs < 3_000_000 || index % 10 === 0);
    expect(lostSuccesses(seen(ebb), all).effect).not.toBe("confirmed");
  });

  test("on the infrastructure, which is left alone while it is away, is weighed against time", () => {
    const registry = Array.from({ length: 80 }, (_, index) =>
      call({ dueUs: index * 100_000, service: "registry", to: "registry" }),
    ).filter(({ dueUs }) => !lasts(dueUs));
    expect(lostSuccesses(seen(registry), towards(["registry/0"])).effect).toBe("confirmed");
  });

  test("from the very beginning has the same seed without it as its control", () => {
    const early = { orderedUs: 0, fromUs: 0, toUs: 2_000_000 };
    const down = dealt((dueUs, to) => (dueUs < 2_000_000 && to === "orders/1" ? { code: "UNAVAILABLE" } : {}));
    expect(lostSuccesses(seen(down, early), one).effect).toBe("inconclusive");
    expect(lostSuccesses(seen(down, { ...early, ...without(dealt()) }), one)).toEqual({
      effect: "confirmed",
      evidence: "0 successes while it lasted, 60 in the same run without the fault",
    });
    expect(lostSuccesses(seen(dealt(), { ...early, ...without(dealt()) }), one).effect).toBe("none");
  });

  test("on a link touches nobody else's calls", () => {
    const link = over([{ from: "storefront/0", to: "orders/1" }]);
    expect(lostSuccesses(seen(dealt(failing)), link).effect).toBe("confirmed");
    const other = over([{ from: "storefront/1", to: "orders/1" }]);
    expect(lostSuccesses(seen(dealt(failing)), other).effect).toBe("inconclusive");
  });
});

describe("a fault that slows down", () => {
  const one = towards(["orders/1"]);
  const threshold = (usualUs: number): number => usualUs + 50_000;
  const slowing = (tookUs: number) => (dueUs: number, to: string) =>
    lasts(dueUs) && to === "orders/1" ? { tookUs } : {};

  test("is confirmed when its node takes longer than before", () => {
    expect(slowedAttempts(seen(dealt(slowing(105_000))), one, threshold)).toEqual({
      effect: "confirmed",
      evidence: "60 of 60 attempts took over 55 ms while it lasted, 0 of 90 before",
    });
  });

  test("has none when it takes no longer, or hardly", () => {
    expect(slowedAttempts(seen(dealt()), one, threshold).effect).toBe("none");
    expect(slowedAttempts(seen(dealt(slowing(10_000))), one, threshold).effect).toBe("none");
  });

  test("from the very beginning has the untouched as its control, and the same seed without it", () => {
    const early = { orderedUs: 0, fromUs: 0, toUs: 2_000_000 };
    const slow = dealt((dueUs, to) => (dueUs < 2_000_000 && to === "orders/1" ? { tookUs: 105_000 } : {}));
    expect(slowedAttempts(seen(slow, early), one, threshold).evidence).toMatch(/, 0 of 180 untouched$/);
    const all = towards(["orders/0", "orders/1", "orders/2", "orders/3"]);
    const allSlow = dealt((dueUs) => (dueUs < 2_000_000 ? { tookUs: 105_000 } : {}));
    expect(slowedAttempts(seen(allSlow, early), all, threshold).effect).toBe("inconclusive");
    expect(slowedAttempts(seen(allSlow, { ...early, ...without(dealt()) }), all, threshold).effect).toBe("confirmed");
  });

  test("proves nothing when the node got no calls", () => {
    const never = dealt((dueUs, to) => (lasts(dueUs) && to === "orders/1" ? { to: "orders/0" } : {}));
    expect(slowedAttempts(seen(never), one, threshold).effect).toBe("inconclusive");
    expect(slowedAttempts(seen([]), one, threshold)).toEqual({
      effect: "inconclusive",
      evidence: "no attempt to compare with",
    });
  });

  test("that makes every call give up first is seen as well: an attempt lasts at least as long as its call waited", () => {
    const given = dealt(slowing(1_000_000)).map((record) =>
      record.endUs - record.dueUs < 1_000_000
        ? record
        : {
            ...record,
            code: "DEADLINE_EXCEEDED" as const,
            attempts: record.attempts.map((attempt) => ({ ...attempt, endUs: -1 })),
          },
    );
    expect(slowedAttempts(seen(given), one, threshold).effect).toBe("confirmed");
  });

  test("loses no more than it says: a small share is enough where a small share is meant", () => {
    const lossy = dealt((dueUs, to) =>
      lasts(dueUs) && to === "orders/1" && dueUs % 7 === 0 ? { tookUs: 205_000 } : {},
    );
    expect(slowedAttempts(seen(lossy), one, threshold, 0.5).effect).toBe("none");
    expect(slowedAttempts(seen(lossy), one, threshold, 0.05).effect).toBe("inconclusive");
  });
});

describe("a reset", () => {
  const one = towards(["orders/1"]);
  /** Calls to orders/1 that take 20 ms each; so many are under way at 3 s, and break then. */
  const resetting = (underWay: number, broken: number, tookUs = 5_000): CallRecord[] => [
    ...Array.from({ length: 200 }, (_, index) => call({ dueUs: index * 10_000, to: "orders/1" })),
    ...Array.from({ length: underWay }, (_, index) =>
      call({
        dueUs: 2_998_000 + index,
        to: "orders/1",
        ...(index < broken ? { code: "UNAVAILABLE" as const, tookUs } : { tookUs: 20_000 }),
      }),
    ),
  ];

  test("is confirmed when attempts under way broke that hardly ever break", () => {
    expect(brokenInFlight(seen(resetting(3, 3)), one)).toEqual({
      effect: "confirmed",
      evidence: "3 of 3 attempts under way broke within 100 ms, 0 of 200 before",
    });
  });

  test("is found when connections broke while the order was still being carried out", () => {
    const slow = seen(resetting(3, 3), { orderedUs: 3_000_000, fromUs: 3_020_000 });
    expect(brokenInFlight(slow, one).effect).toBe("confirmed");
  });

  test("has none when nothing of what was under way broke", () => {
    expect(brokenInFlight(seen(resetting(5, 0)), one).effect).toBe("none");
    expect(brokenInFlight(seen(resetting(3, 3, 200_000)), one).effect).toBe("inconclusive");
  });

  test("proves nothing with nothing under way, or where attempts break all the time", () => {
    expect(brokenInFlight(seen(resetting(0, 0)), one).effect).toBe("inconclusive");
    const usual = resetting(3, 3).map((record, index) =>
      index % 2 === 0 && record.dueUs < 2_900_000
        ? { ...record, attempts: record.attempts.map((attempt) => ({ ...attempt, code: "UNAVAILABLE" as const })) }
        : record,
    );
    expect(brokenInFlight(seen(usual), one).effect).toBe("inconclusive");
  });

  test("of a single attempt takes the same seed without it for proof", () => {
    expect(brokenInFlight(seen(resetting(1, 1)), one).effect).toBe("inconclusive");
    expect(brokenInFlight(seen(resetting(1, 1), without(resetting(1, 0))), one).effect).toBe("confirmed");
    expect(brokenInFlight(seen(resetting(1, 1), without(resetting(1, 1))), one).effect).toBe("inconclusive");
  });
});

describe("with another fault on the same attempts", () => {
  const one = towards(["orders/1"]);
  const confounded = { isOnlyControlValid: true };
  const down = dealt((dueUs, to) => (lasts(dueUs) && to === "orders/1" ? { code: "UNAVAILABLE" } : {}));
  const slow = dealt((dueUs, to) => (lasts(dueUs) && to === "orders/1" ? { tookUs: 105_000 } : {}));
  const cut = Array.from({ length: 5 }, (_, index) =>
    call({ dueUs: 2_998_000 + index, to: "orders/1", code: "UNAVAILABLE" }),
  );
  const proofs = [
    ["ending service", down, (seen: Observation) => lostSuccesses(seen, one)],
    ["slowing down", slow, (seen: Observation) => slowedAttempts(seen, one, (usualUs) => usualUs + 50_000)],
    ["resetting", [...dealt(), ...cut], (seen: Observation) => brokenInFlight(seen, one)],
  ] as const;

  test.each(proofs)("%s is proven by the same seed without it, and by nothing else", (_name, made, prove) => {
    expect(prove(seen(made)).effect).toBe("confirmed");
    expect(prove(seen(made, confounded)).effect).toBe("inconclusive");
    expect(prove(seen(made, { ...confounded, ...without(dealt()) })).effect).toBe("confirmed");
    expect(prove(seen(made, { ...confounded, ...without(made) })).effect).not.toBe("confirmed");
  });
});

describe("a fault on a registry that leaves no call records", () => {
  const registry = towards(["registry/0"]);
  const links = over([
    { from: "orders/0", to: "registry/0" },
    { from: "orders/1", to: "registry/0" },
  ]);
  /** Clients that lost the registry, and when. */
  const losing = (...lost: readonly (readonly [node: string, atUs: number])[]): Observation => {
    const registryStates = lost.map(([node, atUs]) => ({ type: "registry", node, atUs, state: "suspended" }) as const);
    return seen([], { history: { ...historyOf(plan, dealt()), registryStates } });
  };

  test("is confirmed by clients that lost it, when none had before", () => {
    const effect = lostSuccesses(losing(["orders/0", 3_900_000], ["storefront/0", 4_000_000]), registry);
    expect(effect).toEqual({
      effect: "confirmed",
      evidence: "2 clients lost it while it lasted, 0 before, 0 that it didn't touch",
    });
  });

  test("on some links is confirmed by the clients on these links alone", () => {
    expect(lostSuccesses(losing(["orders/0", 3_900_000]), links).effect).toBe("confirmed");
    expect(lostSuccesses(losing(["orders/0", 3_900_000], ["orders/2", 3_900_000]), links).effect).toBe("inconclusive");
  });

  test("proves nothing when nobody noticed, or somebody lost it before anyway", () => {
    expect(lostSuccesses(losing(), registry).effect).toBe("inconclusive");
    expect(lostSuccesses(losing(["orders/0", 2_000_000], ["orders/0", 4_000_000]), registry).effect).toBe(
      "inconclusive",
    );
  });
});

describe("a fault on a database", () => {
  /** What account committed: so many a second, but for the fault's time. */
  const committing = (whileItLasts: (atUs: number) => boolean): Observation => {
    const observation = seen([]);
    const { fromUs, toUs } = observation;
    const holding = { item: "u0", free: 1, frozen: 0, used: 0, version: 1, resource: "account.reserve" } as const;
    const transactions = Array.from({ length: 800 }, (_, index) => index * 10_000)
      .filter((atUs) => atUs < fromUs || atUs >= toUs || whileItLasts(atUs))
      .map((atUs) => {
        return { type: "transaction", what: "holding", ...holding, xid: `${atUs}`, node: "account/0", atUs } as const;
      });
    return { ...observation, history: { ...observation.history, transactions } };
  };

  test("is confirmed when nothing was committed, and isn't there when commits went on", () => {
    const database = towards(["database/0"]);
    const stopped = lostSuccesses(
      committing(() => false),
      database,
    );
    expect(stopped.effect).toBe("confirmed");
    expect(stopped.evidence).toMatch(/^0 commits while it lasted, \d+ in the [\d.]+ s before$/);
    const unharmed = committing(() => true);
    expect(lostSuccesses(unharmed, database).effect).toBe("none");
    // On the other one's link.
    const link = over([{ from: "stock/0", to: "database/0" }]);
    expect(
      lostSuccesses(
        committing(() => false),
        link,
      ).effect,
    ).toBe("inconclusive");
  });
});

describe("a fault on a coordinator that leaves no call records", () => {
  const coordinator = towards(["coordinator/0"]);
  /** Steps that order, account and stock took with it: so many a second, but for the fault's time. */
  const stepping = (whileItLasts: (atUs: number) => boolean): Observation => {
    const observation = seen([]);
    const { fromUs, toUs } = observation;
    const transactions = Array.from({ length: 800 }, (_, index) => index * 10_000).flatMap((atUs) =>
      atUs >= fromUs && atUs < toUs && !whileItLasts(atUs)
        ? []
        : [
            {
              type: "transaction",
              what: "begin",
              name: "buy",
              timeoutMs: 1,
              xid: `${atUs}`,
              node: "order/0",
              atUs,
            } as const,
          ],
    );
    return { ...observation, history: { ...observation.history, transactions } };
  };

  test("is confirmed when transactions stood still, and isn't there when they went on", () => {
    expect(
      lostSuccesses(
        stepping(() => false),
        coordinator,
      ),
    ).toMatchObject({
      effect: "confirmed",
      evidence: expect.stringMatching(
        /^0 steps of transactions while it lasted, \d+ in the [\d.]+ s before$/,
      ) as string,
    });
    expect(
      lostSuccesses(
        stepping(() => true),
        coordinator,
      ).effect,
    ).toBe("none");
  });

  test("on a link is told by the clients on that link", () => {
    const links = over([{ from: "account/0", to: "coordinator/0" }]);
    expect(
      lostSuccesses(
        stepping(() => false),
        links,
      ).effect,
    ).toBe("inconclusive");
  });
});
