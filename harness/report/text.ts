import { stripVTControlCharacters, styleText } from "node:util";

type Format = Parameters<typeof styleText>[0];

/** Colours a text, or leaves it as it is where colours aren't wanted. */
export type Paint = (format: Format, text: string) => string;

/** Colours as the stream takes them: NO_COLOR, FORCE_COLOR and a pipe are honoured. */
export function paintFor(stream: NodeJS.WriteStream): Paint {
  return (format, text) => (text === "" ? "" : styleText(format, text, { stream }));
}

/** No colours at all. */
export const plain: Paint = (_format, text) => text;

/** Columns that reports take: the terminal's as far as lines stay readable, and COLUMNS or 120 in a pipe. */
export function columnsFor(stream: NodeJS.WriteStream): number {
  const columns = stream.isTTY ? stream.columns : Number(process.env["COLUMNS"]);
  return Math.max(60, Math.min(140, columns > 0 ? columns : 120));
}

/** Characters that take two columns in a terminal: CJK, full-width forms, most emoji (after Unicode's East Asian Width). */
const wide =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1f64f}\u{1f900}-\u{1f9ff}\u{20000}-\u{3fffd}]/u;
const noWidth = /[\p{Mn}\p{Me}\p{Cf}]/u;

/** Columns that a text takes in a terminal. */
export function widthOf(text: string): number {
  let width = 0;
  for (const character of stripVTControlCharacters(text)) {
    if (!noWidth.test(character)) width += wide.test(character) ? 2 : 1;
  }
  return width;
}

/** Fills up to a width, on the right or on the left. */
export function pad(text: string, width: number, align: "left" | "right" = "left"): string {
  const space = " ".repeat(Math.max(0, width - widthOf(text)));
  return align === "left" ? text + space : space + text;
}

/** Cuts a plain text to a width, with an ellipsis where something is missing. */
export function cut(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  let kept = "";
  let used = 0;
  for (const character of text) {
    used += widthOf(character);
    if (used > width - 1) break;
    kept += character;
  }
  return `${kept}…`;
}

/** Breaks a plain text into lines: between words, and between any two CJK characters. */
export function wrap(text: string, width: number): readonly string[] {
  const pieces = text.split(/(?<=\s)|(?=[\u3400-\u9fff])|(?<=[\u3400-\u9fff，。：；、])(?![，。：；、）])/u);
  const lines: string[] = [];
  let line = "";
  for (const piece of pieces) {
    if (line !== "" && widthOf(line + piece.trimEnd()) > width) {
      lines.push(line.trimEnd());
      line = "";
    }
    line += piece;
  }
  if (line.trim() !== "") lines.push(line.trimEnd());
  return lines;
}

export interface Column {
  readonly align?: "left" | "right";
  /** Where there is no room for all, the column with the highest of these is left out first. Default: never. */
  readonly spare?: number;
}

/** Rows of painted cells in columns; a column without any text is left out, and those that can be spared if need be. */
export function table(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  widthMax = Infinity,
): readonly string[] {
  let shown = columns
    .map((column, index) => ({ ...column, index, width: Math.max(0, ...rows.map((row) => widthOf(row[index] ?? ""))) }))
    .filter(({ width }) => width > 0);
  const total = (): number => shown.reduce((sum, { width }) => sum + width + 2, -2);
  while (total() > widthMax && shown.some(({ spare }) => spare !== undefined)) {
    const most = Math.max(...shown.map(({ spare = -Infinity }) => spare));
    shown = shown.filter(({ spare }) => spare !== most);
  }
  return rows.map((row) =>
    shown
      .map(({ index, width, align }) => pad(row[index] ?? "", width, align))
      .join("  ")
      .trimEnd(),
  );
}

const levels = "▁▂▃▄▅▆▇█";

/** One character a value, from ▁ to █ at `max`; nothing is a dot. */
export function sparkline(values: readonly number[], max = Math.max(...values)): string {
  return values
    .map((value) => {
      if (!(value > 0)) return "·";
      return levels[Math.min(levels.length - 1, Math.floor((value / max) * levels.length))]!;
    })
    .join("");
}

const eighths = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/** A horizontal bar, exact to an eighth of a column. */
export function bar(fraction: number, width: number): string {
  const units = Math.round(Math.min(1, Math.max(0, fraction)) * width * 8);
  return "█".repeat(Math.floor(units / 8)) + eighths[units % 8]!;
}
