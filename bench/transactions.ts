import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { systemClock } from "../runtime/node/clock.ts";
import { directoryDisk } from "../runtime/node/disk.ts";
import type { Coordinator } from "../runtime/ports/coordinator.ts";
import type { DataSource, LocalTransaction, Table } from "../runtime/ports/data-source.ts";
import type { Disk } from "../runtime/ports/disk.ts";
import { silent } from "../runtime/ports/telemetry.ts";
import { AtResource } from "../runtime/transactions/at/at.ts";
import { openRowStore } from "../runtime/transactions/row-store.ts";
import { saga, type Saga } from "../runtime/transactions/saga/definition.ts";
import { doOnce } from "../runtime/transactions/saga/participant.ts";
import { Sagas } from "../runtime/transactions/saga/saga.ts";
import { TccResource } from "../runtime/transactions/tcc/tcc.ts";
import { coordinatorInProcess } from "../services/coordinator/testing.ts";
import { ratios, type Bench } from "./bench.ts";

const table: Table = { name: "accounts", columns: { id: "integer", amount: "integer" }, key: ["id"] };
const clock = systemClock();

/** What each mode adds to a local transaction that reads a row and writes it. The coordinator is in the same process. */
export const transactions: Bench = {
  name: "transactions",
  about: "a local transaction alone, as a branch of AT, as steps of TCC and as a step of a saga",

  run: async (rounds, progress) => {
    const all = places.map(() => [] as Measured[]);
    for (let round = 1; round <= rounds; round++) {
      for (const [index, { what, disks, times }] of places.entries()) {
        progress(`transactions: ${what}, round ${round} of ${rounds}`);
        await disks(async (disk) => void all[index]!.push(await measure(disk, times)));
      }
    }
    return places.flatMap(({ what }, index) => {
      const of = (figure: keyof Measured): readonly number[] => all[index]!.map((measured) => measured[figure]);
      const line = (text: string, figure: keyof Measured) => [
        { what: `${what}: ${text}`, unit: "µs", values: of(figure) },
        { what: "  / local transaction", unit: "×", values: ratios(of(figure), of("bareUs")) },
      ];
      return [
        { what: `${what}: a local transaction`, unit: "µs", values: of("bareUs") },
        ...line("AT, a branch", "branchUs"),
        ...line("AT, begin, one branch, commit", "atUs"),
        ...line("TCC, a try", "tryUs"),
        ...line("TCC, a commit with its confirm", "confirmUs"),
        ...line("saga, of one step", "sagaUs"),
        ...line("saga, each further step", "stepUs"),
      ];
    });
  },
};

interface Measured {
  readonly bareUs: number;
  readonly branchUs: number;
  readonly atUs: number;
  readonly tryUs: number;
  readonly confirmUs: number;
  readonly sagaUs: number;
  readonly stepUs: number;
}

const places: readonly {
  readonly what: string;
  readonly disks: (use: (disk: DiskOf) => Promise<void>) => Promise<void>;
  readonly times: number;
}[] = [
  { what: "in memory", disks: (use) => use(() => forgetful), times: 4_000 },
  {
    what: "on this disk",
    disks: async (use) => {
      const folder = await mkdtemp(join(tmpdir(), "flyball-bench-"));
      await use((name) => directoryDisk(join(folder, name))).finally(() => rm(folder, { recursive: true }));
    },
    times: 200,
  },
];

type DiskOf = (name: string) => Disk;

/** A disk that costs nothing, so that what is left is the work itself. */
const forgetful: Disk = {
  read: () => Promise.resolve(undefined),
  append: () => Promise.resolve(),
  sync: () => Promise.resolve(),
  rename: () => Promise.resolve(),
  remove: () => Promise.resolve(),
};

/** What a measurement works with, and how often it does its work. */
interface Bank {
  readonly coordinator: Coordinator;
  readonly dataSource: DataSource;
  readonly times: number;
}

