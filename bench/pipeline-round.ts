// One round in a process of its own: every party's CPU time of a call, in windows that take turns. Prints them as JSON.
import { bare, governed, ungoverned, type Party } from "./pipeline-parties.ts";

/** Microseconds of CPU a call, of its client and its server together. */
export interface PipelineRound {
  readonly bare: number;
  readonly ungoverned: number;
  readonly governed: number;
  readonly metrics: number;
  readonly tracing: number;
}

const [windows, callsPerWindow] = process.argv.slice(2).map(Number);
/** Calls that are under way at a time. */
const concurrency = 16;
/** Windows before those that count. */
const warmUps = 5;
const payload = "x".repeat(100);

const parties: Readonly<Record<keyof PipelineRound, Party>> = {
  bare: await bare(),
  ungoverned: await ungoverned(),
  governed: await governed(),
  metrics: await governed({ metrics: true }),
  tracing: await governed({ tracing: true }),
};
const names = Object.keys(parties) as (keyof PipelineRound)[];
const cpuUs = Object.fromEntries(names.map((name) => [name, 0])) as Record<keyof PipelineRound, number>;

// The first let the engine compile.
for (let window = -warmUps; window < windows!; window++) {
  for (let turn = 0; turn < names.length; turn++) {
    // Everybody comes after everybody else, and nobody collects another one's garbage.
    const name = names[(turn + warmUps + window) % names.length]!;
    gc?.();
    const tookUs = await one(parties[name]);
    if (window >= 0) cpuUs[name] += tookUs;
  }
}
await Promise.all(names.map((name) => parties[name].close()));
const each = Object.fromEntries(names.map((name) => [name, cpuUs[name] / windows! / callsPerWindow!]));
process.stdout.write(`${JSON.stringify(each)}\n`);

async function one(party: Party): Promise<number> {
  const { user, system } = process.cpuUsage();
  let left = callsPerWindow!;
  const caller = async (): Promise<void> => {
    while (left-- > 0) await party.call(payload);
  };
  await Promise.all(Array.from({ length: concurrency }, caller));
  const after = process.cpuUsage();
  return after.user + after.system - user - system;
}
