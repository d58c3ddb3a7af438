import { openWorld } from "../cli/worlds.ts";
import type { FaultResult, RunResult } from "../report/verdict.ts";
import type { FleetNode, World } from "../worlds/world.ts";

export const faultOf = ({ result }: { readonly result: RunResult }, kind: string): FaultResult =>
  result.faults.find((fault) => fault.kind === kind)!;

/** The simulator with a harness whose orders come to nothing: nodes aren't disturbed, documents aren't published. */
export async function idleWorld(): Promise<World> {
  const world = await openWorld("sim");
  return {
    ...world,
    run: (plan, options, main) =>
      world.run(plan, options, (fleet) =>
        main({
          clock: fleet.clock,
          nodes: new Map([...fleet.nodes].map(([id, node]) => [id, idle(node)])),
          link: (from, to) => fleet.link(from, to),
          publish: async () => undefined,
          digest: () => fleet.digest!(),
        }),
      ),
  };
}

/** What ends what it began. */
const orders = ["disturb", "skew", "breakDisk"];

function idle(node: FleetNode): FleetNode {
  return new Proxy(node, {
    get: (target, name) => {
      if (orders.includes(String(name))) return async () => async () => undefined;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  });
}
