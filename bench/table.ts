import { spread, type Figure } from "./bench.ts";

/** Figures as aligned text: median, spread, unit, target. */
export function table(figures: readonly Figure[]): string {
  const rows = figures.map(row);
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((cells) => cells[column]!.length)));
  return rows
    .map(([what, median, range, rest]) =>
      `  ${what!.padEnd(widths[0]!)}  ${median!.padStart(widths[1]!)}  ${range!.padEnd(widths[2]!)}  ${rest!}`.trimEnd(),
    )
    .join("\n");
}

function row({ what, unit, values, target, note }: Figure): readonly string[] {
  const rest = [unit, target && `target ${target}`, note].filter((part) => part !== undefined).join("  ");
  if (values.length === 0) return [what, "–", "", note ?? ""];
  const { median, min, max } = spread(values);
  return [what, number(median), min === max ? "" : `(${number(min)} – ${number(max)})`, rest];
}

/** Three digits that mean something, and thousands set apart. */
function number(value: number): string {
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return value.toFixed(Number.isInteger(value) ? 0 : digits).replace(/\B(?=(\d{3})+$)/g, ",");
}
