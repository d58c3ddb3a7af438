import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { describe, expect, test } from "vitest";
import { z } from "zod";

import { builtInPolicies } from "../../runtime/call/client.ts";
import type { DirectoryOptions } from "../../runtime/discovery/directory.ts";
import { nearest } from "../../services/nearest.ts";
import { faults } from "../faults/table.ts";
import { checks } from "../judge/table.ts";
import { parsePage, pageText, type Block } from "../report/page.ts";
import { plain, widthOf } from "../report/text.ts";
import { readDocument } from "../scenario/document.ts";
import { parseScenario } from "../scenario/parse.ts";
import { planScenario } from "../scenario/planner.ts";
import { scenarioSchema } from "../scenario/schema.ts";
import { explainedAs, normal, placeOf, placesOf, readPages } from "./explain.ts";

const docs = join(import.meta.dirname, "../../docs");
const pages = await readPages();
const places = placesOf(pages);

/** What must be alike in both languages: headings, tables' columns and rows, blocks of code. */
const shapeOf = (blocks: readonly Block[]): readonly string[] =>
  blocks.flatMap((block) => {
    if (block.kind === "heading") return [`h${block.level}`];
    if (block.kind === "table") return [`${block.titles.length} × ${block.rows.length}`];
    return [block.kind];
  });

/** The pages of concepts as they are written: the one that is generated of the scenarios explains no concept. */
const textIn = (isMeant: (file: string) => boolean): string =>
  readdirSync(docs)
    .filter((file) => isMeant(file) && !file.startsWith("scenarios."))
    .map((file) => readFileSync(join(docs, file), "utf8"))
    .join("\n");
const texts = { en: textIn((file) => /^[^.]+\.md$/.test(file)), zh: textIn((file) => file.endsWith(".zh-CN.md")) };

/**
 * Where a value is said in a scenario: "fleet.calls.hash.nodes". Of what may be one of several, all; lists and names of one's own are no
 * step.
 */
function pathsIn(type: unknown, at = ""): readonly string[] {
  if (type instanceof z.ZodOptional || type instanceof z.ZodDefault) return pathsIn(type.unwrap(), at);
  if (type instanceof z.ZodArray) return pathsIn(type.element, at);
  if (type instanceof z.ZodRecord) return pathsIn(type.valueType, at);
  if (type instanceof z.ZodUnion) return type.options.flatMap((option) => pathsIn(option, at));
  if (!(type instanceof z.ZodObject)) return [];
  return Object.entries(type.shape).flatMap(([key, inner]) => {
    const path = at === "" ? key : `${at}.${key}`;
    return [path, ...pathsIn(inner, path)];
  });
}
const parameters = [...new Set(pathsIn(scenarioSchema))];

/** What only a program's configuration says of its calls; one more doesn't compile until it is here. */
const ofPrograms: Readonly<Record<keyof DirectoryOptions, true>> = {
  emptyProtection: true,
  mergeMs: true,
  cacheAfterMs: true,
};

