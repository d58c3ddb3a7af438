import { fileURLToPath } from "node:url";

import { ratios, type Bench } from "./bench.ts";
import { measured } from "./child.ts";
import type { PipelineRound } from "./pipeline-round.ts";

const windows = 10;
const callsPerWindow = 1_000;
const roundFile = fileURLToPath(new URL("pipeline-round.ts", import.meta.url));

/**
 * A unary call of 100 bytes over loopback, 16 under way at a time: CPU time of the caller and the server together. Bare @grpc/grpc-js has a
 * deadline; the governed call has everything that a service would have switched on (`pipeline-parties.ts`).
 */
export const pipeline: Bench = {
  name: "pipeline",
  about: "CPU of a governed call, beside a bare call of @grpc/grpc-js",

  run: async (rounds, progress) => {
    const all: PipelineRound[] = [];
    for (let round = 1; round <= rounds; round++) {
      progress(`pipeline: round ${round} of ${rounds}`);
      all.push(
        await measured<PipelineRound>(process.execPath, [
          "--expose-gc",
          roundFile,
          String(windows),
          String(callsPerWindow),
        ]),
      );
    }
    const of = (party: keyof PipelineRound): readonly number[] => all.map((round) => round[party]);
    const [bare, ungoverned, governed] = [of("bare"), of("ungoverned"), of("governed")];
    const unit = "µs";
    return [
      { what: "a bare call of @grpc/grpc-js", unit, values: bare },
      { what: "our transport alone", unit, values: ungoverned },
      { what: "governed", unit, values: governed },
      { what: "governed, with metrics", unit, values: of("metrics") },
      { what: "governed, with every call traced", unit, values: of("tracing") },
      { what: "governed / bare", unit: "×", values: ratios(governed, bare), target: "≤ 1.15" },
      { what: "our transport alone / bare", unit: "×", values: ratios(ungoverned, bare) },
      { what: "governed / our transport alone", unit: "×", values: ratios(governed, ungoverned) },
      { what: "with metrics / governed", unit: "×", values: ratios(of("metrics"), governed) },
      { what: "traced / governed", unit: "×", values: ratios(of("tracing"), governed) },
    ];
  },
};
