import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { overrideRules } from "../configuration/override.ts";
import { call, client, endpoint } from "../fixtures.ts";
import { chainRoutes } from "./chain.ts";
import { routers } from "./table.ts";

const policies = Object.entries({ ...routers, override: overrideRules });

/** What a document may do to its reader: be understood, or be refused with a line. */
function read(parse: (content: string) => unknown, content: string): unknown {
  try {
    return parse(content);
  } catch (error) {
    expect(error).toMatchObject({ name: "RuleError", line: expect.any(Number) as number });
    expect((error as Error).message.length).toBeLessThan(250);
    return undefined;
  }
}

describe.each(policies)("hostile documents: %s", (name, policy) => {
  const words = fc.constantFrom(
    ..."configVersion scope key enabled force runtime conditions tags name addresses match affinityAware ratio configs".split(
      " ",
    ),
    ..."parameters weight disabled split tag percent from to v3.0 v3.1 true false null ~ 1e9 -1 0 => a=b != * $a".split(
      " ",
    ),
    ..."&a *a !!js/function <<: {} [] : - ? | > \u0000 \u2028 method=* arguments[0]=1~2 regex (a+)+$ exact".split(" "),
  );
  const text = fc
    .array(fc.tuple(words, fc.constantFrom(" ", "\n", ": ", "\n  - ", "\n  ", ", ", "")))
    .map((parts) => parts.map(([word, gap]) => word + gap).join(""));
  const value = fc.letrec((tie) => ({
    any: fc.oneof(
      { depthSize: "small" },
      words,
      fc.integer(),
      fc.boolean(),
      fc.array(tie("any"), { maxLength: 3 }),
      tie("map"),
    ),
    map: fc.dictionary(words, tie("any"), { maxKeys: 5 }),
  })).map;

  test("any text is a rule, or refused with its line; a rule that is read routes", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          text,
          value.map((map) => JSON.stringify(map)),
        ),
        (content) => {
          const rule = read((document) => policy.parse(document), content);
          const router = routers[name];
          if (rule === undefined || router === undefined) return;
          const endpoints = [endpoint(), endpoint({ id: "orders/1", tag: "gray" })];
          const route = chainRoutes([{ policy: router, rules: [rule] }], endpoints, client());
          for (const candidate of route(call({ metadata: { a: "b" } }))) expect(endpoints).toContain(candidate);
        },
      ),
      { numRuns: 400 },
    );
  });

  test.each([
    ["a megabyte", `conditions:\n${"  - => a=b\n".repeat(100_000)}`],
    [
      "a bomb of aliases",
      `a: &a [x]\n${Array.from({ length: 30 }, (_, i) => `b${i}: &b${i} [${"*a, ".repeat(9)}*a]`).join("\n")}`,
    ],
    ["a merge bomb", `base: &base { a: 1 }\nconditions: { <<: *base }`],
    ["nesting", `${"[".repeat(50_000)}`],
    ["keys of keys", `${"? ".repeat(1_500)}a: &a [x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: [*c, *c] `],
    ["nested maps", `${"{a: ".repeat(10_000)}`],
    ["duplicate keys", "key: a\n".repeat(20_000)],
    ["one endless line", `conditions: ["${"&".repeat(250_000)}"]`],
    ["many separators", `conditions: ["${"a=".repeat(120_000)}"]`],
    ["binary", "\u0000\u0001\ufffe".repeat(1000)],
    ["nothing", ""],
    ["a number", "7"],
    ["two documents", "key: a\n---\nkey: b\n"],
  ])("%s is refused", (_what, content) => {
    expect(read((document) => policy.parse(document), content)).toBeUndefined();
  });
});
