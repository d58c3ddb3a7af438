import { afterAll, beforeAll, describe, test } from "vitest";

import { systemClock } from "../../../runtime/node/clock.ts";
import { postgresDataSource } from "../../../runtime/node/postgres.ts";
import { SeataClient } from "../../../runtime/node/seata/client.ts";
import type { Coordinator } from "../../../runtime/ports/coordinator.ts";
import type { DataSource } from "../../../runtime/ports/data-source.ts";
import { createRandom } from "../../../runtime/random.ts";
import { atContract, atTables } from "../../../runtime/transactions/at/at.contract.ts";
import { openRowStore } from "../../../runtime/transactions/row-store.ts";
import { MemoryDisk } from "../../../runtime/transactions/testing.ts";
import { coordinatorInProcess } from "../../../services/coordinator/testing.ts";
import { postgres, seata, type RunningServer } from "./servers.ts";
import { describeReal, startTestServer } from "./testing.ts";

describeReal("AT against real servers", () => {
  const clock = systemClock();
  let database: RunningServer;
  let coordinator: RunningServer;
  let pool: DataSource;
  beforeAll(async () => {
    [database, coordinator] = await Promise.all([startTestServer(postgres), startTestServer(seata)]);
    const url = "postgres://flyball:flyball@postgres/flyball";
    pool = await postgresDataSource(() => database.addressOf(5432))({ url, client: "test", tables: atTables });
  }, 120_000);
  afterAll(() => pool.close());

  const databases: Readonly<Record<string, () => Promise<DataSource>>> = {
    PostgreSQL: () => Promise.resolve(pool),
    "the row store": () => openRowStore(new MemoryDisk()),
  };
  const coordinators: Readonly<Record<string, (fact: string) => Promise<Clients>>> = {
    "the embedded coordinator": () => coordinatorInProcess({ clock, disk: new MemoryDisk(), retryMs: 100 }),
    "Seata's coordinator": (fact) => {
      const opened: SeataClient[] = [];
      const address = coordinator.addressOf(8091);
      const open = (): Coordinator => {
        const random = createRandom(opened.length);
        const client = new SeataClient({
          clock,
          random,
          address: "seata:8091",
          dial: () => address,
          application: fact,
        });
        opened.push(client);
        return client;
      };
      const stop = async (): Promise<void> => void (await Promise.all(opened.map((client) => client.close())));
      return Promise.resolve({ open, stop });
    },
  };

  for (const [index, [on, by]] of [
    ["PostgreSQL", "the embedded coordinator"],
    ["PostgreSQL", "Seata's coordinator"],
    ["the row store", "Seata's coordinator"],
  ].entries()) {
    describe(`${on}, by ${by}`, () => {
      for (const [number, [fact, holds]] of Object.entries(atContract).entries()) {
        test(
          fact,
          async () => {
            const name = `at-${index}-${number}`;
            const dataSource = await databases[on!]!();
            const { open, stop } = await coordinators[by!]!(name);
            await holds({
              ...{ clock, tenant: name, resourceId: `rows://${name}`, retryWithinMs: 3_500 },
              open: () => Promise.resolve({ coordinator: open(), dataSource }),
              ended: (work) => work,
            }).finally(stop);
          },
          60_000,
        );
      }
    });
  }
});

interface Clients {
  readonly open: () => Coordinator;
  readonly stop: () => Promise<void>;
}
