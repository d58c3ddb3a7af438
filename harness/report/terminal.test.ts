import { PassThrough } from "node:stream";
import { stripVTControlCharacters } from "node:util";

import { describe, expect, test } from "vitest";

import { blockOf } from "./block.ts";
import { jsonReporter } from "./json.ts";
import { planText } from "./plan-text.ts";
import type { FinishedRun } from "./reporter.ts";
import { sampleAgreement, samplePlan, sampleRun, sampleScenario } from "./samples.ts";
import { liveLines, terminalReporter } from "./terminal.ts";
import { plain, widthOf } from "./text.ts";
import type { InvocationResult } from "./verdict.ts";

const layout = { paint: plain, width: 100 };
const block = (...[runs, agreement]: [readonly FinishedRun[], typeof sampleAgreement?]): string =>
  blockOf(runs, agreement, layout).join("\n");

describe("a scenario's report", () => {
  test("puts the verdict first and the worlds side by side", () => {
    expect(block([sampleRun("sim"), sampleRun("local")], sampleAgreement)).toMatchInlineSnapshot(`
      " PASS  node-loss  seed 1  sim 8.1 s in 0.3 s · local 8.1 s in 10.9 s
        A provider dies and nobody notices
        一个提供者宕机，调用方毫无察觉

           while it lasts                 bound     sim     local   detects  trials  false alarm
        ✓  orders success rate            ≥ 99%     100%    100%    93%         960  ≤ 1e-9
           and afterwards
        ✓  orders recovers within 500 ms  ≤ 500 ms  120 ms  120 ms  1 s         240  ≤ 1e-9 · timing

        ▲ kill orders/1  2.0 s to 6.0 s
          took effect in sim    0 of 480 successes while it lasted, 80 of 240 before
          took effect in local  0 of 480 successes while it lasted, 80 of 240 before

                                      ━━━━━━━━ kill orders/1 ━━━━━━━━━
        sim   calls   ▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▆  to 128/s
              retries ················▃▃▃▃▃▃▃▃▃▃▃▃····································  60
              p95     ▅▅▅▄▅▅▅▄▅▅▅▅▅▅▅▅████████████▅▅▅▅▅▅▄▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅  to 13 ms
        local calls   ▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▆  to 128/s
              retries ················▃▃▃▃▃▃▃▃▃▃▃▃····································  60
              p95     ▅▅▅▄▅▅▅▄▅▅▅▅▅▅▅▅████████████▅▅▅▅▅▅▄▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅  to 13 ms

                  attempts in sim                            attempts in local
        orders/0  ██████████████████  39.2%  400             ██████████████████  39.2%  400
        orders/1  █████████▉          21.6%  220  60 failed  █████████▉          21.6%  220  60 failed
        orders/2  ██████████████████  39.2%  400             ██████████████████  39.2%  400

               calls   ok  failed  attempts  offered     p50     p90      p99      max  digest
        sim      960  960       0      1020    120/s  5.4 ms  7.1 ms  13.2 ms  14.9 ms  9f86d081884c7d65
        local    960  960       0      1020    120/s  5.4 ms  7.1 ms  13.2 ms  14.9 ms
        the harness itself took 3% of the processors in local

           does sim predict local?      sim    local  tolerance
        ✓  orders success              100%     100%  ± 3%
        ✓  storefront p99           13.2 ms  21.9 ms  ± 20 ms
      "
    `);
  });

  test("says of a failure what was seen, when, and what replays it", () => {
    const text = block([sampleRun("local", { failing: true })]);
    expect(text).toMatch(/^ FAIL {2}node-loss/);
    expect(text).toContain("97.9% ✗");
    expect(text).toContain("local: 20 of 960 calls failed: 20 UNAVAILABLE (first broken at 2.0 s)");
    expect(text).toMatch(/failed +·+[▁-█]/);
    expect(text).toContain("replay   npm run scenario -- node-loss --world local --seed 1");
    expect(text).toContain("records  .flyball/sample/node-loss-local-1");
  });

  test("says how to compare the worlds again when only they disagree", () => {
    const text = block([sampleRun("sim"), sampleRun("local")], { ...sampleAgreement, verdict: "fail" });
    expect(text).toMatch(/^ FAIL {2}node-loss/);
    expect(text).toContain("replay   npm run scenario -- node-loss --seed 1");
  });

  test("shows why a run has no clear verdict, and no tables that it has nothing for", () => {
    const { plan, result } = sampleRun("local");
    const reason = "2 of 5 nodes don't get ready: orders/0, orders/1";
    const nothing = { calls: { total: 0, ok: 0, failed: 0, attempts: 0 }, instances: {}, faults: [], checks: [] };
    const text = block([{ plan, history: undefined, result: { ...result, ...nothing, verdict: "error", reason } }]);
    expect(text).toContain(`✗ local: ${reason}`);
    expect(text).not.toMatch(/detects|attempts|p99/);
  });

  test("fits the terminal, whatever its width", () => {
    for (const width of [70, 80, 120]) {
      const lines = blockOf([sampleRun("sim"), sampleRun("local", { failing: true })], sampleAgreement, {
        ...layout,
        width,
      });
      expect(lines.filter((line) => widthOf(line) > width)).toEqual([]);
    }
  });
});

