import { randomInt } from "node:crypto";

import type Docker from "dockerode";

import { worldErrorOf } from "./container.ts";
import { reasonOf } from "./engine.ts";
import { label, ownerOfThis } from "./labels.ts";

/** A network of an invocation's own: nobody else's containers are on it. */
export interface Network {
  readonly name: string;
  /** The address for the `index`th node, from 0 on; the engine itself gives away others. */
  addressOf(index: number): string;
  /** Takes a container off it, and brings it back at the same address. */
  disconnect(containerId: string): Promise<void>;
  connect(containerId: string, address: string): Promise<void>;
}

const attemptsMax = 30;
/** A /20 has 4,096 addresses; the engine chooses from its upper half. */
const nodesMax = 2_000;

/** Makes the network, in a range that nothing else of the engine uses. */
export async function createNetwork(docker: Docker, invocation: string): Promise<Network> {
  const name = `flyball-${invocation}`;
  for (let attempt = 1; ; attempt++) {
    const prefix = `10.${randomInt(200, 255)}`;
    const block = 16 * randomInt(16);
    try {
      const network = await docker.createNetwork({
        Name: name,
        Driver: "bridge",
        IPAM: {
          Driver: "default",
          Config: [{ Subnet: `${prefix}.${block}.0/20`, IPRange: `${prefix}.${block + 8}.0/21` }],
        },
        Labels: { [label.invocation]: invocation, [label.owner]: ownerOfThis(), [label.role]: "network" },
      });
      return {
        name,
        addressOf: (index) => {
          if (index >= nodesMax) throw new RangeError(`a network has room for ${nodesMax} nodes`);
          // From .0.10 on: the first few are the gateway's and the engine's.
          const number = index + 10;
          return `${prefix}.${block + Math.floor(number / 256)}.${number % 256}`;
        },
        disconnect: async (containerId) => void (await network.disconnect({ Container: containerId })),
        connect: async (containerId, address) =>
          void (await network.connect({
            Container: containerId,
            EndpointConfig: { IPAMConfig: { IPv4Address: address } },
          })),
      };
    } catch (error) {
      const isTaken = /overlap|pool|conflicts/i.test(reasonOf(error));
      if (!isTaken || attempt === attemptsMax) throw worldErrorOf(error, "a network for the fleet can't be made");
    }
  }
}
