import { expect, test } from "vitest";

import { Call } from "../../call/call.ts";
import { RpcError } from "../../call/status.ts";
import { createRandom } from "../../random.ts";
import { systemClock } from "../clock.ts";
import { Offers } from "./offers.ts";

const interfaceName = "flyball.worker.v1.Worker";
const content = JSON.stringify({ services: { any: { name: interfaceName, group: "orders", protocol: "tri" } } });

/** A config centre whose next answers are given; `away` is a server that can't be reached. */
const away = Symbol("away");
function offersOver(...answers: readonly (string | typeof away | undefined)[]) {
  const clock = systemClock();
  const life = new Call({ clock, service: "nacos", method: "" });
  const asked: string[] = [];
  const get = async ({ key, group }: { readonly key: string; readonly group: string }) => {
    const answer = answers[Math.min(asked.length, answers.length - 1)];
    asked.push(`${key} ${group}`);
    if (answer === away) throw new RpcError("away", { code: "UNAVAILABLE" });
    return { key, group, content: answer ?? "", version: 1, exists: answer !== undefined };
  };
  const offers = new Offers({ clock, random: createRandom(1), config: () => ({ get, life }), interfaceName });
  return { offers, asked, life };
}

test("a revision is read once, whoever asks and however often", async () => {
  const { offers, asked } = offersOver(content);
  expect(offers.offerOf(["orders", "r1"])).toBeUndefined();
  await Promise.all([offers.known([["orders", "r1"]]), offers.known([["orders", "r1"]])]);
  await offers.known([["orders", "r1"]]);
  expect(offers.offerOf(["orders", "r1"])).toEqual(["orders"]);
  expect(asked).toEqual(["orders r1"]);
});

test("what nobody has written down is looked for again, and what makes no sense offers nothing", async () => {
  const { offers, asked } = offersOver(undefined, "no JSON");
  await offers.known([["orders", "r1"]]);
  expect(offers.offerOf(["orders", "r1"])).toBe("unwritten");
  await offers.known([["orders", "r1"]]);
  expect(offers.offerOf(["orders", "r1"])).toEqual([]);
  expect(asked).toHaveLength(2);
});

test("a server that is away is asked again until it answers, and each look is told", async () => {
  const { offers, asked, life } = offersOver(away, content);
  await expect(offers.known([["orders", "r1"]])).rejects.toThrow("away");
  expect(offers.offerOf(["orders", "r1"])).toBe("unreachable");
  await new Promise<void>((resolve) => offers.learn([["orders", "r1"]], resolve));
  expect(offers.offerOf(["orders", "r1"])).toEqual(["orders"]);
  expect(asked).toHaveLength(2);
  life.end();
});

test("those whose last question is longest ago are forgotten, never those in use", async () => {
  const { offers } = offersOver(content);
  await offers.known([["orders", "used"]]);
  for (let index = 0; index < 1100; index++) {
    await offers.known([["orders", `r${index}`]]);
    expect(offers.offerOf(["orders", "used"])).toEqual(["orders"]);
  }
  expect(offers.offerOf(["orders", "r0"])).toBeUndefined();
});
