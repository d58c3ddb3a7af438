import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import fc from "fast-check";
import { describe, expect, test } from "vitest";

import type { CallRecord, History } from "../history/history.ts";
import type { StepRecord } from "../history/record.ts";
import { inChromium, noChromium } from "../testing/chromium.ts";
import { htmlReporter } from "./html.ts";
import { roundUp } from "./html/charts.ts";
import { markup } from "./html/markup.ts";
import { timelineOf } from "./html/timeline.ts";
import { firstOfEachKind, slowestOf } from "./html/waterfall.ts";
import type { FinishedRun } from "./reporter.ts";
import { sampleAgreement, sampleHistory, samplePlan, sampleRun } from "./samples.ts";

function pageOf(runs: readonly FinishedRun[], language: "en" | "zh" = "en"): string {
  const reporter = htmlReporter();
  const ids = runs.map(({ plan }) => ({ scenario: plan.scenario, world: plan.world, seed: plan.seed }));
  reporter.onStart!({ runs: ids, out: "out" });
  reporter.onScenario!(runs, sampleAgreement);
  const results = runs.map(({ result }) => result);
  const verdict = results.some((run) => run.verdict === "fail") ? "fail" : "pass";
  return reporter.page({ version: 1, verdict, runs: results, agreements: [], falseAlarm: 2e-9 }, language);
}

const step = (phase: StepRecord["phase"], atUs: number): StepRecord => ({
  type: "step",
  atUs,
  index: 0,
  phase,
  what: samplePlan("sim").timeline[0]!.what,
});

/** A run whose fault was really there from 2 s to 6 s. */
function killed(options: { readonly failing?: boolean } = {}): FinishedRun {
  const run = sampleRun("sim", options);
  const steps = [
    step("apply", 1_990_000),
    step("applied", 2_000_000),
    step("lift", 5_990_000),
    step("lifted", 6_000_000),
  ];
  return { ...run, history: { ...run.history!, steps } };
}

describe("what the page shows", () => {
  test("the fault lies over every chart, from when it was there to when it was lifted", () => {
    const page = pageOf([killed()]);
    const charts = page.match(/<figure>/g)!.length;
    expect(charts).toBe(5);
    expect(page.match(/<rect class="band" x="250" width="500"/g)).toHaveLength(charts);
    expect(page).toContain("kill orders/1 <small>2.0 s – 6.0 s</small>");
  });

  test("an expectation that broke leads to its moment, which is marked in every chart", () => {
    const page = pageOf([killed({ failing: true })]);
    const [, target] = /<a href="#(run-[^"]+-broke-0)">/.exec(page)!;
    expect(page).toContain(`id="${target}"`);
    expect(page.match(/<path class="broke" d="M253.1 0V100"\/>/g)).toHaveLength(5);
    expect(pageOf([killed()])).not.toContain("-broke-");
  });

  test("every link leads somewhere, also with several runs", () => {
    const page = pageOf([killed({ failing: true }), { ...sampleRun("local") }]);
    const links = [...page.matchAll(/href="#([^"]+)"/g)].map(([, id]) => id!);
    expect(links.length).toBeGreaterThan(2);
    for (const id of links) expect(page.split(`id="${id}"`)).toHaveLength(2);
  });

  test("the command that does it again stands there in full", () => {
    expect(pageOf([killed()])).toContain("<pre>npm run scenario -- node-loss --world sim --seed 1</pre>");
  });

  test("a run without a history says why, and draws nothing", () => {
    const run = sampleRun("sim");
    const page = pageOf([
      { ...run, history: undefined, result: { ...run.result, reason: "no fleet", verdict: "error" } },
    ]);
    expect(page).toContain("no fleet");
    expect(page).not.toContain("<figure>");
  });

  test("of many runs, those that passed have no charts", () => {
    const page = pageOf([...Array.from({ length: 40 }, () => killed()), killed({ failing: true })]);
    expect(page.match(/<figure>/g)).toHaveLength(5);
  });
});

describe("what is strange", () => {
  test("text from a scenario or a server is never markup, in an element or an attribute", () => {
    const hostile = `</style><script>alert(1)</script><img src=x onerror='x'>"&\u0000\u202e`;
    const run = killed({ failing: true });
    const calls = run.history!.calls.map((call): CallRecord => ({
      ...call,
      service: hostile,
      message: hostile,
      attempts: call.attempts.map((attempt) => ({ ...attempt, instance: hostile })),
    }));
    const result = { ...run.result, scenario: hostile, replay: hostile, reason: hostile };
    const checks = result.checks.map((check) => ({ ...check, name: hostile, message: hostile, observed: hostile }));
    const page = pageOf([{ ...run, history: { ...run.history!, calls }, result: { ...result, checks } }]);
    expect(page).not.toMatch(/<script|<img|\u0000|\u202e/);
    expect(page).toContain("&lt;/style&gt;&lt;script&gt;alert(1)&lt;/script&gt;");
    expect(page.match(/<\/style>/g)).toHaveLength(1);
  });

  test("whatever is put into markup leaves its place neither in text nor in an attribute", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(..."<>&\"'a;#\u0000\ud800\u202e") }), (text) => {
        expect(markup`${text}`.text).not.toMatch(/[<>"']|&(?!(amp|lt|gt|quot|#39);)/);
      }),
    );
  });

  test("a run without calls, without length, with unknown ends", () => {
    const run = killed();
    const empty: History = { ...run.history!, calls: [] };
    const unknown: History = {
      ...run.history!,
      calls: run.history!.calls.map((call) => ({ ...call, endUs: -1, code: undefined })),
    };
    for (const history of [empty, unknown, { ...run.history!, end: undefined }])
      expect(pageOf([{ ...run, history }])).not.toMatch(/NaN|undefined|Infinity/);
  });

  test("a run with 100,000 calls of 300 instances is a file of less than 300 kB", () => {
    const run = killed();
    const calls = Array.from({ length: 100_000 }, (_, call): CallRecord => {
      const dueUs = call * 80;
      const code = call % 50 === 0 ? "UNAVAILABLE" : "OK";
      const attempts = [0, 1, 2].map((more) => ({
        instance: `orders/${(call + more) % 300}`,
        beginUs: dueUs,
        endUs: dueUs + 9_000,
        code: "OK" as const,
      }));
      return {
        ...run.history!.calls[0]!,
        call,
        dueUs,
        beginUs: dueUs,
        endUs: dueUs + 9_000 + (call % 977),
        code,
        attempts,
      };
    });
    const page = pageOf([{ ...run, history: { ...run.history!, calls } }]);
    expect(page.length).toBeLessThan(300_000);
  });
});

