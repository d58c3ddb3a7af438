import { markdownTable } from "./markdown-table.ts";
import type { AgreementResult, Measured } from "./verdict.ts";

/** Every scenario's prediction beside its measurements, as one Markdown table. */
export function agreementMarkdown(agreements: readonly AgreementResult[]): string {
  const worlds = [...new Set(agreements.flatMap(({ reference, worlds: others }) => [reference, ...others]))];
  const titles = ["scenario", "seed", "quantity", ...worlds, "tolerance", "agrees"];
  const rows = agreements.flatMap((agreement) =>
    agreement.rows.map(({ quantity, expected, tolerance, measured }, index) => [
      // A scenario is named once: what stands below it belongs to it.
      index === 0 ? agreement.scenario : "",
      index === 0 ? String(agreement.seed) : "",
      quantity,
      ...worlds.map((world) =>
        world === agreement.reference ? expected : (measured.find((one) => one.world === world)?.value ?? ""),
      ),
      tolerance,
      verdictOf(measured),
    ]),
  );
  return markdownTable(titles, rows);
}

function verdictOf(measured: readonly Measured[]): string {
  const differing = measured.filter(({ agrees }) => !agrees);
  if (differing.length === 0) return "yes";
  return differing
    .map(({ world, doubt }) => (doubt === undefined ? `${world}: no` : `${world}: open, ${doubt}`))
    .join("; ");
}
