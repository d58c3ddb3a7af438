import { describe, expect, test } from "vitest";

import { readDocument } from "./document.ts";
import { ScenarioError } from "./error.ts";
import { parseScenario } from "./parse.ts";

const mine = `version: 1
name: mine
title: { en: Mine, zh: 我的 }
explanation: { en: It holds., zh: 它成立。 }
fleet:
  shop: { program: consumer, instances: 1, calls: { service: orders } }
  orders: { program: provider, instances: 2 }
load:
  - { on: shop, arrivals: constant, legs: [{ rate: 100/s, for: 2s }] }
expect:
  - { check: success-rate, service: orders, atLeast: 99%, detects: 80% }
`;

const read = (text: string): unknown => {
  const { value, locate } = readDocument(text, "mine.yaml");
  return parseScenario(value, "mine.yaml", locate);
};

function problem(text: string): string {
  try {
    read(text);
  } catch (error) {
    expect(error).toBeInstanceOf(ScenarioError);
    return (error as ScenarioError).message;
  }
  throw new Error("it was read");
}

describe("a scenario file", () => {
  test("is YAML, or JSON; tags and a timeline may be left out", () => {
    expect(read(mine)).toMatchObject({ name: "mine", tags: [], timeline: [] });
    expect(read(JSON.stringify(readDocument(mine, "mine.yaml").value))).toEqual(read(mine));
  });

  test.each([
    ["a wrong value", "instances: 1,", "instances: none,", "mine.yaml:6:41: fleet.shop.instances: expected a number"],
    [
      "an unknown name",
      "arrivals: constant",
      "arrivals: poison",
      `mine.yaml:9:27: load.0.arrivals: "poison" is not one of "constant", "poisson"`,
    ],
    [
      "an unknown key",
      "atLeast: 99%",
      "atleast: 99%",
      "mine.yaml:11:45: expect.0.atleast: there is no such key; allowed: check, service, atLeast",
    ],
    ["a key that is missing", "name: mine\n", "", "mine.yaml:1:1: name: is missing"],
    [
      "a key that is there twice",
      "name: mine\n",
      "name: mine\nname: yours\n",
      "mine.yaml:3:1: this key is there twice",
    ],
    [
      "a duration without its unit",
      "service: orders }",
      "service: orders, timeout: 100 }",
      'mine.yaml:6:79: fleet.shop.calls.timeout: expected a duration such as "250ms", "3s" or "2m"',
    ],
    [
      "a distribution that nobody knows",
      "instances: 2",
      "instances: 2, serviceTime: { exponentail: { mean: 5ms } }",
      "mine.yaml:7:61: fleet.orders.serviceTime.exponentail: there is no such key; allowed: constant, uniform",
    ],
    [
      "a number that is too small",
      "instances: 2",
      "instances: 0",
      "mine.yaml:7:43: fleet.orders.instances: expected at least 1",
    ],
    ["a list without anything", "[{ rate: 100/s, for: 2s }]", "[]", "load.0.legs: expected at least 1 in the list"],
    [
      "text where there are keys",
      "{ en: Mine, zh: 我的 }",
      "Mine",
      "mine.yaml:3:8: title: expected keys with their values",
    ],
    [
      "an unknown key whose value is a block",
      "expect:",
      "timelin:\n  - at: 1s\nexpect:",
      "mine.yaml:10:1: timelin: there is no such key",
    ],
    [
      "a service's name that is none",
      "orders: { program",
      "Stock_X: { program: provider }\n  orders: { program",
      "mine.yaml:7:3: fleet.Stock_X: expected lower-case letters, digits and dashes, a letter first",
    ],
    [
      "a name that no file can have",
      "name: mine",
      `name: ${"m".repeat(101)}`,
      "2:7: name: expected at most 100 characters",
    ],
    [
      "a step that is two things",
      "expect:",
      "timeline:\n  - { at: 1s, fault: { kind: kill, target: orders/1 }, action: { kind: stop, target: orders/1 } }\nexpect:",
      "mine.yaml:11:5: timeline.0: a step is a fault or an action, not both",
    ],
    [
      "two distributions",
      "instances: 2",
      "instances: 2, serviceTime: { exponential: { mean: 5ms }, constant: 5ms }",
      "mine.yaml:7:59: fleet.orders.serviceTime: one distribution is meant, and there is more than one",
    ],
    [
      "no time at all",
      "service: orders }",
      "service: orders, timeout: 0ms }",
      "mine.yaml:6:79: fleet.shop.calls.timeout: expected a duration from 1us to 1440m",
    ],
    [
      "a pause that is too short",
      "load:",
      "registry: { sessionTimeout: 50ms }\nload:",
      "mine.yaml:8:29: registry.sessionTimeout: expected a duration from 100ms to 10m",
    ],
    [
      "a part of a millisecond",
      "instances: 2",
      "instances: 2, warmup: 1.5ms",
      "mine.yaml:7:54: fleet.orders.warmup: expected whole milliseconds from 1ms to 1440m",
    ],
    [
      "limits the wrong way round",
      "service: orders }",
      "service: orders, concurrencyLimit: { min: 20, max: 10 } }",
      "fleet.shop.calls.concurrencyLimit.min: expected at most max",
    ],
    [
      "a time before the load",
      "expect:",
      "timeline:\n  - { at: -2s, fault: { kind: kill, target: orders/1 } }\nexpect:",
      'timeline.0.at: expected a duration such as "250ms", "3s" or "2m", not a negative one',
    ],
    ["more than all", "99%", "199%", 'expect.0.atLeast: expected a share such as "99%" or 0.99, at most 100%'],
    ["a share below nothing", "99%", "-1%", 'a share such as "99%" or 0.99, not a negative one'],
    ["another version", "version: 1", "version: 2", "mine.yaml:1:10: version: 2 is not 1"],
    ["an alias of nothing", "name: mine", "name: *mine", "mine.yaml:2:7: nothing before it is called &mine"],
    ["a second document", "load:", "---\nload:", "mine.yaml:8:1: a second document begins here"],
    ["another encoding", "title: { en: Mine", "title: { en: M\uFFFDne", "mine.yaml:3: this isn't text in UTF-8"],
    ["a bracket that isn't closed", "for: 2s }]", "for: 2s }", "mine.yaml:"],
  ])("%s is named with its place", (_what, from, to, message) => {
    expect(mine).toContain(from);
    expect(problem(mine.replace(from, to))).toContain(message);
  });

  test("is no bomb: many aliases, ten megabytes and endless nesting end with a sentence", () => {
    const bomb = ["a: &a [x,x,x,x,x,x,x,x,x]"];
    for (const letter of "bcdefghi") {
      const before = String.fromCharCode(letter.charCodeAt(0) - 1);
      bomb.push(`${letter}: &${letter} [${Array(9).fill(`*${before}`).join(",")}]`);
    }
    expect(problem(bomb.join("\n"))).toBe("mine.yaml resolves more than 100 aliases");
    expect(problem("#".repeat(10_000_000))).toContain("at most 1000000");
    expect(problem("[".repeat(5_000))).toMatch(/^mine.yaml/);
    expect(problem(`${"[".repeat(20_000)}${"]".repeat(20_000)}`)).toMatch(/^mine.yaml:1:\d+: it is nested too deeply$/);
  });

  test("is empty where it says nothing", () => {
    expect(problem("# later\n")).toBe("mine.yaml is empty");
  });
});

test.each([2, 300, 50_000])("keys of keys, %i deep, are refused at once", (depth) => {
  expect(() => readDocument("? ".repeat(depth), "mine.yaml")).toThrow(
    /a key is a text, and no list or mapping|nested too deeply/,
  );
});
