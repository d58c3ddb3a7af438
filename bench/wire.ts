import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

import { ratios, type Bench, type Figure } from "./bench.ts";
import type { WireReport, WireWindow } from "./wire-peer.ts";

const peerFile = fileURLToPath(new URL("wire-peer.ts", import.meta.url));
const stacks = ["ours", "framed", "grpc-js"] as const;
const windowMs = 700;

const loads = [
  { what: "100 B, 1 in flight", bytes: 100, inFlight: 1, speed: "≥ 7", cpu: undefined },
  { what: "100 B, 16 in flight", bytes: 100, inFlight: 16, speed: "≥ 8", cpu: "≤ 0.2" },
  { what: "100 B, 64 in flight", bytes: 100, inFlight: 64, speed: "≥ 8", cpu: "≤ 0.2" },
  { what: "10 KiB, 16 in flight", bytes: 10_240, inFlight: 16, speed: "≥ 5", cpu: undefined },
] as const;

/**
 * Calls through the whole runtime (metadata, a deadline, discovery, balancing, filters), one client process and one server process for each
 * transport, all warm, measured in turn: first a window of grpc-js, then one of each of ours.
 */
export const wire: Bench = {
  name: "wire",
  about: "governed calls over our HTTP/2 and framed TCP, beside the same calls over @grpc/grpc-js",

  run: async (rounds, progress) => {
    const peers = new Map<string, Pair>();
    try {
      for (const stack of stacks) peers.set(stack, await Pair.open(stack));
      const figures: Figure[] = [];
      for (const { what, bytes, inFlight, speed, cpu } of loads) {
        const seen = new Map(stacks.map((stack) => [stack, { perSecond: [] as number[], cpuUs: [] as number[] }]));
        // The first round warms all of them up.
        for (let round = 0; round <= rounds; round++) {
          progress(`wire: ${what}, round ${round} of ${rounds}`);
          for (const stack of ["grpc-js", "ours", "framed"] as const) {
            const measured = await peers.get(stack)!.measure({ bytes, inFlight, windowMs });
            if (round === 0) continue;
            seen.get(stack)!.perSecond.push(measured.perSecond);
            seen.get(stack)!.cpuUs.push(measured.cpuUs);
          }
        }
        const base = seen.get("grpc-js")!;
        for (const stack of stacks) {
          const { perSecond, cpuUs } = seen.get(stack)!;
          figures.push({ what: `${what}: ${stack}`, unit: "calls/s", values: perSecond });
          figures.push({ what: `  CPU of both sides`, unit: "µs/call", values: cpuUs });
          if (stack === "grpc-js") continue;
          const isOurs = stack === "ours";
          figures.push(
            {
              what: "  calls / grpc-js's",
              unit: "×",
              values: ratios(perSecond, base.perSecond),
              target: isOurs ? speed : undefined,
            },
            {
              what: "  CPU / grpc-js's",
              unit: "×",
              values: ratios(cpuUs, base.cpuUs),
              target: isOurs ? cpu : undefined,
            },
          );
        }
      }
      return figures;
    } finally {
      for (const pair of peers.values()) pair.close();
    }
  },
};

/** A client and a server of one transport, in processes of their own. */
class Pair {
  readonly #server: ChildProcess;
  readonly #client: ChildProcess;

  private constructor(server: ChildProcess, client: ChildProcess) {
    this.#server = server;
    this.#client = client;
  }

  static async open(stack: (typeof stacks)[number]): Promise<Pair> {
    const server = fork(peerFile, ["server", stack]);
    const [address] = (await once(server, "message")) as [string];
    const client = fork(peerFile, ["client", stack, address]);
    await once(client, "message");
    return new Pair(server, client);
  }

  async measure(window: WireWindow): Promise<{ readonly perSecond: number; readonly cpuUs: number }> {
    const before = await ask<WireReport>(this.#server, "report");
    const { calls, cpuUs } = await ask<WireReport>(this.#client, window);
    const after = await ask<WireReport>(this.#server, "report");
    return { perSecond: (calls * 1000) / window.windowMs, cpuUs: (cpuUs + after.cpuUs - before.cpuUs) / calls };
  }

  close(): void {
    this.#client.kill();
    this.#server.kill();
  }
}

async function ask<T>(child: ChildProcess, question: WireWindow | "report"): Promise<T> {
  const answer = once(child, "message") as Promise<[T]>;
  child.send(question);
  return (await answer)[0];
}
