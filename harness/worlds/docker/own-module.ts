import { existsSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";

import type { NodePlan } from "../../scenario/plan.ts";
import type { ContainerSpec } from "./container.ts";

/** Where a container has the project of a module of the user's own. */
const mountPoint = "/own";

/** What a node needs to find its module in its container; undefined: it is none of the user's own. */
export function ownModule({
  config,
}: NodePlan): { readonly config: object; readonly mount: NonNullable<ContainerSpec["mounts"]>[number] } | undefined {
  const own = config["own"] as { readonly file: string } | undefined;
  if (own === undefined) return undefined;
  const file = resolve(own.file);
  const project = projectOf(file);
  return {
    config: { ...own, file: join(mountPoint, relative(project, file)) },
    mount: { from: project, to: mountPoint },
  };
}

/** What may be imported from: the nearest directory above it that has a package.json; else its own. */
function projectOf(file: string): string {
  for (let at = dirname(file); ; at = dirname(at)) {
    if (existsSync(join(at, "package.json"))) return at;
    if (at === dirname(at)) return dirname(file);
  }
}
