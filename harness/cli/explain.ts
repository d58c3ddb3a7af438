import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

import { didYouMean } from "../../services/nearest.ts";
import { faults } from "../faults/table.ts";
import { checks } from "../judge/table.ts";
import { pageText, parsePage, plainText, type Block, type PageLayout } from "../report/page.ts";
import { columnsFor, paintFor, table, wrap } from "../report/text.ts";
import type { Scenario } from "../scenario/schema.ts";
import { listScenarios } from "./catalog.ts";
import { exitCodes, usageError, type ExitCode } from "./errors.ts";
import { languages, systemLanguage, type Language } from "./language.ts";

/** The options of `explain`, as the parser gives them. */
export interface ExplainOptions {
  readonly lang?: string;
}

/**
 * `flyball explain NAME`: what a scenario shows, what a check, fault or policy does, what a concept is. Texts are those of the
 * scenarios and of docs/: a page, a section by its heading or words of it, or a row of a table by its first cell.
 */
export async function explainCommand(name: string | undefined, { lang }: ExplainOptions): Promise<ExitCode> {
  const language = lang === undefined ? systemLanguage() : languageOf(lang);
  const layout = { paint: paintFor(process.stdout), width: Math.min(100, columnsFor(process.stdout)) };
  const scenarios = (await listScenarios()).map(({ scenario }) => scenario);
  const pages = await readPages();
  const lines =
    name === undefined
      ? overview(scenarios, pages, language, layout)
      : explanation(name, { scenarios, pages, language, layout });
  process.stdout.write(`${lines.join("\n")}\n`);
  return exitCodes.passed;
}

/** A concept's page, in both languages; the two have the same shape. */
export interface Page {
  readonly name: string;
  readonly blocks: Readonly<Record<Language, readonly Block[]>>;
}

const docs = join(import.meta.dirname, "../../docs");

/** Every page of docs/, by name. */
export async function readPages(): Promise<readonly Page[]> {
  const names = (await readdir(docs)).filter((file) => /^[a-z0-9-]+\.md$/.test(file)).sort();
  const blocks = async (file: string): Promise<readonly Block[]> => parsePage(await readFile(join(docs, file), "utf8"));
  return Promise.all(
    names.map(async (file) => ({
      name: file.replace(/\.md$/, ""),
      blocks: { en: await blocks(file), zh: await blocks(file.replace(/\.md$/, ".zh-CN.md")) },
    })),
  );
}

/** Where a name is explained: a page's blocks from one to another, in a table only one row. */
export interface Place {
  readonly page: Page;
  readonly from: number;
  readonly to: number;
  readonly row?: number;
}

/** Pages that say more about the project or its measurements than about a concept: what they call so is asked for last. */
const lateral: readonly string[] = ["architecture", "bench", "ci", "conformance", "history", "reported", "scenarios"];
const isLateral = ({ name }: Page): boolean => lateral.includes(name);

/**
 * Every name that the pages explain, in both languages, by its normal form. A page goes before a heading, a heading before a row, and a
 * concept's page before one that isn't.
 */
export function placesOf(pages: readonly Page[]): ReadonlyMap<string, Place> {
  const places = new Map<string, Place>();
  const add = (names: readonly string[], place: Place): void => {
    for (const name of names.map(normal)) if (name !== "" && !places.has(name)) places.set(name, place);
  };
  for (const page of pages) add([page.name], { page, from: 0, to: page.blocks.en.length });
  for (const some of [pages.filter((page) => !isLateral(page)), pages.filter(isLateral)]) {
    const blocks = some.flatMap((page) =>
      languages.flatMap((language) => page.blocks[language].map((block, from) => ({ page, block, from }))),
    );
    for (const isTitle of [true, false]) {
      for (const { page, block, from } of blocks) {
        if (block.kind !== "heading" || (block.level === 1) !== isTitle) continue;
        add(namesOf(block.text), { page, from: isTitle ? 0 : from, to: endOf(page, from, block.level) });
      }
    }
    for (const { page, block, from } of blocks) {
      if (block.kind !== "table") continue;
      block.rows.forEach(([first = ""], row) => {
        add([first, ...codesIn(first)], { page, from, to: from + 1, row });
      });
    }
  }
  return places;
}

/** Before which block a section ends; both languages have the same ones. */
function endOf({ blocks: { en } }: Page, from: number, level: number): number {
  const next = en.findIndex((other, index) => index > from && other.kind === "heading" && other.level <= level);
  return next < 0 ? en.length : next;
}

/** "Rate limit (token bucket): `rateLimit`": all of it but the code behind it, what stands first, what is in brackets, the code. */
function namesOf(heading: string): readonly string[] {
  const bracket = /[(（]([^)）]+)[)）]/.exec(heading)?.[1] ?? "";
  return [heading.replace(/[:：] ?`[^`]+`$/, ""), heading.split(/[:：,，、(（]/)[0]!, bracket, ...codesIn(heading)];
}

const codesIn = (text: string): readonly string[] => [...text.matchAll(/`([^`]+)`/g)].map((match) => match[1]!);

/** "No dead calls", "noDeadCalls" and "no-dead-calls" are the same name. */
export const normal = (text: string): string =>
  plainText(text)
    .replaceAll(/(?<=[a-z])(?=[A-Z])/g, "-")
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}]+/gu, "-")
    .replaceAll(/^-|-$/g, "");

/**
 * Where it is explained; "ZooKeeper" and "zookeeper" are the same, too. A name that no concept's page has is looked for in the words of
 * their headings before the other pages are asked.
 */
