import { expect, test } from "vitest";

import { agreementMarkdown } from "./agreement.ts";

test("scenarios, worlds and quantities stand in one table, and what differs is said", () => {
  const table = agreementMarkdown([
    {
      scenario: "node-loss",
      seed: 1,
      verdict: "fail",
      reference: "sim",
      worlds: ["local", "docker"],
      rows: [
        {
          quantity: "orders success",
          expected: "100%",
          tolerance: "± 3%",
          measured: [
            { world: "local", value: "99%", agrees: true },
            { world: "docker", value: "90%", agrees: false },
          ],
        },
        {
          quantity: "p99",
          expected: "26 ms",
          tolerance: "± 20 ms",
          measured: [{ world: "local", value: "80 ms", agrees: false, doubt: "the machine stood still" }],
        },
      ],
    },
    {
      scenario: "no-retries",
      seed: 1,
      verdict: "pass",
      reference: "sim",
      worlds: ["docker"],
      rows: [
        {
          quantity: "a|b",
          expected: "1",
          tolerance: "± 1",
          measured: [{ world: "docker", value: "1", agrees: true }],
        },
      ],
    },
  ]);
  expect(table.split("\n")).toEqual([
    "| scenario | seed | quantity | sim | local | docker | tolerance | agrees |",
    "| --- | --- | --- | --- | --- | --- | --- | --- |",
    "| node-loss | 1 | orders success | 100% | 99% | 90% | ± 3% | docker: no |",
    "|  |  | p99 | 26 ms | 80 ms |  | ± 20 ms | local: open, the machine stood still |",
    "| no-retries | 1 | a\\|b | 1 |  | 1 | ± 1 | yes |",
    "",
  ]);
});
