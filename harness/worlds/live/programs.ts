import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { compileCache, containersCache } from "../../compile-cache.ts";
import type { NodePlan } from "../../scenario/plan.ts";
import { bundled } from "./bundle.ts";

const start = fileURLToPath(new URL("start.cjs", import.meta.url));
const source = fileURLToPath(new URL("../../../services/main.ts", import.meta.url));
/** Where this checkout has its programs in one piece. */
export const bundles = fileURLToPath(new URL("../../../.flyball/services", import.meta.url));
/** The checkout, as containers see it; they may only read it. */
export const projectMount = "/flyball";
export const bundlesInContainers = `${projectMount}/.flyball/services`;

/** What Node.js is started with, before a program's own arguments: options, and files by their whole paths on this machine. */
export type NodeArguments = readonly string[];

/** Types are stripped: a warning for each start would be all that a node prints. */
export const quietly = "--disable-warning=ExperimentalWarning";
/**
 * The first collection of the young generation would come while a node starts, and finds next to nothing that is garbage. With most other
 * flags of V8's, Node.js wouldn't use what was compiled of its own modules.
 */
const flags = [quietly, "--min-semi-space-size=8"];

/**
 * How a process with these nodes is started: `services/main.ts` in one piece, where that could be made. A module of the user's own
 * imports the runtime from its sources, and must find there the very classes that its node has.
 */
export async function programs(directory = bundles): Promise<(nodes: readonly NodePlan[]) => NodeArguments> {
  const whole = await bundled(source, directory, [compileCache, containersCache]);
  return (nodes) => {
    const hasOwn = nodes.some(({ config }) => config["own"] !== undefined);
    // A node that comes back finds nothing there when somebody has tidied up meanwhile.
    const files = whole === undefined || hasOwn || !existsSync(whole) ? [source] : [start, whole];
    return [...flags, ...files];
  };
}