test("a plan is told with its fleet, load, timeline and what its checks can tell", () => {
  const lines = planText(
    {
      ...samplePlan("local"),
      drives: [{ node: "storefront/0", dueUs: Array.from({ length: 960 }, (_, call) => call * 8333) }],
      checks: [
        {
          check: sampleScenario.expect[0]!,
          ...{
            name: "orders success rate ≥ 99%",
            phase: "safety",
            expectedTrials: 960,
            falseAlarm: 1e-9,
            detects: "93%",
          },
        },
      ],
    },
    { ...layout, limits: ["loss"] },
  );
  expect(lines.join("\n")).toMatchInlineSnapshot(`
    " PLAN  node-loss in local, seed 1  0
      A provider dies and nobody notices
      一个提供者宕机，调用方毫无察觉
      It is retried elsewhere.
      换一个实例重试。

    fleet
      storefront/0   1 ×  consumer
      orders/0 to 1  2 ×  provider

    load
      storefront: constant 120/s for 8s
      ▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇  960 calls in 8 s

    timeline
      2 s  ▲ kill orders/1  for 4 s

    checks
                                 detects  trials  false alarm
      orders success rate ≥ 99%  93%         960  ≤ 1e-9

    limits
      local can't do loss
    "
  `);
});

test("the live region says what runs, how far it is, and what is broken now", () => {
  const progress = { phase: "running", fraction: 0.5, message: "4.0 of 8 s", calls: 480, failed: 2 } as const;
  const show = (more: object): readonly string[] =>
    liveLines(
      { scenario: sampleScenario, world: "local", seed: 7 },
      { ...progress, ...more },
      { ...layout, spinner: "⠹", counter: "3 of 8 runs done" },
    );
  expect(show({})).toMatchInlineSnapshot(`
    [
      "",
      "⠹ node-loss  local  seed 7",
      "  ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━  running: 4.0 of 8 s  480 calls  2 failed",
      "  3 of 8 runs done",
    ]
  `);
  expect(show({ fault: "kill orders/1" }).at(-1)).toBe("  ▲ kill orders/1");
  for (const line of show({ message: "一".repeat(200), fault: "kill ".repeat(60) }))
    expect(widthOf(line)).toBeLessThan(101);
});

const invocation: InvocationResult = {
  version: 1,
  verdict: "fail",
  runs: [sampleRun("sim").result, sampleRun("local", { failing: true }).result],
  agreements: [sampleAgreement],
  falseAlarm: 3e-9,
};

