import { table, widthOf, wrap, type Paint } from "./text.ts";

/** A piece of a Markdown page, as far as Flyball's own pages use Markdown. */
export type Block =
  | { readonly kind: "heading"; readonly level: number; readonly text: string }
  | { readonly kind: "table"; readonly titles: readonly string[]; readonly rows: readonly (readonly string[])[] }
  | { readonly kind: "code"; readonly lines: readonly string[] }
  /** `mark`: what a list's item begins with, else "". */
  | { readonly kind: "text"; readonly mark: string; readonly text: string };

/** The blocks of a page, in order. */
export function parsePage(source: string): readonly Block[] {
  const blocks: Block[] = [];
  const lines = source.split("\n");
  for (let at = 0; at < lines.length;) {
    const line = lines[at]!;
    const heading = /^(#+) (.*)$/.exec(line);
    /** The lines from here on that belong together. */
    const take = (belongs: (line: string) => boolean): readonly string[] => {
      const from = at;
      while (at < lines.length && belongs(lines[at]!)) at++;
      return lines.slice(from, at);
    };
    if (line.trim() === "") at++;
    else if (heading !== null) {
      blocks.push({ kind: "heading", level: heading[1]!.length, text: heading[2]! });
      at++;
    } else if (line.startsWith("```")) {
      at++;
      blocks.push({ kind: "code", lines: take((each) => !each.startsWith("```")) });
      at++;
    } else if (line.startsWith("    ")) {
      const code = take((each) => each.startsWith("    ") || each === "").map((each) => each.slice(4));
      blocks.push({ kind: "code", lines: code.at(-1) === "" ? code.slice(0, -1) : code });
    } else if (line.startsWith("|")) {
      const [titles = [], , ...rows] = take((each) => each.startsWith("|")).map(cells);
      blocks.push({ kind: "table", titles, rows });
    } else {
      const mark = /^\s*([-*] |\d+\. )/.exec(line)?.[0] ?? "";
      at++;
      const more = take((each) => each.trim() !== "" && !/^(#|\||```|\s*[-*] |\s*\d+\. )/.test(each));
      blocks.push({ kind: "text", mark, text: joined([line.slice(mark.length), ...more]) });
    }
  }
  return blocks;
}

/** The cells of a table's line; an escaped bar is one of the text. */
const cells = (line: string): readonly string[] =>
  line
    .split(/(?<!\\)\|/)
    .slice(1, -1)
    .map((cell) => cell.trim().replaceAll("\\|", "|"));

/** Chinese needs no blank where a line was broken. */
function joined(lines: readonly string[]): string {
  return lines
    .map((line) => line.trim())
    .reduce((text, line) => (/[\u3000-\u9fff\uff00-\uffef]$/.test(text) ? text + line : `${text} ${line}`));
}

/** A page's blocks for a terminal. A table that is too wide becomes one paragraph a row; a line that only leads elsewhere is left out. */
export function pageText(blocks: readonly Block[], { paint, width }: PageLayout): readonly string[] {
  const shown = blocks.filter((block) => block.kind !== "text" || !/^\[[^\]]*\]\([^)]*\)$/.test(block.text));
  return shown.flatMap((block, index) => {
    const isListed = block.kind === "text" && block.mark !== "";
    const before = shown[index - 1];
    const follows = isListed && before?.kind === "text" && before.mark !== "";
    return [...(index === 0 || follows ? [] : [""]), ...blockText(block, { paint, width })];
  });
}

export interface PageLayout {
  readonly paint: Paint;
  readonly width: number;
}

function blockText(block: Block, { paint, width }: PageLayout): readonly string[] {
  switch (block.kind) {
    case "heading":
      return [paint(block.level === 1 ? ["bold", "underline"] : "bold", plainText(block.text))];
    case "code":
      return block.lines.map((line) => `    ${paint("cyan", line)}`);
    case "text": {
      const space = " ".repeat(block.mark.length);
      const lines = wrap(inline(block.text, paint), width - space.length);
      return lines.map((line, index) => (index === 0 ? block.mark : space) + line);
    }
    case "table":
      return tableText(block, { paint, width });
  }
}

function tableText(
  { titles, rows }: Extract<Block, { kind: "table" }>,
  { paint, width }: PageLayout,
): readonly string[] {
  const flat = table(
    titles.map(() => ({})),
    [
      titles.map((title) => paint("dim", plainText(title))),
      ...rows.map((row) => row.map((cell) => inline(cell, paint))),
    ],
  );
  if (flat.every((line) => widthOf(line) <= width)) return flat;
  return rows.flatMap((row, index) => [
    ...(index === 0 ? [] : [""]),
    ...wrap(plainText(row[0] ?? ""), width).map((line) => paint("bold", line)),
    ...row.slice(1).flatMap((cell, column) => {
      if (cell === "") return [];
      const title = titles[column + 1] === "" ? "" : `${plainText(titles[column + 1]!)}: `;
      return wrap(paint("dim", title) + inline(cell, paint), width - 4).map(
        (line, at) => (at === 0 ? "  " : "    ") + line,
      );
    }),
  ]);
}

/** Code and emphasis painted, links as their text. */
function inline(text: string, paint: Paint): string {
  return text
    .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replaceAll(/`([^`]+)`/g, (_all, code: string) => paint("cyan", code))
    .replaceAll(/\*\*([^*]+)\*\*/g, (_all, strong: string) => paint("bold", strong))
    .replaceAll(/(?<![\w*])_([^_]+)_(?!\w)/g, "$1");
}

/** A text without its markup. */
export const plainText = (text: string): string => inline(text, (_format, painted) => painted);