describe("the pages", () => {
  test.each(pages)("$name says the same in both languages, block by block", ({ blocks }) => {
    expect(shapeOf(blocks.zh)).toEqual(shapeOf(blocks.en));
  });

  test("explain every check and every fault", () => {
    const names = [...Object.keys(checks), ...Object.keys(faults), "stop", "restart", "publish", "remove"];
    expect(names.filter((name) => !places.has(name))).toEqual([]);
  });

  test("explain all that a name means: the check, the fault, and the page", () => {
    const placesFor = (name: string): readonly string[] => explainedAs(name, pages).map(({ page }) => page.name);
    expect(placesFor("latency")).toEqual(["checks", "faults"]);
    expect(placesFor("isolation")).toEqual(["checks", "isolation"]);
    expect(placesFor("pause")).toEqual(["faults"]);
    expect(placesFor("retries")).toEqual(["retries"]);
    for (const name of Object.keys(checks)) expect(placesFor(name)).toContain("checks");
    for (const name of Object.keys(faults)) expect(placesFor(name)).toContain("faults");
  });

  test("explain every policy by its name in the tables", () => {
    const { balancers, clusters, routers, guards, admissions, retryBudgets } = builtInPolicies;
    const names = [balancers, clusters, routers, guards, admissions, retryBudgets].flatMap(Object.keys);
    expect(names.length).toBeGreaterThan(25);
    expect(names.filter((name) => !places.has(normal(name)))).toEqual([]);
  });

  test("the parameters are those of all that a scenario may say", () => {
    expect(parameters).toEqual(
      expect.arrayContaining(["name", "fleet.calls.hash.nodes", "fleet.groups.queue.codel.target", "registry.tick"]),
    );
    expect(parameters.length).toBeGreaterThan(500);
  });

  test.each(Object.entries(texts))("name every parameter of a scenario: %s", (_, text) => {
    const isNamed = (path: string): boolean => new RegExp(`\`[^\`\n]*\\b${path.split(".").at(-1)!}\\b`).test(text);
    expect([...parameters, ...Object.keys(ofPrograms)].filter((path) => !isNamed(path))).toEqual([]);
  });

  test.each(["en", "zh"] as const)("list the parameters of a scenario's parts with their defaults: %s", (language) => {
    const { blocks } = pages.find(({ name }) => name === "scenario-file")!;
    const rows = blocks[language].flatMap((block) => (block.kind === "table" ? block.rows : []));
    const listed = rows.flatMap(([first]) => [...first!.matchAll(/[A-Za-z]+(?=`|, |\.)/g)].map(([key]) => key));
    // What a fault or a check takes stands beside it, in their own tables.
    const isOfAPart = (path: string): boolean =>
      /^[a-z]+$|^(registry|coordinator)\.|^fleet\.(calls\.)?[A-Za-z]+$/.test(path);
    const ofForeign = ["role", "image", "command", "environment", "ready", "stopWithin", "program"];
    const missing = parameters
      .filter(isOfAPart)
      .map((path) => path.split(".").at(-1)!)
      .filter((key) => !listed.includes(key) && !ofForeign.includes(key));
    expect([...new Set(missing)]).toEqual([]);
  });

  test.each(["en", "zh"] as const)("the scenario file that they show is one: %s", (language) => {
    const { blocks } = pages.find(({ name }) => name === "scenario-file")!;
    const code = blocks[language].find((block) => block.kind === "code")!;
    const { value, locate } = readDocument(code.lines.join("\n"), "the page");
    const plan = planScenario(parseScenario(value, "the page", locate), { world: "sim", seed: 1 });
    expect(plan.checks).toHaveLength(1);
  });

  test.each(Object.entries(texts))("name every scenario where its concept is explained: %s", (_, text) => {
    const names = ["scenarios", "scenarios/foreign"]
      .flatMap((folder) => readdirSync(join(docs, "..", folder)))
      .filter((file) => file.endsWith(".ts"))
      .map((file) => file.slice(0, -".ts".length));
    expect(names.length).toBeGreaterThan(50);
    expect(names.filter((name) => !text.includes(`\`${name}\``))).toEqual([]);
  });

  test("are found by the words that a learner has, however they are spelled", () => {
    const names = [
      "rpc",
      "client-side discovery",
      "zookeeper",
      "Nacos",
      "serialisation",
      "deadline",
      "ringHash",
      "saga",
    ];
    expect(names.filter((name) => placeOf(name, places) === undefined)).toEqual(["ringHash"]);
  });

  test.each([
    ["discovery", "registries", "Discovery: `client-side discovery` of services"],
    ["service discovery", "registries", "Discovery: `client-side discovery` of services"],
    ["client-side discovery", "registries", "Discovery: `client-side discovery` of services"],
    ["服务发现", "registries", "Discovery: `client-side discovery` of services"],
    ["客户端服务发现", "registries", "Discovery: `client-side discovery` of services"],
    ["load balancing", "balancing", "Load balancing"],
    ["负载均衡", "balancing", "Load balancing"],
    ["路由", "routing", "Routing"],
    ["rule", "routing", "Rules, and where they live"],
    ["rules", "routing", "Rules, and where they live"],
    ["transaction", "transactions", "Distributed transactions"],
    ["tag", "routing", "Lanes: `tag` rules"],
    ["tag rule", "routing", "Lanes: `tag` rules"],
    ["condition rule", "routing", "Condition rules"],
    ["same zone", "routing", "Affinity (same zone)"],
    ["gray", "routing", "Canary (gray release)"],
    ["灰度", "routing", "Canary (gray release)"],
    ["circuit breaker", "protection", "Circuit breaker: `breaker`"],
    ["circuit-breaker", "protection", "Circuit breaker: `breaker`"],
    ["熔断", "protection", "Circuit breaker: `breaker`"],
    ["outlier ejection", "protection", "Outlier ejection: `outlier`"],
    ["token bucket", "protection", "Rate limit (token bucket): `rateLimit`"],
    ["限流", "protection", "Rate limit (token bucket): `rateLimit`"],
    ["codel", "protection", "Queue (CoDel)"],
    ["drain", "protection", "Draining (graceful shutdown)"],
    ["deadline propagation", "protection", "Deadlines and their propagation: `deadline`"],
    ["截止时间", "protection", "Deadlines and their propagation: `deadline`"],
    ["retry", "retries", "Retry policy: `retry`"],
    ["重试", "retries", "Retries, hedging and budgets"],
    ["mtls", "authentication", "Mutual TLS (mTLS)"],
    ["hmac", "authentication", "The signature (HMAC)"],
    ["signature", "authentication", "The signature (HMAC)"],
    ["authorisation", "authentication", "Authorisation: `allow`"],
  ])("explain %s on %s, under %s", (name, page, text) => {
    const [place] = explainedAs(name, pages);
    expect(place?.page.name).toBe(page);
    expect(place?.page.blocks.en[place.from]).toMatchObject({ kind: "heading", text });
  });

  test("runtime is the room of the architecture: no concept's page has a section of that name", () => {
    const { page, row } = placeOf("runtime", places)!;
    expect([page.name, row]).toEqual(["architecture", 0]);
  });

  test("what is nearly a name leads to it", () => {
    const known = [...places.keys()];
    expect(nearest("circuit-braker", known)).toBe("circuit-breaker");
    expect(nearest("tokn-bucket", known)).toBe("token-bucket");
    expect(nearest("outlier-injection", known)).toBe("outlier-ejection");
    expect(nearest("负载平衡", known)).toBe("负载均衡");
    expect(known).not.toContain("circuit-breaker-breaker");
  });

  test("a row is explained in both languages by its English name", () => {
    const place = places.get("blackhole")!;
    const { page, from, row } = place;
    for (const blocks of [page.blocks.en, page.blocks.zh]) {
      const table = blocks[from];
      expect(table?.kind === "table" && table.rows[row!]![0]).toBe("`blackhole`");
    }
  });

  test("a section ends where the next one begins", () => {
    const { page, from, to } = places.get("on-links")!;
    expect(page.blocks.en[from]).toEqual({ kind: "heading", level: 2, text: "On links" });
    expect(page.blocks.en[to]).toEqual({ kind: "heading", level: 2, text: "Actions" });
  });
});

describe("a page in a terminal", () => {
  const page = `# Title

[中文](x.zh-CN.md)

One line
and \`more\` of **it**, see [there](x.md).

- first
  goes on
- second

| a | b |
| --- | --- |
| \`x\` | y \\| z |

    code |
`;

  test("reads like the page", () => {
    expect(pageText(parsePage(page), { paint: plain, width: 80 })).toEqual([
      "Title",
      "",
      "One line and more of it, see there.",
      "",
      "- first goes on",
      "- second",
      "",
      "a  b",
      "x  y | z",
      "",
      "    code |",
    ]);
  });

  test("never gets wider than the terminal, but for code", () => {
    for (const { blocks } of pages) {
      for (const text of [blocks.en, blocks.zh]) {
        const lines = pageText(
          text.filter(({ kind }) => kind !== "code"),
          { paint: plain, width: 80 },
        );
        // A word that is longer than the line stays whole.
        expect(lines.filter((line) => widthOf(line) > 80 && line.trim().includes(" ") && !/\S{40}/.test(line))).toEqual(
          [],
        );
      }
    }
  });
});
