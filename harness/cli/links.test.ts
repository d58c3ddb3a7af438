import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";

import { describe, expect, test } from "vitest";

import { parsePage } from "../report/page.ts";

const root = join(import.meta.dirname, "../..");
const files = globSync(["*.md", "docs/*.md"], { cwd: root }).sort();
const textOf = (file: string): string => readFileSync(join(root, file), "utf8");

/** A heading's name in a link, as GitHub makes it. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, "")
    .replaceAll(" ", "-");

const anchorsOf = (file: string): readonly string[] =>
  parsePage(textOf(file)).flatMap((block) => (block.kind === "heading" ? [anchorOf(block.text)] : []));

/** What a page links to within the repository: a file, and perhaps a heading of it. Code isn't looked at. */
const linksOf = (file: string): readonly { readonly link: string; readonly path: string; readonly anchor?: string }[] =>
  [
    ...textOf(file)
      .replace(/^```[^]*?^```$/gm, "")
      .matchAll(/\]\((?!https?:)([^)\s]+)\)/g),
  ].map(([, link]) => {
    const [path = "", anchor] = link!.split("#");
    const target = path === "" ? file : relative(root, join(root, dirname(file), path));
    return { link: link!, path: target, ...(anchor !== undefined && { anchor: decodeURIComponent(anchor) }) };
  });

test.each(files)("each link of %s leads somewhere", (file) => {
  const broken = linksOf(file).filter(
    ({ path, anchor }) => !existsSync(join(root, path)) || (anchor !== undefined && !anchorsOf(path).includes(anchor)),
  );
  expect(broken.map(({ link }) => link)).toEqual([]);
});

test("pages link to pages of their own language, but for the other one of themselves", () => {
  const isChinese = (file: string): boolean => file.endsWith(".zh-CN.md");
  const strays = files.flatMap((file) =>
    linksOf(file)
      .filter(({ path }) => path.startsWith("docs/") && path.endsWith(".md") && isChinese(path) !== isChinese(file))
      .filter(({ path }) => path.replace(".zh-CN", "") !== file.replace(".zh-CN", ""))
      .map(({ link }) => `${file}: ${link}`),
  );
  expect(strays).toEqual([]);
});

describe("what users have reported", () => {
  const rows = parsePage(textOf("docs/reported.md")).flatMap((block) => (block.kind === "table" ? block.rows : []));

  test("is more than a few", () => expect(rows.length).toBeGreaterThan(30));

  test.each(rows.map(([report, , keepers]) => [report!, keepers!]))(
    "%s is named by what keeps it away",
    (report, keepers) => {
      const numbers = [...report.matchAll(/\[[^\]]*#(\d+)\]/g)].map(([, number]) => number!);
      const texts = [...keepers.matchAll(/\]\(\.\.\/([^)]+)\)/g)].map(([, path]) => textOf(path!));
      expect(numbers.length * texts.length).toBeGreaterThan(0);
      const isNamed = (number: string, text: string): boolean => new RegExp(`[#/]${number}\\b`).test(text);
      // Each report by one of them, and none of them without a report.
      expect(numbers.filter((number) => !texts.some((text) => isNamed(number, text)))).toEqual([]);
      expect(texts.filter((text) => !numbers.some((number) => isNamed(number, text)))).toEqual([]);
    },
  );
});
