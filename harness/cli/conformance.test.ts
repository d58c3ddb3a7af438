import { readFileSync } from "node:fs";

import { describe, expect, test } from "vitest";

import { conformancePage, differences, scoresOn } from "../conformance/page.ts";
import { conclusion, type Score } from "../conformance/scorecard.ts";
import { planScenario } from "../scenario/planner.ts";
import { Queue, selectProperties } from "./conformance.ts";

const properties = await selectProperties([]);

describe.each(properties.map((property) => [property.name, property] as const))("%s", (name, property) => {
  test("can be planned, with dubbo-go in it, and is named after its file", async () => {
    const plan = planScenario(property.scenario, { world: "docker", seed: 1 });
    expect(plan.registry).toBe(property.scenario.registry?.like ?? "zookeeper");
    expect(plan.nodes.some(({ foreign }) => foreign !== undefined)).toBe(true);
    expect((await selectProperties([name])).map((found) => found.name)).toEqual([name]);
  });

  test("says how it fails where it does, and who else has seen it", () => {
    const isFailing = property.expected === "fails";
    expect(property.finding !== undefined).toBe(isFailing);
    if (isFailing) expect(property.issues).toBeDefined();
    for (const issue of property.issues ?? [])
      expect(issue).toMatch(/^https:\/\/github\.com\/apache\/[\w-]+\/(issues|pull)\/\d+$/);
  });
});

test("a name that isn't there is answered with the nearest", async () => {
  await expect(selectProperties(["warm-upp"])).rejects.toMatchObject({ hint: 'did you mean "warm-up"?', exitCode: 2 });
});

test("of several lanes the first measures what needs Nacos, and each property is measured once", () => {
  const queue = new Queue(properties);
  const taken = properties.map((_, turn) => [turn % 3 === 0, queue.take(turn % 3 === 0)] as const);
  const isOfNacos = (property: (typeof properties)[number] | undefined): boolean =>
    property?.scenario.registry?.like === "nacos";
  expect(taken.filter(([isFirst, property]) => !isFirst && isOfNacos(property))).toEqual([]);
  for (let left = queue.take(true); left !== undefined; left = queue.take(true)) taken.push([true, left]);
  expect(taken.flatMap(([, property]) => property?.name ?? []).toSorted()).toEqual(properties.map(({ name }) => name));
  const [first] = taken;
  expect(isOfNacos(first![1])).toBe(true);
});

const scoreOf = (name: string, more: Partial<Score>): Score => ({
  property: properties.find((property) => property.name === name)!,
  outcome: "fails",
  verdict: "as expected",
  evidence: { en: "3 | 4", zh: "三 | 四" },
  replay: "npm run …",
  ...more,
});

test("what isn't as expected is told when it was found twice; what can't be told, when it was tried twice", () => {
  const found = {
    expected: scoreOf("warm-up", {}),
    surprise: scoreOf("warm-up", { outcome: "holds", verdict: "surprise", evidence: { en: "12%", zh: "12%" } }),
    unmeasured: scoreOf("warm-up", { outcome: "unmeasured", verdict: "unmeasured" }),
  };
  const of = (...names: readonly (keyof typeof found)[]) => conclusion(names.map((name) => found[name]))?.verdict;
  expect([of("expected"), of("surprise"), of("unmeasured")]).toEqual(["as expected", undefined, undefined]);
  expect([of("surprise", "surprise"), of("surprise", "unmeasured", "surprise")]).toEqual(["surprise", "surprise"]);
  expect([of("unmeasured", "expected"), of("unmeasured", "surprise")]).toEqual(["as expected", undefined]);
  expect(of("unmeasured", "surprise", "surprise")).toBe("surprise");
  expect([of("unmeasured", "unmeasured"), of("surprise", "unmeasured", "unmeasured")]).toEqual([
    ...["unmeasured", "unmeasured"],
  ]);
  expect(conclusion([found.surprise, found.expected])).toMatchObject({
    outcome: "unmeasured",
    verdict: "unmeasured",
    evidence: { en: "held: 12%; then it failed: 3 | 4", zh: "成立：12%；随后不成立：三 | 四" },
  });
});

