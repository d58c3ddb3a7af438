import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { describe, expect, test } from "vitest";
import { z } from "zod";

import { builtInPolicies } from "../../runtime/call/client.ts";
import { faults } from "../faults/table.ts";
import { checks } from "../judge/table.ts";
import { parsePage, pageText, type Block } from "../report/page.ts";
import { plain, widthOf } from "../report/text.ts";
import { clientProtection, serverProtection } from "../scenario/protection.ts";
import { callKeys, workKeys } from "../scenario/schema.ts";
import { normal, placeOf, placesOf, readPages } from "./explain.ts";

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

/** The keys of a schema's shape, and those within them. */
function keysIn(shape: Readonly<Record<string, z.ZodType>>): readonly string[] {
  return Object.entries(shape).flatMap(([key, type]) => {
    const inner = type instanceof z.ZodOptional ? type.unwrap() : type;
    return inner instanceof z.ZodObject ? [key, ...keysIn(inner.shape)] : [key];
  });
}

describe("the pages", () => {
  test.each(pages)("$name says the same in both languages, block by block", ({ blocks }) => {
    expect(shapeOf(blocks.zh)).toEqual(shapeOf(blocks.en));
  });

  test("explain every check and every fault", () => {
    const names = [...Object.keys(checks), ...Object.keys(faults), "stop", "restart", "publish", "remove"];
    expect(names.filter((name) => !places.has(name))).toEqual([]);
  });

  test("explain every policy by its name in the tables", () => {
    const { balancers, clusters, routers, guards, admissions, retryBudgets } = builtInPolicies;
    const names = [balancers, clusters, routers, guards, admissions, retryBudgets].flatMap(Object.keys);
    expect(names.length).toBeGreaterThan(25);
    expect(names.filter((name) => !places.has(normal(name)))).toEqual([]);
  });

  test.each(Object.entries(texts))(
    "name every parameter of a call, of protection and of a provider's work: %s",
    (_, text) => {
      const names = [...callKeys, ...keysIn(clientProtection), ...keysIn(serverProtection), ...workKeys];
      expect(names.length).toBeGreaterThan(60);
      expect(names.filter((name) => !new RegExp(`\`[^\`\n]*\\b${name}\\b`).test(text))).toEqual([]);
    },
  );

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
