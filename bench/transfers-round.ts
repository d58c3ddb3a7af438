// One round in a process of its own: prints what it measured as JSON.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { nodeHost } from "../harness/cli/host.ts";
import { runScenario } from "../harness/run.ts";
import { simWorld } from "../harness/worlds/sim/world.ts";
import { bankModes } from "../services/bank/mode.ts";
import { transfers } from "./transfers-fleet.ts";

const [modeName, minutes] = process.argv.slice(2);
const mode = bankModes.find((known) => known === modeName)!;
const out = await mkdtemp(join(tmpdir(), "flyball-bench-"));
const marks: Record<string, number> = {};
const cpu: Record<string, number> = {};
function cpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

try {
  const begunMs = performance.now();
  const { result } = await runScenario(transfers(mode, Number(minutes)), {
    ...{ world: simWorld({ host: await nodeHost() }), seed: 1, out },
    onProgress: ({ phase }) => { marks[phase] ??= performance.now() - begunMs; cpu[phase] ??= cpuMs(); },
  });
  marks['end'] = performance.now() - begunMs; cpu['end'] = cpuMs();
  process.stdout.write(`${JSON.stringify({ marks, cpu, verdict: result.verdict, calls: result.calls, checks: result.checks.map(c => [c.name, c.verdict, c.message]), reason: result.reason })}\n`);
} finally {
  await rm(out, { recursive: true, force: true });
}
