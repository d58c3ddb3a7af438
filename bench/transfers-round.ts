// One round in a process of its own, as a user's run is: prints what it measured as JSON.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { nodeHost } from "../harness/cli/host.ts";
import { runScenario } from "../harness/run.ts";
import { simWorld } from "../harness/worlds/sim/world.ts";
import { bankModes } from "../services/bank/mode.ts";
import { threadCpuUs } from "./cpu.ts";
import { bankUnderLoad } from "./transfers-fleet.ts";

export interface TransfersRound {
  readonly transfers: number;
  readonly failed: number;
  /** Wall time of the whole run: its start, the load, what is left of transactions then, and the judge. */
  readonly wallMs: number;
  /** What the simulating thread itself used of it: on a busy machine it had to share. */
  readonly cpuMs: number;
  readonly digest: string;
}

const [modeName, minutes] = process.argv.slice(2);
const out = await mkdtemp(join(tmpdir(), "flyball-bench-"));
try {
  const mode = bankModes.find((known) => known === modeName)!;
  const [begunMs, begunCpuMs] = [performance.now(), threadCpuUs() / 1000];
  const { result } = await runScenario(bankUnderLoad(mode, Number(minutes)), {
    world: simWorld({ host: await nodeHost() }),
    seed: 1,
    out,
  });
  if (result.verdict !== "pass") {
    const failed = result.checks.find(({ verdict }) => verdict !== "pass");
    throw new Error(`${result.verdict}: ${failed?.message ?? result.reason ?? ""}`);
  }
  const round: TransfersRound = {
    transfers: result.calls.total,
    failed: result.calls.failed,
    wallMs: performance.now() - begunMs,
    cpuMs: threadCpuUs() / 1000 - begunCpuMs,
    digest: result.digest ?? "",
  };
  process.stdout.write(`${JSON.stringify(round)}\n`);
} finally {
  await rm(out, { recursive: true, force: true });
}
