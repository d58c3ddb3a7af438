import { fileURLToPath } from "node:url";

import { ratios, type Bench, type Figure } from "./bench.ts";
import { finish, measured } from "./child.ts";
import type { SimRound } from "./sim-round.ts";

const calls = 300_000;
const peerCalls = 60_000;
const roundFile = fileURLToPath(new URL("sim-round.ts", import.meta.url));
const peerFile = fileURLToPath(new URL("peers/rpc.py", import.meta.url));

/**
 * Governed calls per second: each goes through consumer, filters, directory, routers, p2c, transport, network and the
 * provider's queue, with the digest made and its records written to a file. From the start of the load to its last call, in
 * wall time; each round in a process of its own.
 */
export const sim: Bench = {
  name: "sim",
  about: "governed calls per second in the simulator, against a bare RPC in SimPy",

  run: async (rounds, progress) => {
    const reason = await whyNoPeer();
    const small: SimRound[] = [];
    const large: SimRound[] = [];
    const peer: number[] = [];
    for (let round = 1; round <= rounds; round++) {
      progress(`sim: round ${round} of ${rounds}, 1,000 nodes`);
      small.push(await simulate(1_000));
      if (reason === undefined) {
        progress(`sim: round ${round} of ${rounds}, SimPy`);
        peer.push(await simPy());
      }
      progress(`sim: round ${round} of ${rounds}, 10,000 nodes`);
      large.push(await simulate(10_000));
    }
    return figures(small, large, peer, reason);
  },
};

function figures(
  small: readonly SimRound[],
  large: readonly SimRound[],
  peer: readonly number[],
  whyNoPeer: string | undefined,
): readonly Figure[] {
  const unit = "calls/s";
  const skipped = whyNoPeer === undefined ? undefined : `skipped: ${whyNoPeer}`;
  return [
    { what: "1,000 nodes", unit, values: small.map(perSecond), target: "≥ 50,000" },
    { what: "10,000 nodes", unit, values: large.map(perSecond) },
    {
      what: "10,000 nodes / 1,000 nodes",
      unit: "×",
      values: ratios(large.map(perSecond), small.map(perSecond)),
      target: "≥ 0.5",
    },
    { what: "SimPy, a bare RPC, 1,000 nodes", unit, values: peer, note: skipped },
    { what: "1,000 nodes / SimPy", unit: "×", values: ratios(small.map(perSecond), peer), note: skipped },
    { what: "1,000 nodes, its own CPU time only", unit, values: small.map(perCpuSecond) },
    { what: "10,000 nodes, its own CPU time only", unit, values: large.map(perCpuSecond) },
    { what: "1,000 nodes, until the load begins", unit: "ms", values: small.map(({ startMs }) => startMs) },
    { what: "10,000 nodes, until the load begins", unit: "ms", values: large.map(({ startMs }) => startMs) },
    { what: "1,000 nodes, judging", unit: "ms", values: small.map(({ judgeMs }) => judgeMs) },
    {
      what: "one seed, one digest",
      unit: "digests",
      values: [small, large].map((runs) => new Set(runs.map(({ digest }) => digest)).size),
      target: "1",
    },
  ];
}

const perSecond = ({ calls, loadMs }: SimRound): number => (calls / loadMs) * 1000;
const perCpuSecond = ({ calls, loadCpuMs }: SimRound): number => (calls / loadCpuMs) * 1000;

function simulate(nodes: number): Promise<SimRound> {
  return measured<SimRound>(process.execPath, [roundFile, String(nodes), String(calls)]);
}

async function simPy(): Promise<number> {
  const { rpcs, ms } = await measured<{ rpcs: number; ms: number }>("python3", [peerFile, "1000", String(peerCalls)]);
  return (rpcs / ms) * 1000;
}

async function whyNoPeer(): Promise<string | undefined> {
  try {
    const { exitCode } = await finish("python3", ["-c", "import simpy"]);
    return exitCode === 0 ? undefined : "python3 has no simpy (pip install simpy)";
  } catch {
    return "there is no python3";
  }
}
