import { fileURLToPath } from "node:url";

import type { Bench, Figure } from "./bench.ts";
import { measured } from "./child.ts";
import type { TransfersRound } from "./transfers-round.ts";

const minutes = 10;
const roundFile = fileURLToPath(new URL("transfers-round.ts", import.meta.url));

/**
 * Ten virtual minutes of a bank in which a thousand transfers are under way at any time, over 50 nodes: the whole run with its history on
 * the disk and its judge; each round in a process of its own.
 */
export const transfers: Bench = {
  name: "transfers",
  about: "10 virtual minutes of 1,000 concurrent transfers over 50 nodes in the simulator",

  run: async (rounds, progress) => {
    const figures: Figure[] = [];
    const modes = ["tcc", "at"] as const;
    const all = { tcc: [] as TransfersRound[], at: [] as TransfersRound[] };
    for (let round = 1; round <= rounds; round++) {
      for (const mode of modes) {
        progress(`transfers: round ${round} of ${rounds}, ${mode}`);
        all[mode].push(await measured<TransfersRound>(process.execPath, [roundFile, mode, String(minutes)]));
      }
    }
    for (const mode of modes) {
      const what = mode.toUpperCase();
      const [first] = all[mode];
      const note = `${first!.transfers} transfers, ${first!.failed} failed`;
      figures.push(
        { what, unit: "s", values: all[mode].map(({ wallMs }) => wallMs / 1000), target: "< 20", note },
        { what: `${what}, its own CPU time only`, unit: "s", values: all[mode].map(({ cpuMs }) => cpuMs / 1000) },
      );
    }
    const digests = modes.map((mode) => new Set(all[mode].map(({ digest }) => digest)).size);
    return [...figures, { what: "one seed, one digest", unit: "digests", values: digests, target: "1" }];
  },
};
