import { randomBytes } from "node:crypto";

import { didYouMean } from "../../services/nearest.ts";
import type { LoadDriver } from "../load/driver.ts";
import type { LoadName } from "../scenario/plan.ts";
import { usageError } from "./errors.ts";

export const loadNames: readonly LoadName[] = ["builtin", "k6"];

/** Who makes the calls, as a command line names it. */
export function parseLoad(name: string): LoadName {
  if (loadNames.includes(name as LoadName)) return name as LoadName;
  throw usageError(`there is no load "${name}"; there is ${loadNames.join(", ")}`, didYouMean(name, loadNames));
}

/** The load generator outside of the fleet, loaded when it is asked for; undefined where the consumers make the calls. */
export async function openLoad(name: LoadName): Promise<LoadDriver | undefined> {
  if (name === "builtin") return undefined;
  const [{ k6Load }, { label, ownerOfThis }, { engineHost }, { Guardian }] = await Promise.all([
    import("../load/k6/k6.ts"),
    import("../worlds/docker/labels.ts"),
    import("../worlds/docker/engine.ts"),
    import("../worlds/live/guardian.ts"),
  ]);
  const invocation = `load-${randomBytes(4).toString("hex")}`;
  return k6Load({
    guard: ({ pid, isContainer }) => {
      const guardian = new Guardian();
      guardian.process(pid);
      if (isContainer) guardian.containers(invocation, engineHost());
      return () => guardian.close();
    },
    labels: { [label.invocation]: invocation, [label.owner]: ownerOfThis(), [label.role]: "k6" },
  });
}