async function measure(disk: DiskOf, times: number): Promise<Measured> {
  const dataSource = await openRowStore(disk("rows"));
  const { open, stop } = await coordinatorInProcess({ clock, disk: disk("coordinator") });
  const bank = { coordinator: open(), dataSource, times };
  for (let id = 0; id < times; id++) await dataSource.transaction((local) => local.insert(table, { id, amount: 0 }));
  const measured = { ...(await measureAt(bank)), ...(await measureTcc(bank)), ...(await measureSaga(bank)) };
  await bank.coordinator.close();
  await stop();
  await dataSource.close();
  return measured;
}

async function measureAt({ coordinator, dataSource, times }: Bank) {
  const resource = new AtResource({ clock, telemetry: silent, coordinator, dataSource, resourceId: "rows://bench" });
  await resource.register();
  const transfer = (xid: string | undefined, id: number): Promise<void> =>
    resource.transaction({ xid }, (local) => credit(local, id));
  const bareUs = await timed(times, (index) => transfer(undefined, index));
  const xids = await begun(coordinator, times);
  const branchUs = await timed(times, (index) => transfer(xids[index], index));
  for (const xid of xids) await coordinator.commit(xid);
  const atUs = await timed(times, async (index) => {
    const xid = await begin(coordinator);
    await transfer(xid, index);
    await coordinator.commit(xid);
  });
  await resource.close();
  return { bareUs, branchUs, atUs };
}

async function measureTcc({ coordinator, dataSource, times }: Bank) {
  const action = {
    name: "bench.credit",
    try: (local: LocalTransaction, id: number) => credit(local, id),
    confirm: (local: LocalTransaction, id: number) => credit(local, id),
    cancel: (local: LocalTransaction, id: number) => credit(local, id),
  };
  const resource = new TccResource({ clock, coordinator, dataSource, action });
  await resource.register();
  const xids = await begun(coordinator, times);
  const tryUs = await timed(times, async (index) => {
    const xid = xids[index]!;
    await resource.try({ xid, branchId: await resource.begin(xid, index) }, index);
  });
  const confirmUs = await timed(times, (index) => coordinator.commit(xids[index]!));
  return { tryUs, confirmUs };
}

/** As many steps as a business may have, so that what each adds stands out from what a saga costs. */
const stepsMost = 5;

async function measureSaga({ coordinator, dataSource, times }: Bank) {
  const stepping = (steps: number): Saga<number, object> => {
    let made: Saga<number, object> = saga<number>(`bench ${steps}`);
    for (let number = 0; number < steps; number++) {
      made = made.step(`step ${number}`, {
        action: ({ input, xid, stepId }) =>
          doOnce(dataSource, { xid, stepId, action: "bench.credit", nowMs: clock.wallMs() }, (local) =>
            credit(local, input),
          ),
      });
    }
    return made;
  };
  const [short, long] = [stepping(1), stepping(stepsMost)];
  const sagas = new Sagas({
    ...{ clock, telemetry: silent, coordinator, dataSource, resourceId: "bench#default_tx_group", owner: "bench/0" },
    sagas: [short, long],
  });
  await sagas.register();
  const sagaUs = await timed(times, (index) => sagas.run(short, index));
  const longUs = await timed(times, (index) => sagas.run(long, index));
  return { sagaUs, stepUs: (longUs - sagaUs) / (stepsMost - 1) };
}

async function credit(local: LocalTransaction, id: number): Promise<void> {
  const found = await local.lock(table, { id });
  await local.update(table, { id, amount: Number(found!["amount"]) + 1 });
}

const begin = (coordinator: Coordinator): Promise<string> => coordinator.begin({ name: "bench", timeoutMs: 600_000 });

const begun = (coordinator: Coordinator, times: number): Promise<string[]> =>
  Promise.all(Array.from({ length: times }, () => begin(coordinator)));

async function timed(times: number, work: (index: number) => Promise<unknown>): Promise<number> {
  const fromUs = clock.nowUs();
  for (let index = 0; index < times; index++) await work(index);
  return (clock.nowUs() - fromUs) / times;
}
