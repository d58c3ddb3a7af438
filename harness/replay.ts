import type { RunOptions } from "./run-options.ts";
import type { Plan } from "./scenario/plan.ts";

/** The shell command that does the same run again. */
export function replayCommand(
  plan: Plan,
  options: Pick<RunOptions, "registry" | "coordinator" | "pack" | "sets" | "reference">,
): string {
  const sets = (options.sets ?? []).map((set) => ` --set ${quoted(set)}`);
  const load = plan.load === undefined ? "" : ` --load ${plan.load}`;
  const registry = options.registry === undefined ? "" : ` --registry ${options.registry}`;
  const coordinator = options.coordinator === undefined ? "" : ` --coordinator ${options.coordinator}`;
  const pack = plan.world !== "local" || options.pack === undefined ? "" : ` --pack ${options.pack}`;
  const name = quoted(options.reference ?? plan.scenario.name);
  return `npm run scenario -- ${name} --world ${plan.world}${load} --seed ${plan.seed}${registry}${coordinator}${pack}${sets.join("")}`;
}

/** As a shell takes it for one word. */
const quoted = (word: string): string => (/^[\w./=%-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`);
