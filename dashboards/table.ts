import { balancing } from "./balancing.ts";
import type { Dashboard } from "./parts.ts";
import { protection } from "./protection.ts";
import { red } from "./red.ts";
import { registry } from "./registry.ts";
import { routing } from "./routing.ts";
import { transactions } from "./transactions.ts";

/** Every dashboard, by the name of its file in generated/. */
export const dashboards: Readonly<Record<string, Dashboard>> = {
  red,
  balancing,
  routing,
  protection,
  registry,
  transactions,
};

/** The files that Grafana reads, by name: what `npm run generate` writes. */
export function generatedFiles(): ReadonlyMap<string, string> {
  return new Map(
    Object.entries(dashboards).map(([name, built]) => [`${name}.json`, `${JSON.stringify(built, null, 2)}\n`]),
  );
}