export function placeOf(name: string, places: ReadonlyMap<string, Place>): Place | undefined {
  const joined = (text: string): string => text.replaceAll("-", "");
  const wanted = joined(normal(name));
  const exact = places.get(normal(name)) ?? [...places].find(([known]) => joined(known) === wanted)?.[1];
  const isAside = ({ page, from }: Place): boolean => from > 0 && isLateral(page);
  if (exact !== undefined && !isAside(exact)) return exact;
  const sections = [...places].filter(([, { row }]) => row === undefined);
  const concepts = sections.filter(([, place]) => !isAside(place));
  return byWords(name, concepts) ?? exact ?? byWords(name, sections);
}

/** The one with all the words, in whatever order, and the fewest other letters. */
function byWords(name: string, sections: readonly (readonly [string, Place])[]): Place | undefined {
  const words = normal(name).split("-");
  const fitting = sections.filter(([known]) => words.every((word) => isWordOf(known, word)));
  return fitting.sort(([a], [b]) => a.length - b.length)[0]?.[1];
}

/** "drain" is one of "draining"; of two letters only the word itself is. Chinese puts no blanks between its words. */
function isWordOf(known: string, word: string): boolean {
  if (/\p{Script=Han}/u.test(word)) return known.includes(word);
  return known.split("-").some((other) => (word.length < 3 ? other === word : other.startsWith(word)));
}

interface Library {
  readonly scenarios: readonly Scenario[];
  readonly pages: readonly Page[];
  readonly language: Language;
  readonly layout: PageLayout;
}

function explanation(name: string, library: Library): readonly string[] {
  const { scenarios, pages } = library;
  const scenario = scenarios.find((each) => each.name === name);
  // The page of scenarios repeats what the scenario says of itself.
  const places = explainedAs(name, scenario === undefined ? pages : pages.filter((page) => page.name !== "scenarios"));
  if (scenario === undefined && places.length === 0) {
    const known = [...scenarios.map((each) => each.name), ...placesOf(pages).keys()];
    throw usageError(
      `nothing here is called "${name}"`,
      didYouMean(normal(name), known) ?? "npm run flyball -- explain shows all that there is",
    );
  }
  const parts = [
    ...(scenario === undefined ? [] : [scenarioText(scenario, library)]),
    ...places.map((place) => placeText(place, library)),
  ];
  return parts.flatMap((part, index) => (index === 0 ? part : ["", ...part]));
}

/** The pages that say what each check and each fault does. */
const references = ["checks", "faults"];

/**
 * All that a name means, the shortest first: a check and a fault may share theirs with each other, with a scenario and with a page. Of a
 * page and of what other pages say of a word the first is enough.
 */
export function explainedAs(name: string, pages: readonly Page[]): readonly Place[] {
  const rows = references.flatMap((reference) => {
    const place = placeOf(name, placesOf(pages.filter((page) => page.name === reference)));
    return place?.row === undefined ? [] : [place];
  });
  const first = placeOf(name, placesOf(pages));
  return first === undefined || (first.row !== undefined && rows.length > 0) ? rows : [...rows, first];
}

function placeText({ page, from, to, row }: Place, { language, layout }: Library): readonly string[] {
  const source = from === 0 ? [] : [layout.paint("dim", `docs/${fileOf(page, language)}`), ""];
  return [...source, ...pageText(blocksOf(page.blocks[language].slice(from, to), row), layout)];
}

const blocksOf = (blocks: readonly Block[], row: number | undefined): readonly Block[] =>
  row === undefined
    ? blocks
    : blocks.map((block) => (block.kind === "table" ? { ...block, rows: block.rows.slice(row, row + 1) } : block));

function scenarioText(
  { name, title, explanation: text }: Scenario,
  { pages, language, layout: { paint, width } }: Library,
): readonly string[] {
  const mentions = pages.filter(({ blocks }) => JSON.stringify(blocks.en).includes(`\`${name}\``));
  return [
    `${paint("bold", name)}  ${title[language]}`,
    "",
    ...wrap(text[language], width),
    "",
    ...mentions.map((page) => paint("dim", `docs/${fileOf(page, language)}`)),
    paint("cyan", `npm run scenario -- ${name}`),
  ];
}

function overview(
  scenarios: readonly Scenario[],
  pages: readonly Page[],
  language: Language,
  { paint, width }: PageLayout,
): readonly string[] {
  const titleOf = ({ blocks }: Page): string => {
    const [first] = blocks[language];
    return first?.kind === "heading" ? plainText(first.text) : "";
  };
  const rows = (entries: readonly (readonly [string, string])[]): readonly string[] =>
    table(
      [{}, {}],
      entries.map(([name, title]) => [`  ${paint("bold", name)}`, title]),
    );
  const titles = { en: ["pages", "scenarios", "checks", "faults"], zh: ["文档", "场景", "检查", "故障"] }[language];
  const names = (table: object): readonly string[] =>
    wrap(Object.keys(table).join(", "), width - 2).map((line) => `  ${line}`);
  return [
    titles[0]!,
    ...rows(pages.map((page) => [page.name, titleOf(page)])),
    "",
    titles[1]!,
    ...rows(scenarios.map(({ name, title }) => [name, title[language]])),
    "",
    titles[2]!,
    ...names(checks),
    "",
    titles[3]!,
    ...names(faults),
  ];
}

const fileOf = ({ name }: Page, language: Language): string => `${name}${language === "zh" ? ".zh-CN" : ""}.md`;

function languageOf(text: string): Language {
  const found = languages.find((each) => each === text);
  if (found !== undefined) return found;
  throw usageError(`--lang ${text} isn't spoken here`, `one of: ${languages.join(", ")}`);
}

/** POSIX: LC_ALL goes before LC_MESSAGES, and that before LANG. */
