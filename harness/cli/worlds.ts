import { didYouMean } from "../../services/nearest.ts";
import type { WorldName } from "../scenario/plan.ts";
import type { World } from "../worlds/world.ts";
import calibration from "../worlds/calibration.json" with { type: "json" };
import type { SimParameters } from "../worlds/sim/parameters.ts";
import type { Recording } from "../worlds/sim/recording.ts";
import { usageError } from "./errors.ts";

/** The worlds by name, each loaded when it is asked for: nobody pays for one that isn't used. */
const worlds: Readonly<Record<WorldName, (options: WorldOpenOptions) => Promise<World>>> = {
  sim: async ({ record }) => {
    const [{ simWorld }, { nodeHost }, { listenForUncaught }] = await Promise.all([
      import("../worlds/sim/world.ts"),
      import("./host.ts"),
      import("./uncaught.ts"),
    ]);
    return simWorld({
      host: await nodeHost(),
      parameters: calibration.parameters as Partial<SimParameters>,
      record,
      load: async (file) => (await import("../../runtime/node/modules.ts")).importModule(file, { isPortable: true }),
      listenForUncaught,
    });
  },
  local: async () => (await import("../worlds/local/world.ts")).localWorld(),
  docker: async () => (await import("../worlds/docker/world.ts")).dockerWorld(),
};

export interface WorldOpenOptions {
  /** `sim`: asked for a recording of every event at the start of each run. Default: none is made. */
  readonly record?: (() => Recording) | undefined;
}

export const worldNames = Object.keys(worlds) as readonly WorldName[];

/** Those in which a scenario runs when nobody says where. */
export const defaultWorlds: readonly WorldName[] = ["sim", "local"];

export async function openWorld(name: WorldName, options: WorldOpenOptions = {}): Promise<World> {
  return worlds[name](options);
}

/** The worlds that a command line names, in its order. */
export function parseWorlds(names: readonly string[]): readonly WorldName[] {
  for (const name of names) {
    if (!worldNames.includes(name as WorldName)) {
      throw usageError(`there is no world "${name}"; there is ${worldNames.join(", ")}`, didYouMean(name, worldNames));
    }
  }
  return [...new Set(names as readonly WorldName[])];
}
