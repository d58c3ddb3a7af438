import { randomBytes } from "node:crypto";
import { fileURLToPath } from "node:url";

import { removeInvocation } from "../harness/worlds/docker/clean.ts";
import { obstacleTo, openEngine } from "../harness/worlds/docker/engine.ts";
import { durableSeata, seataPort, startServer } from "../harness/worlds/docker/servers.ts";
import { systemClock } from "../runtime/node/clock.ts";
import { SeataClient } from "../runtime/node/seata/client.ts";
import { TestProgram } from "../runtime/node/testing/program.ts";
import { tripleTransport } from "../runtime/node/triple.ts";
import type { Coordinator } from "../runtime/ports/coordinator.ts";
import { silent } from "../runtime/ports/telemetry.ts";
import { createRandom } from "../runtime/random.ts";
import { CallLog } from "../runtime/telemetry/call-log.ts";
import { createEmbeddedCoordinator } from "../runtime/transactions/embedded.ts";
import { ratios, type Bench } from "./bench.ts";

const main = fileURLToPath(new URL("../services/main.ts", import.meta.url));
const clock = systemClock();
/** Transactions that are under way at a time. */
const concurrencies = [1, 32] as const;
const windowMs = 3_000;
const resourceId = "rows://bench";

/** A coordinator as its clients see it, and how to let go of it. */
interface Party {
  readonly coordinator: Coordinator;
  close(): Promise<void>;
}

/**
 * Global transactions a second: begin, one AT branch with a global lock, commit; each a round trip to a coordinator in a process of its
 * own, which has what it answers on its disk before it answers. Both are asked by the same code over the same port, with one connection.
 */
export const coordinator: Bench = {
  name: "coordinator",
  about: "global transactions a second, beside a real Seata server",

  run: async (rounds, progress) => {
    const reason = (await obstacleTo(openEngine()))?.message;
    progress("coordinator: starting the servers");
    const parties: { ours?: Party; seata?: Party } = {};
    try {
      parties.ours = await embedded();
      if (reason === undefined) parties.seata = await seata();
      const of = { ours: concurrencies.map((): number[] => []), seata: concurrencies.map((): number[] => []) };
      for (let round = 0; round <= rounds; round++) {
        for (const name of ["ours", "seata"] as const) {
          const party = parties[name];
          if (party === undefined) continue;
          for (const [index, concurrency] of concurrencies.entries()) {
            progress(`coordinator: round ${round} of ${rounds}, ${name}, ${concurrency} at a time`);
            const perSecond = await measure(party.coordinator, concurrency);
            // The first lets both engines compile.
            if (round > 0) of[name][index]!.push(perSecond);
          }
        }
      }
      const unit = "/s";
      const note = reason === undefined ? undefined : `skipped: ${reason}`;
      return concurrencies.flatMap((concurrency, index) => {
        const [ours, theirs] = [of.ours[index]!, of.seata[index]!];
        const target = concurrency > 1 ? "> 1" : undefined;
        return [
          { what: `ours, ${concurrency} at a time`, unit, values: ours },
          { what: `Seata, ${concurrency} at a time`, unit, values: theirs, note },
          { what: "  ours / Seata", unit: "×", values: ratios(ours, theirs), target, note },
        ];
      });
    } finally {
      await parties.ours?.close();
      await parties.seata?.close();
    }
  },
};

async function embedded(): Promise<Party> {
  const program = await TestProgram.start(main, "coordinator");
  const transport = tripleTransport({ clock });
  const coordinator = createEmbeddedCoordinator({
    ...{ clock, random: createRandom(1), transport, address: program.address },
    ...{ calls: new CallLog({ clock, telemetry: silent }), application: "bench", client: "bench/0" },
  });
  await coordinator.registerResource(resourceId, manager);
  return {
    coordinator,
    close: async () => {
      await coordinator.close();
      await transport.close();
      await program.close();
    },
  };
}

async function seata(): Promise<Party> {
  const docker = openEngine();
  const invocation = `bench-${randomBytes(3).toString("hex")}`;
  try {
    const server = await startServer(docker, durableSeata, { name: `flyball-${invocation}-seata`, invocation });
    const coordinator = new SeataClient({
      ...{ clock, random: createRandom(1), address: server.addressOf(seataPort), application: "bench" },
      dial: (address) => address,
    });
    await coordinator.registerResource(resourceId, manager);
    return {
      coordinator,
      close: async () => {
        await coordinator.close();
        await removeInvocation(docker, invocation);
      },
    };
  } catch (error) {
    await removeInvocation(docker, invocation);
    throw error;
  }
}

const manager = {
  commit: () => Promise.resolve("PhaseTwo_Committed" as const),
  rollback: () => Promise.resolve("PhaseTwo_Rollbacked" as const),
};

let row = 0;

async function measure(coordinator: Coordinator, concurrency: number): Promise<number> {
  const untilUs = clock.nowUs() + windowMs * 1000;
  const fromUs = clock.nowUs();
  let count = 0;
  const worker = async (): Promise<void> => {
    while (clock.nowUs() < untilUs) {
      const xid = await coordinator.begin({ name: "bench", timeoutMs: 60_000 });
      const branch = { xid, branchType: "AT", resourceId, lockKey: `accounts:${row++}`, applicationData: "" } as const;
      await coordinator.registerBranch(branch);
      const status = await coordinator.commit(xid);
      if (status !== "Committed") throw new Error(`a commit ended ${status}`);
      count++;
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  return (count / (clock.nowUs() - fromUs)) * 1e6;
}
