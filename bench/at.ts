import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { systemClock } from "../runtime/node/clock.ts";
import { directoryDisk } from "../runtime/node/disk.ts";
import type { Disk } from "../runtime/ports/disk.ts";
import type { Table } from "../runtime/ports/data-source.ts";
import { silent } from "../runtime/ports/telemetry.ts";
import { AtResource } from "../runtime/transactions/at/at.ts";
import { openRowStore } from "../runtime/transactions/row-store.ts";
import { coordinatorInProcess } from "../services/coordinator/testing.ts";
import { ratios, type Bench, type Figure } from "./bench.ts";

const table: Table = { name: "accounts", columns: { id: "integer", amount: "integer" }, key: ["id"] };

/** What AT adds to a local transaction that reads a row and writes it. */
export const at: Bench = {
  name: "at",
  about: "a local transaction as a branch of AT, beside the same transaction alone",

  run: async (rounds, progress) => {
    const figures: Figure[] = [];
    for (const { what, disks, times } of places) {
      const [bare, branch, whole]: [number[], number[], number[]] = [[], [], []];
      for (let round = 1; round <= rounds; round++) {
        progress(`at: ${what}, round ${round} of ${rounds}`);
        await disks(async (disk) => {
          const measured = await measure(disk, times);
          bare.push(measured.bareUs);
          branch.push(measured.branchUs);
          whole.push(measured.wholeUs);
        });
      }
      figures.push(
        { what: `${what}: a local transaction`, unit: "µs", values: bare },
        { what: `${what}: the same as a branch`, unit: "µs", values: branch },
        { what: "  branch / local transaction", unit: "×", values: ratios(branch, bare) },
        { what: `${what}: begin, one branch, commit`, unit: "µs", values: whole },
      );
    }
    return figures;
  },
};

const places: readonly {
  readonly what: string;
  readonly disks: (use: (disk: (name: string) => Promise<Disk>) => Promise<void>) => Promise<void>;
  readonly times: number;
}[] = [
  { what: "in memory", disks: (use) => use(() => Promise.resolve(forgetful)), times: 5_000 },
  {
    what: "on this disk",
    disks: async (use) => {
      const folder = await mkdtemp(join(tmpdir(), "flyball-bench-"));
      await use((name) => Promise.resolve(directoryDisk(join(folder, name)))).finally(() =>
        rm(folder, { recursive: true }),
      );
    },
    times: 200,
  },
];

/** A disk that costs nothing, so that what is left is the work itself. */
const forgetful: Disk = {
  read: () => Promise.resolve(undefined),
  append: () => Promise.resolve(),
  sync: () => Promise.resolve(),
  rename: () => Promise.resolve(),
  remove: () => Promise.resolve(),
};

async function measure(
  disk: (name: string) => Promise<Disk>,
  times: number,
): Promise<{ readonly bareUs: number; readonly branchUs: number; readonly wholeUs: number }> {
  const clock = systemClock();
  const dataSource = await openRowStore(await disk("rows"));
  const { open, stop } = await coordinatorInProcess({ clock, disk: await disk("coordinator") });
  const coordinator = open();
  const resource = new AtResource({ clock, telemetry: silent, coordinator, dataSource, resourceId: "rows://bench" });
  await resource.register();
  for (let id = 0; id < times; id++) await dataSource.transaction((local) => local.insert(table, { id, amount: 0 }));
  const transfer = (xid: string | undefined, id: number): Promise<void> =>
    resource.transaction({ xid }, async (local) => {
      const found = await local.lock(table, { id });
      await local.update(table, { id, amount: Number(found!["amount"]) + 1 });
    });
  const timed = async (work: (index: number) => Promise<unknown>): Promise<number> => {
    const fromUs = clock.nowUs();
    for (let index = 0; index < times; index++) await work(index);
    return (clock.nowUs() - fromUs) / times;
  };
  const begun = (): Promise<string> => coordinator.begin({ name: "bench", timeoutMs: 600_000 });
  const bareUs = await timed((index) => transfer(undefined, index));
  const xids = await Promise.all(Array.from({ length: times }, begun));
  const branchUs = await timed((index) => transfer(xids[index], index));
  for (const xid of xids) await coordinator.commit(xid);
  const wholeUs = await timed(async (index) => {
    const xid = await begun();
    await transfer(xid, index);
    await coordinator.commit(xid);
  });
  await resource.close();
  await stop();
  await dataSource.close();
  return { bareUs, branchUs, wholeUs };
}
