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

const turns = new WeakMap<FleetNode, Promise<void>>();

/** Stops and starts of one node come one after the other: who is to stop while it restarts stops when it is back. */
export function inTurn(node: FleetNode, work: () => Promise<void>): Promise<void> {
  const own = (turns.get(node) ?? Promise.resolve()).then(work);
  turns.set(node, own);
  return own;
}

/** Starts again what was killed. */
export const restart = (fleet: RunningFleet, ids: readonly string[]): Promise<void> =>
  each(fleet, ids, (node) => inTurn(node, () => node.restart()));
