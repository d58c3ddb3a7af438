import type { FleetNode, RunningFleet } from "../worlds/world.ts";

/** The same for each of these nodes, at the same time. */
export async function each(
  fleet: RunningFleet,
  ids: readonly string[],
  act: (node: FleetNode) => Promise<void>,
): Promise<void> {
  await Promise.all(
    ids.map(async (id) => {
      const node = fleet.nodes.get(id);
      if (node === undefined) throw new Error(`the fleet has no node ${id}`);
      await act(node);
    }),
  );
}
