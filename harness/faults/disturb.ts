import type { Disturbance } from "../../services/disturbance.ts";
import type { RunningFleet } from "../worlds/world.ts";
import type { Lift } from "./links.ts";

/** The node that an embedded registry is. */
export const registryNode = "registry/0";

/** Breaks each of these nodes in the same way from inside; the answer ends it. */
export async function disturb(fleet: RunningFleet, nodes: readonly string[], disturbance: Disturbance): Promise<Lift> {
  const settles = await Promise.all(
    nodes.map((id) => {
      const node = fleet.nodes.get(id);
      if (node === undefined) throw new Error(`the fleet has no node ${id}`);
      return node.disturb(disturbance);
    }),
  );
  return async () => {
    await Promise.all(settles.map((settle) => settle()));
  };
}