/** What a reporter writes in the course of an invocation. */
function output({ isTTY, seeds = [1] }: { readonly isTTY: boolean; readonly seeds?: readonly number[] }): string {
  const stream = Object.assign(new PassThrough(), { isTTY, columns: 100 }) as unknown as NodeJS.WriteStream;
  const reporter = terminalReporter({ stream });
  const runs = seeds.map((seed) => ({ scenario: sampleScenario, world: "sim" as const, seed }));
  reporter.onStart?.({ runs, out: ".flyball/x" });
  for (const run of runs) {
    reporter.onProgress?.(run, { phase: "running", fraction: 0.5, message: "4.0 of 8 s" });
    reporter.onRun?.(sampleRun("sim"));
    reporter.onScenario?.([sampleRun("sim")], undefined);
  }
  reporter.onEnd?.(invocation);
  reporter.close();
  return String((stream as unknown as PassThrough).read());
}

test("in a pipe nothing is ever taken back", () => {
  const text = output({ isTTY: false });
  expect(text).toBe(stripVTControlCharacters(text));
  expect(text).not.toContain("⠋");
  expect(text).toContain("✓ node-loss            sim    seed 1    pass         960 calls, 0 failed, p99 13 ms");
  expect(text).toContain(" FAIL  1 passed, 1 failed; sim predicts local in 1 of 1");
  expect(text).toContain("✗ npm run scenario -- node-loss --world local --seed 1");
  expect(text).toContain("with a probability of at most 3.0e-9");
});

test("on a terminal the live region is gone at the end, and the cursor is back", () => {
  const text = output({ isTTY: true });
  expect(text).toContain("4.0 of 8 s");
  expect(text.lastIndexOf("\u001b[?25h")).toBeGreaterThan(text.lastIndexOf("\u001b[?25l"));
});

test("four runs that go side by side say once how far the whole is, and no more than a low terminal shows", () => {
  const lastRegion = (rows: number): readonly string[] => {
    const stream = Object.assign(new PassThrough(), { isTTY: true, columns: 100, rows });
    const reporter = terminalReporter({ stream: stream as unknown as NodeJS.WriteStream });
    const runs = [1, 2, 3, 4].map((seed) => ({ scenario: sampleScenario, world: "local" as const, seed }));
    reporter.onStart?.({ runs, out: "" });
    for (const run of runs) reporter.onProgress?.(run, { phase: "running", message: "running" });
    const text = String((stream as unknown as PassThrough).read());
    reporter.close();
    return text.slice(text.lastIndexOf("\u001b[J") + 3, -1).split("\n");
  };
  const [whole, low] = [lastRegion(50), lastRegion(6)];
  expect(whole.filter((line) => line.includes("seed"))).toHaveLength(4);
  expect(whole.filter((line) => line.includes("runs done"))).toHaveLength(1);
  expect(low).toEqual(whole.slice(0, 5));
});

test("of many seeds, only those are told in full that didn't pass", () => {
  expect(output({ isTTY: false, seeds: [1, 2, 3] })).not.toContain("detects");
});

test("json is one document", () => {
  let text = "";
  jsonReporter({ write: (more) => (text += more) }).onEnd?.(invocation);
  expect(JSON.parse(text)).toEqual(invocation);
});

test("a run's line has as many numbers as the terminal has room for", () => {
  const linesAt = (columns: number): readonly string[] => {
    const stream = Object.assign(new PassThrough(), { isTTY: true, columns });
    const reporter = terminalReporter({ stream: stream as unknown as NodeJS.WriteStream });
    reporter.onStart?.({ runs: [], out: "" });
    reporter.onRun?.(sampleRun("sim"));
    reporter.close();
    const text = stripVTControlCharacters(String(stream.read()));
    return text.split("\n").filter((line) => line.startsWith("✓"));
  };
  expect(linesAt(120)).toEqual([expect.stringMatching(/calls, \d+ failed, p99 /)]);
  expect(linesAt(80)).toEqual([expect.stringContaining("calls")]);
  for (const columns of [60, 70, 80])
    for (const line of linesAt(columns)) expect(widthOf(line)).toBeLessThanOrEqual(columns);
});
