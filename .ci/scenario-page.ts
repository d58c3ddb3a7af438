import { format } from "prettier";

import { listScenarios } from "../harness/cli/catalog.ts";
import type { Bilingual } from "../harness/scenario/schema.ts";

const words = {
  en: {
    title: "The scenarios",
    intro:
      "Each is a regression test of governance and a lesson at once. `npm run scenario -- NAME` runs one, `npm run flyball -- explain NAME` prints what stands here. This page is written by `npm run generate`.",
    other: "[中文](scenarios.zh-CN.md)",
  },
  zh: {
    title: "场景一览",
    intro:
      "每个场景既是治理能力的回归测试，也是一堂课。`npm run scenario -- NAME` 运行一个场景，`npm run flyball -- explain NAME` 打印这里的说明。本页由 `npm run generate` 生成。",
    other: "[English](scenarios.md)",
  },
} as const satisfies Record<keyof Bilingual, unknown>;

/** docs/scenarios.md and its translation: what every scenario shows, in its own words. By path from the root. */
export async function scenarioPages(): Promise<ReadonlyMap<string, string>> {
  const scenarios = await listScenarios();
  const pageIn = (language: keyof Bilingual): Promise<string> => {
    const { title, intro, other } = words[language];
    const sections = scenarios.flatMap(({ scenario: { name, title, explanation, tags }, file }) => [
      `## ${name}`,
      `**${title[language]}**${tags.map((tag) => ` · ${tag}`).join("")} · [${file!}](../${file!})`,
      explanation[language],
    ]);
    return format([`# ${title}`, intro, other, ...sections].join("\n\n"), { parser: "markdown", printWidth: 140 });
  };
  return new Map([
    ["docs/scenarios.md", await pageIn("en")],
    ["docs/scenarios.zh-CN.md", await pageIn("zh")],
  ]);
}
