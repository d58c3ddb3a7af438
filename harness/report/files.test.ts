import { describe, expect, test } from "vitest";

import { githubAnnotations } from "./github.ts";
import { junitXml } from "./junit.ts";
import { markdownReport } from "./markdown.ts";
import type { AgreementResult, CheckResult, InvocationResult, RunResult } from "./verdict.ts";

const check = (over: Partial<CheckResult> = {}): CheckResult => ({
  name: "orders success",
  phase: "safety",
  verdict: "pass",
  observed: "99.6%",
  bound: "≥ 99%",
  detects: "93%",
  trials: 960,
  falseAlarm: 1e-9,
  message: "",
  ...over,
});

const run = (over: Partial<RunResult> = {}): RunResult => ({
  scenario: "node-loss",
  world: "sim",
  seed: 1,
  verdict: "pass",
  durationMs: 8000,
  wallMs: 120,
  calls: { total: 960, ok: 960, failed: 0, attempts: 980 },
  offeredPerSecond: 120,
  latencyMs: { p50: 5, p90: 9, p99: 24, max: 40 },
  instances: {},
  faults: [],
  checks: [check()],
  out: ".flyball/x/node-loss-sim-1",
  replay: "npm run scenario -- node-loss --world sim --seed 1",
  ...over,
});

const differing: AgreementResult = {
  scenario: "node-loss",
  seed: 1,
  verdict: "fail",
  reference: "sim",
  worlds: ["local"],
  rows: [
    {
      quantity: "p99",
      expected: "24 ms",
      tolerance: "± 25%",
      measured: [{ world: "local", value: "90 ms", agrees: false }],
    },
    {
      quantity: "success",
      expected: "99%",
      tolerance: "± 3%",
      measured: [{ world: "local", value: "99%", agrees: true }],
    },
  ],
};

const invocation = (runs: readonly RunResult[], agreements: readonly AgreementResult[] = []): InvocationResult => ({
  version: 1,
  verdict: "fail",
  runs,
  agreements,
  falseAlarm: 2e-9,
});

const failing = run({
  verdict: "fail",
  checks: [
    check(),
    check({ name: 'p99 <b> & "c"', verdict: "fail", message: "too slow:\n90 %, 1,000 of them \u0000" }),
  ],
});
const doubtful = run({ world: "local", verdict: "inconclusive", reason: "the load fell behind" });

describe("junit", () => {
  test("a run is a suite, a check a case; what a run says beside its checks is a case as well", () => {
    expect(junitXml(invocation([run(), failing, doubtful])).split("\n")).toEqual([
      `<?xml version="1.0" encoding="UTF-8"?>`,
      `<testsuites name="flyball" tests="5" failures="1" errors="0" skipped="1">`,
      `  <testsuite name="node-loss in sim, seed 1" tests="1" failures="0" errors="0" skipped="0" time="0.120">`,
      `    <testcase classname="node-loss in sim, seed 1" name="orders success"/>`,
      `  </testsuite>`,
      `  <testsuite name="node-loss in sim, seed 1" tests="2" failures="1" errors="0" skipped="0" time="0.120">`,
      `    <testcase classname="node-loss in sim, seed 1" name="orders success"/>`,
      `    <testcase classname="node-loss in sim, seed 1" name="p99 &lt;b&gt; &amp; &quot;c&quot;">`,
      `      <failure message="too slow:&#10;90 %, 1,000 of them \ufffd">npm run scenario -- node-loss --world sim --seed 1&#10;.flyball/x/node-loss-sim-1</failure>`,
      `    </testcase>`,
      `  </testsuite>`,
      `  <testsuite name="node-loss in local, seed 1" tests="2" failures="0" errors="0" skipped="1" time="0.120">`,
      `    <testcase classname="node-loss in local, seed 1" name="orders success"/>`,
      `    <testcase classname="node-loss in local, seed 1" name="run">`,
      `      <skipped message="inconclusive: the load fell behind">npm run scenario -- node-loss --world sim --seed 1&#10;.flyball/x/node-loss-sim-1</skipped>`,
      `    </testcase>`,
      `  </testsuite>`,
      `</testsuites>`,
      "",
    ]);
  });

  test("where worlds differ, just what differs fails", () => {
    const xml = junitXml(invocation([], [differing]));
    expect(xml).toContain(`<testsuites name="flyball" tests="2" failures="1"`);
    expect(xml).toMatch(/name="p99">\s*<failure message="sim 24 ms \(± 25%\), local 90 ms">/);
    expect(xml).toMatch(/name="success"\/>/);
  });
});

describe("GitHub's annotations", () => {
  test("name what failed or is in doubt, a line each, and nothing else", () => {
    expect(githubAnnotations(invocation([run(), failing, doubtful], [differing])).split("\n")).toEqual([
      `::error title=node-loss in sim%2C seed 1::p99 <b> & "c": too slow:%0A90 %25, 1,000 of them \u0000%0Anpm run scenario -- node-loss --world sim --seed 1`,
      `::warning title=node-loss in local%2C seed 1::the load fell behind%0Anpm run scenario -- node-loss --world sim --seed 1`,
      `::error title=node-loss%2C seed 1::sim and local differ: p99`,
      "",
    ]);
  });

  test("say nothing when all is well", () => {
    expect(githubAnnotations(invocation([run()]))).toBe("");
  });
});

describe("the Markdown page", () => {
  test("has every run in a table, and in full what didn't pass", () => {
    const page = markdownReport(invocation([run(), failing], [differing]));
    expect(page).toContain("| node-loss | sim | 1 | ✅ pass | 960 | 0 | 5 ms | 24 ms | 1 of 1 |");
    expect(page).toContain("### ❌ fail: node-loss in sim, seed 1");
    expect(page).toContain("too slow: 90 %, 1,000 of them");
    expect(page).toContain("| node-loss | 1 | p99 | 24 ms | 90 ms | ± 25% | local: no |");
    expect(page.match(/^### /gm)).toHaveLength(2);
  });
});
