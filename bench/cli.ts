import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import type { InvocationResult } from "../harness/report/verdict.ts";
import { ratios, type Bench, type Figure } from "./bench.ts";
import { finish } from "./child.ts";

const mainFile = fileURLToPath(new URL("../harness/cli/main.ts", import.meta.url));

/** How long the command line takes to answer, and the tour to be over. */
export const cli: Bench = {
  name: "cli",
  about: "the time of --help, against a bare Node.js, and of the tour",

  run: async (rounds, progress) => {
    const help: number[] = [];
    const bare: number[] = [];
    for (let round = 1; round <= rounds; round++) {
      progress(`cli: round ${round} of ${rounds}`);
      help.push((await finish(process.execPath, [mainFile, "--help"])).wallMs);
      bare.push((await finish(process.execPath, ["-e", "0"])).wallMs);
    }
    progress("cli: the tour");
    return [
      { what: "--help", unit: "ms", values: help, target: "< 300" },
      { what: "node -e 0", unit: "ms", values: bare },
      { what: "--help / node -e 0", unit: "×", values: ratios(help, bare) },
      ...(await tour()),
    ];
  },
};

async function tour(): Promise<readonly Figure[]> {
  const out = await mkdtemp(join(tmpdir(), "flyball-bench-"));
  try {
    const { exitCode, stdout, stderr, wallMs } = await finish(process.execPath, [
      mainFile,
      "run",
      "--json",
      "--out",
      out,
    ]);
    if (stdout === "")
      return [{ what: "the tour", unit: "s", values: [], note: `ended with ${exitCode}: ${stderr.trim()}` }];
    const { verdict, runs } = JSON.parse(stdout) as InvocationResult;
    return [
      { what: "the tour", unit: "s", values: [wallMs / 1000], target: "< 60", note: verdict },
      ...runs.map((run) => ({
        what: `  ${run.scenario} in ${run.world}`,
        unit: "s",
        values: [run.wallMs / 1000],
        note: run.verdict,
      })),
    ];
  } finally {
    await rm(out, { recursive: true, force: true });
  }
}