describe("a page", () => {
  test("has a row for each property under its area, its evidence in it, and says why one fails", () => {
    const scores = [scoreOf("warm-up", {}), scoreOf("random-weights", { outcome: "holds" })];
    const en = conformancePage(scores, "en");
    expect(en).toContain("| **fails** | A provider that has just started gets few calls at first | 3 \\| 4 |");
    expect(en).toContain("| holds | Random balancing gives each provider the share that its weight says | 3 \\| 4 |");
    expect(en).toContain("### warm-up");
    expect(en).not.toContain("### random-weights");
    expect(en).not.toContain("## Routing rules");
    expect(conformancePage(scores, "zh")).toContain("| **不成立** | 刚启动的提供者起初只分到很少的调用 | 三 \\| 四 |");
  });

  test("names the reports of what fails, and says where none is known", () => {
    const names = ["round-robin-interface-level", "warm-up"] as const;
    const en = conformancePage(
      names.map((name) => scoreOf(name, {})),
      "en",
    );
    const [, reported = "", unreported = ""] = en.split("\n### ");
    expect(reported).toContain("reported as: <https://github.com/apache/dubbo-go/issues/2864>");
    expect(unreported).toContain("No report of it is known.");
    expect(reported).not.toContain("No report");
  });

  test("is compared by its verdicts, not by its numbers", () => {
    const scores = [scoreOf("warm-up", {}), scoreOf("random-weights", { outcome: "holds" })];
    const other = { en: "5 | 6", zh: "五" };
    for (const language of ["en", "zh"] as const) {
      const page = conformancePage(scores, language);
      const now = scores.map((one) => ({ ...one, evidence: other }));
      expect(differences(page, now, language)).toEqual([]);
      expect(differences(page, [{ ...now[0]!, outcome: "unmeasured", verdict: "unmeasured" }], language)).toEqual([]);
      const [found, ...rest] = differences(page, [{ ...now[0]!, outcome: "holds", verdict: "surprise" }], language);
      expect(rest).toEqual([]);
      expect(found).toMatch(/^warm-up: the page says ".+", measured now: ".+"$/);
      expect(differences(page, [scoreOf("traffic-split", {})], language)).toEqual(["traffic-split isn't on the page"]);
    }
  });

  test("is read back: who measures some properties anew keeps what it says of the others", () => {
    const scores = [
      scoreOf("random-weights", { outcome: "holds" }),
      scoreOf("warm-up", { outcome: "unmeasured", verdict: "unmeasured" }),
    ];
    const read = scoresOn({ en: conformancePage(scores, "en"), zh: conformancePage(scores, "zh") }, properties);
    expect(read).toEqual(scores.map((score) => ({ ...score, replay: "" })));
    expect(scoresOn({ en: "", zh: conformancePage(scores, "zh") }, properties)).toEqual([]);
    const surprise = [scoreOf("warm-up", { outcome: "holds", verdict: "surprise" })];
    const pages = { en: conformancePage(surprise, "en"), zh: conformancePage(surprise, "zh") };
    expect(scoresOn(pages, properties)).toMatchObject([{ outcome: "holds", verdict: "surprise" }]);
    expect(differences(pages.zh, surprise, "zh")).toEqual([]);
  });

  test("as it is committed, has every property with the verdict that is expected of it", () => {
    for (const [language, file] of [
      ["en", "conformance.md"],
      ["zh", "conformance.zh-CN.md"],
    ] as const) {
      const page = readFileSync(new URL(`../../docs/${file}`, import.meta.url), "utf8");
      const expected = properties.map((property) => scoreOf(property.name, { outcome: property.expected }));
      expect(differences(page, expected, language)).toEqual([]);
      const failing = properties.filter((property) => property.expected === "fails");
      for (const issue of failing.flatMap(({ issues = [] }) => issues)) expect(page).toContain(`<${issue}>`);
    }
  });

  test("tells what isn't as expected any more, in both directions", () => {
    const en = conformancePage(
      [
        scoreOf("warm-up", { outcome: "holds", verdict: "surprise" }),
        scoreOf("random-weights", { outcome: "fails", verdict: "surprise" }),
      ],
      "en",
    );
    expect(en).toContain("few calls at first (expected to fail, but holds now)");
    expect(en).toContain("its weight says (expected to hold, but fails now)");
  });
});