test("stretches count what was due in them, and shares of a stretch sum to one", () => {
  const { buckets, shares } = timelineOf(sampleHistory(samplePlan("sim"), { failing: true }), 16);
  expect(buckets.reduce((sum, { perSecond }) => sum + perSecond * 0.5, 0)).toBeCloseTo(960);
  expect(buckets.map(({ failedPerSecond }) => failedPerSecond > 0)).toEqual(
    Array.from({ length: 16 }, (_, at) => at >= 4 && at < 7),
  );
  expect(buckets[5]!.attemptsPerCall).toBeCloseTo(4 / 3);
  for (const parts of shares.flatMap((share) => share.buckets))
    expect((parts ?? [1]).reduce((sum, part) => sum + part, 0)).toBeCloseTo(1);
});

test("the slowest calls are the slowest, the slowest first", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 1e6 }), { maxLength: 60 }), (times) => {
      const [template] = sampleHistory(samplePlan("sim")).calls;
      const calls = times.map((endUs) => ({ ...template!, dueUs: 0, endUs }));
      expect(slowestOf(calls).map(({ endUs }) => endUs)).toEqual([...times].sort((a, b) => b - a).slice(0, 10));
    }),
  );
});

test("a rare failure is shown beside a thousand of another kind", () => {
  const [template] = sampleHistory(samplePlan("sim")).calls;
  const calls = Array.from({ length: 1000 }, () => ({ ...template!, code: "UNAVAILABLE" as const }));
  calls.push({ ...template!, code: "DEADLINE_EXCEEDED" } as never);
  expect(firstOfEachKind(calls).map(({ code }) => code)).toContain("DEADLINE_EXCEEDED");
  expect(firstOfEachKind(calls)).toHaveLength(10);
});

test("an axis ends at 1, 2 or 5 times a power of ten, not below its greatest value", () => {
  fc.assert(
    fc.property(fc.double({ min: 1e-6, max: 1e9, noNaN: true }), (value) => {
      expect(roundUp(value)).toBeGreaterThanOrEqual(value * (1 - 1e-9));
      expect(roundUp(value)).toBeLessThan(value * 2.51);
    }),
  );
});

describe.skipIf(noChromium !== undefined)(
  `in Chromium${noChromium === undefined ? "" : `: ${noChromium} here`}`,
  () => {
    test("it asks for nothing, fits narrow and wide, follows light and dark, and changes its language", async () => {
      const directory = await mkdtemp(join(tmpdir(), "flyball-page-"));
      try {
        const file = join(directory, "report.html");
        await writeFile(file, pageOf([killed({ failing: true }), sampleRun("local")]));
        await inChromium(file, async (page) => {
          for (const width of [360, 800, 1600]) {
            await page.resize(width, 900);
            // Nothing stands out at the side: a browser would offer to scroll there.
            expect(
              await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"),
            ).toBe(0);
            // Nor does a table end before its last column, where nobody sees that it would scroll.
            expect(
              await page.evaluate(
                "[...document.querySelectorAll('.wide')].every((one) => one.scrollWidth <= one.clientWidth)",
              ),
            ).toBe(true);
            expect(
              await page.evaluate(
                "[...document.querySelectorAll('svg')].every((one) => one.getBoundingClientRect().width > 200)",
              ),
            ).toBe(true);
          }
          // Of the background, in each scheme: its brightness.
          const background =
            "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).reduce((a, b) => a + +b, 0)";
          await page.prefer("light");
          expect(await page.evaluate(background)).toBeGreaterThan(600);
          await page.prefer("dark");
          expect(await page.evaluate(background)).toBeLessThan(150);

          const title = "document.querySelector('h1').innerText";
          expect(await page.evaluate(title)).toContain("Flyball report");
          await page.evaluate("document.querySelector('label[for=zh]').click()");
          expect(await page.evaluate(title)).toContain("Flyball 报告");
          expect(
            await page.evaluate(
              "[...document.querySelectorAll('[lang=en]')].every((one) => one.offsetParent === null)",
            ),
          ).toBe(true);

          await page.evaluate("document.querySelector('a[href*=broke]').click()");
          expect(await page.evaluate("document.querySelector(':target').className")).toContain("broke");
          expect(page.requests).toEqual([]);
          expect(page.complaints).toEqual([]);
        });
      } finally {
        await rm(directory, { recursive: true });
      }
    });
  },
);
