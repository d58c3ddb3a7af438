import { connect, createServer, type AddressInfo, type Server } from "node:net";

import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";

import { systemClock } from "../../../runtime/node/clock.ts";
import { postgresDataSource } from "../../../runtime/node/postgres.ts";
import type { Coordinator } from "../../../runtime/ports/coordinator.ts";
import type { DataSource, Row, Table } from "../../../runtime/ports/data-source.ts";
import { silent } from "../../../runtime/ports/telemetry.ts";
import { AtResource } from "../../../runtime/transactions/at/at.ts";
import { undoTable } from "../../../runtime/transactions/at/undo-log.ts";
import { MemoryDisk } from "../../../runtime/transactions/testing.ts";
import { coordinatorInProcess } from "../../../services/coordinator/testing.ts";
import type { Transactions } from "../../../services/coordinator/transactions.ts";
import { postgres, type RunningServer } from "./servers.ts";
import { describeReal, startTestServer } from "./testing.ts";

const accounts: Table = { name: "away_accounts", columns: { id: "text", amount: "integer" }, key: ["id"] };
const resourceId = "postgres://postgres/flyball";

describeReal("AT on a PostgreSQL that is away between the two phases", () => {
  const clock = systemClock();
  let server: RunningServer;
  let front: Server;
  let dataSource: DataSource;
  let coordinator: Coordinator;
  let transactions: Transactions;
  let resource: AtResource;
  let stop: () => Promise<void>;
  beforeAll(async () => {
    server = await startTestServer(postgres);
    front = await frontOf(server);
    const address = `127.0.0.1:${(front.address() as AddressInfo).port}`;
    const url = "postgres://flyball:flyball@postgres/flyball";
    dataSource = await postgresDataSource(() => address)({ url, client: "test", tables: [accounts, undoTable] });
    const opened = await coordinatorInProcess({ clock, disk: new MemoryDisk(), retryMs: 100 });
    ({ stop, transactions } = opened);
    coordinator = opened.open();
    resource = new AtResource({ clock, telemetry: silent, coordinator, dataSource, resourceId, removeEveryMs: 200 });
    await resource.register();
  }, 90_000);
  afterAll(async () => {
    await resource.close();
    await stop();
    await dataSource.close();
    front.close();
  });

  /** Two transactions whose first phases are done: one is decided by the time the database is away, the other isn't. */
  let committed: string;
  let open: string;
  beforeEach(async () => {
    await dataSource.transaction(async (local) => {
      for (const id of ["a", "b"]) await local.remove(accounts, { id });
      for (const id of ["a", "b"]) await local.insert(accounts, { id, amount: 10 });
    });
    [committed, open] = [await begin(), await begin()];
    await add(committed, "a", 5);
    await add(open, "b", 100);
    expect(await coordinator.commit(committed)).toBe("Committed");
  });

  const begin = (): Promise<string> => coordinator.begin({ name: "buy", timeoutMs: 60_000 });
  const add = (xid: string, id: string, by: number): Promise<void> =>
    resource.transaction({ xid }, async (local) => {
      const { amount } = (await local.lock(accounts, { id }))!;
      await local.update(accounts, { id, amount: Number(amount) + by });
    });
  const lockOf = (id: string) =>
    ({ xid: "another", branchType: "AT", resourceId, lockKey: `away_accounts:${id}` }) as const;
  const locksLeft = (): readonly string[] =>
    transactions.left().flatMap(({ kind, xid }) => (kind === "lock" ? [xid] : []));
  const undoLogs = async (): Promise<readonly Row[]> =>
    (await dataSource.rows(undoTable)).filter(({ log_status }) => log_status !== "1");

  /** What was decided is done, nothing is kept from anybody, and the next transaction has the rows. */
  async function endsWell(): Promise<void> {
    await expect.poll(() => coordinator.status(open), { timeout: 30_000 }).toBe("Finished");
    await expect.poll(undoLogs, { timeout: 30_000 }).toEqual([]);
    expect(locksLeft()).toEqual([]);
    const next = await begin();
    for (const id of ["a", "b"]) await add(next, id, 1);
    expect(await coordinator.commit(next)).toBe("Committed");
    const rows = await dataSource.rows(accounts);
    expect(new Map(rows.map(({ id, amount }) => [id, amount]))).toEqual(
      new Map([
        ["a", 16],
        ["b", 11],
      ]),
    );
  }

  test("killed: the rollback is asked for again until it is back, its locks are reported, and what was committed stays", async () => {
    await server.container.kill();
    expect(await coordinator.rollback(open)).toBe("RollbackRetrying");
    await clock.sleep(1_000_000);
    expect(await coordinator.status(open)).toBe("RollbackRetrying");
    expect(locksLeft()).toEqual([open]);
    expect(await coordinator.lockQuery(lockOf("b"))).toBe(false);
    // What was committed is nobody's any more, undo log or not.
    expect(await coordinator.lockQuery(lockOf("a"))).toBe(true);
    await expect(add(await begin(), "a", 1)).rejects.toMatchObject({ code: "UNAVAILABLE" });
    await server.restart();
    await endsWell();
  }, 120_000);

  test("paused: its locks are kept and reported for as long as it stands still, and the rollback goes on with it", async () => {
    await server.container.pause();
    const rolledBack = coordinator.rollback(open);
    await clock.sleep(1_000_000);
    expect(await coordinator.status(open)).toBe("Rollbacking");
    expect(locksLeft()).toEqual([open]);
    expect(await coordinator.lockQuery(lockOf("b"))).toBe(false);
    await server.container.resume();
    expect(await rolledBack).toBe("Rollbacked");
    await endsWell();
  }, 120_000);
});

/** One address for the server's whole life: a container has another port after each start. */
async function frontOf(server: RunningServer): Promise<Server> {
  const front = createServer((near) => {
    const [host, port] = server.addressOf(5432).split(":") as [string, string];
    const far = connect(Number(port), host);
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      one.pipe(other);
      one.on("error", () => other.destroy()).on("close", () => other.destroy());
    }
  });
  await new Promise<void>((resolve) => front.listen(0, "127.0.0.1", resolve));
  return front;
}
