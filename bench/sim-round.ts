// One round in a process of its own, as a user's run is: prints what it measured as JSON.
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { nodeHost } from "../harness/cli/host.ts";
import { runScenario } from "../harness/run.ts";
import { simWorld } from "../harness/worlds/sim/world.ts";
import { threadCpuUs } from "./cpu.ts";
import { fleet } from "./sim-fleet.ts";

export interface SimRound {
  readonly calls: number;
  /** Wall time until the load began, of the load itself with its history written, and of the judge. */
  readonly startMs: number;
  readonly loadMs: number;
  readonly judgeMs: number;
  /** What the simulating thread itself used of `loadMs`: on a busy machine it had to share. */
  readonly loadCpuMs: number;
  readonly historyBytes: number;
  readonly digest: string;
}

const [nodes, calls] = process.argv.slice(2).map(Number);
const out = await mkdtemp(join(tmpdir(), "flyball-bench-"));
try {
  const moments = { begunMs: performance.now(), loadMs: 0, judgeMs: 0, loadCpuMs: 0 };
  const { result } = await runScenario(fleet({ nodes: nodes!, calls: calls! }), {
    world: simWorld({ host: await nodeHost() }),
    seed: 1,
    out,
    onProgress: ({ phase }) => {
      if (phase === "running" && moments.loadMs === 0) {
        moments.loadMs = performance.now();
        moments.loadCpuMs = -threadCpuUs() / 1000;
      }
      if (phase === "judging") {
        moments.judgeMs = performance.now();
        moments.loadCpuMs += threadCpuUs() / 1000;
      }
    },
  });
  const endMs = performance.now();
  if (result.verdict !== "pass")
    throw new Error(`${result.verdict}: ${result.checks[0]?.message ?? result.reason ?? ""}`);
  const round: SimRound = {
    calls: result.calls.total,
    startMs: moments.loadMs - moments.begunMs,
    loadMs: moments.judgeMs - moments.loadMs,
    judgeMs: endMs - moments.judgeMs,
    loadCpuMs: moments.loadCpuMs,
    historyBytes: (await stat(join(out, "history.ndjson"))).size,
    digest: result.digest ?? "",
  };
  process.stdout.write(`${JSON.stringify(round)}\n`);
} finally {
  await rm(out, { recursive: true, force: true });
}
