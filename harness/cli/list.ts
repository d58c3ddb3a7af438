import { table, type Paint } from "../report/text.ts";
import type { WorldName } from "../scenario/plan.ts";
import type { Scenario } from "../scenario/schema.ts";

/** A scenario and where it can run. */
export interface ListEntry {
  readonly scenario: Scenario;
  readonly worlds: readonly WorldName[];
}

/** The scenarios that there are, for people. */
export function listText(entries: readonly ListEntry[], paint: Paint): string {
  const rows = entries.flatMap(({ scenario: { name, title, tags }, worlds }) => [
    [paint("bold", name), title.en, paint("dim", tags.join(", ")), worlds.join(", ")],
    ["", paint("dim", title.zh), "", ""],
  ]);
  const titles = ["name", "title", "tags", "worlds"].map((text) => paint("dim", text));
  return `${table([{}, {}, {}, {}], [titles, ...rows]).join("\n")}\n`;
}

/** The same for programs. */
export function listJson(entries: readonly ListEntry[]): string {
  const scenarios = entries.map(({ scenario: { name, title, tags }, worlds }) => ({ name, title, tags, worlds }));
  return `${JSON.stringify({ version: 1, scenarios }, null, 2)}\n`;
}
