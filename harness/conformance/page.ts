import type { Bilingual } from "../scenario/schema.ts";
import { areas, type Area, type Property } from "./property.ts";
import { verdictOf, type Score } from "./scorecard.ts";

export type Language = keyof Bilingual;

const words = {
  en: {
    title: "What dubbo-go 3.3.2 keeps of what governance promises",
    intro: [
      "Each line is a scenario of `scenarios/foreign/conformance/`, run in world `docker` with a provider and a consumer of the real dubbo-go",
      "3.3.2 and a real ZooKeeper or Nacos, and judged by the same checks as any other. The finding that is expected of it is written beside it: when a",
      "later version behaves otherwise, the scorecard says so. This page is written by `npm run flyball -- conformance --docs docs`.",
    ],
    other: "[中文](conformance.zh-CN.md)",
    columns: ["", "promise", "measured"],
    outcomes: { holds: "holds", fails: "**fails**", unmeasured: "couldn't be told" },
    surprise: { holds: "expected to fail, but holds now", fails: "expected to hold, but fails now", unmeasured: "" },
    areas: {
      registration: "Registration and discovery",
      balancing: "Balancing",
      routing: "Routing rules",
      clusters: "Retries and timeouts",
      life: "Coming, going, dying",
    },
    why: "Why they fail",
    again: "Measured again with",
    reports: "reported as",
    unreported: "No report of it is known.",
  },
  zh: {
    title: "服务治理的承诺，dubbo-go 3.3.2 兑现了多少",
    intro: [
      "每一行都是 `scenarios/foreign/conformance/` 里的一个场景：在 `docker` 世界里，用真正的 dubbo-go 3.3.2 提供者和消费者以及真正的 ZooKeeper 或 Nacos",
      "运行，由与其他场景相同的检查来评判。预期的结论写在旁边；哪天新版本的行为变了，记分卡会明说。本页由",
      "`npm run flyball -- conformance --docs docs` 生成。",
    ],
    other: "[English](conformance.md)",
    columns: ["", "承诺", "实测"],
    outcomes: { holds: "成立", fails: "**不成立**", unmeasured: "无法判断" },
    surprise: { holds: "原以为不成立，现在却成立了", fails: "原以为成立，现在却不成立了", unmeasured: "" },
    areas: {
      registration: "注册与发现",
      balancing: "负载均衡",
      routing: "路由规则",
      clusters: "重试与超时",
      life: "上线、下线与宕机",
    },
    why: "为什么不成立",
    again: "再测一次",
    reports: "相关报告",
    unreported: "尚未见到相关报告。",
  },
} as const;

/** The scorecard as a page of the documentation. */
export function conformancePage(scores: readonly Score[], language: Language): string {
  const { title, intro, other, why } = words[language];
  const failed = scores.filter(({ property }) => property.finding !== undefined);
  return [
    `# ${title}`,
    "",
    ...intro,
    "",
    other,
    "",
    ...areas.flatMap((area) => section(area, scores, language)),
    ...(failed.length === 0 ? [] : [`## ${why}`, "", ...failed.flatMap((score) => reason(score, language))]),
  ].join("\n");
}

/**
 * Where a page says otherwise than was measured now, a line each. Its numbers are its own day's, so only verdicts are compared; what
 * couldn't be told now says nothing against it.
 */
export function differences(page: string, scores: readonly Score[], language: Language): readonly string[] {
  const written = rowsOf(page);
  const { outcomes } = words[language];
  return scores.flatMap(({ property, outcome }) => {
    const says = rowOf(written, property, language)?.outcome;
    if (says === undefined) return [`${property.name} isn't on the page`];
    return outcome === "unmeasured" || says === outcomes[outcome]
      ? []
      : [`${property.name}: the page says "${says}", measured now: "${outcomes[outcome]}"`];
  });
}

/** What the pages, one in each language, say of properties; of those that they know. */
export function scoresOn(pages: Bilingual, properties: readonly Property[]): readonly Score[] {
  const [en, zh] = [rowsOf(pages.en), rowsOf(pages.zh)];
  return properties.flatMap((property) => {
    const [row, other] = [rowOf(en, property, "en"), rowOf(zh, property, "zh")];
    const outcome = (["holds", "fails", "unmeasured"] as const).find((one) => words.en.outcomes[one] === row?.outcome);
    if (row === undefined || other === undefined || outcome === undefined) return [];
    const evidence = { en: row.evidence, zh: other.evidence };
    return [{ property, outcome, evidence, verdict: verdictOf(property, outcome), replay: "" }];
  });
}

interface Row {
  readonly outcome: string;
  readonly evidence: string;
}

/** By promise. */
function rowsOf(page: string): ReadonlyMap<string, Row> {
  return new Map(
    page.split("\n").flatMap((line) => {
      const [, outcome, promise, evidence] = line.split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll("\\|", "|"));
      return promise === undefined || outcome === undefined || evidence === undefined
        ? []
        : [[promise, { outcome, evidence }] as const];
    }),
  );
}

/** A surprise says so beside its promise. */
function promiseCell(
  { property, outcome, verdict }: Pick<Score, "property" | "outcome" | "verdict">,
  language: Language,
): string {
  const promise = property.promise[language];
  return verdict === "surprise" ? `${promise} (${words[language].surprise[outcome]})` : promise;
}

/** What a page says of a property, a surprise or not. */
function rowOf(rows: ReadonlyMap<string, Row>, property: Property, language: Language): Row | undefined {
  const surprises = (["holds", "fails"] as const).map((outcome) =>
    promiseCell({ property, outcome, verdict: "surprise" }, language),
  );
  return [property.promise[language], ...surprises].map((cell) => rows.get(cell)).find((row) => row !== undefined);
}

function section(area: Area, scores: readonly Score[], language: Language): readonly string[] {
  const own = scores.filter(({ property }) => property.area === area);
  if (own.length === 0) return [];
  const { areas: names, columns, outcomes } = words[language];
  return [
    `## ${names[area]}`,
    "",
    row(columns),
    row(columns.map(() => "---")),
    ...own.map(({ property, outcome, verdict, evidence }) =>
      row([outcomes[outcome], promiseCell({ property, outcome, verdict }, language), evidence[language]]),
    ),
    "",
  ];
}

function reason({ property }: Score, language: Language): readonly string[] {
  const { reports, unreported, again } = words[language];
  const { name, finding, issues = [] } = property;
  const separator = language === "zh" ? "：" : ": ";
  return [
    `### ${name}`,
    "",
    finding![language],
    "",
    issues.length === 0 ? unreported : `${reports}${separator}${issues.map((issue) => `<${issue}>`).join(", ")}`,
    "",
    `${again}${separator}\`npm run flyball -- conformance ${name}\``,
    "",
  ];
}

const row = (cells: readonly string[]): string => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
