import { join } from "node:path";

import { afterAll, beforeAll, expect, test } from "vitest";

import { systemClock } from "../../runtime/node/clock.ts";
import { TestPath } from "../../runtime/node/testing/path.ts";
import { TestProgram } from "../../runtime/node/testing/program.ts";
import { tripleTransport } from "../../runtime/node/triple.ts";
import { coordinatorContract, type CoordinatorFact } from "../../runtime/ports/coordinator.contract.ts";
import { silent } from "../../runtime/ports/telemetry.ts";
import type { Transport } from "../../runtime/ports/transport.ts";
import { createRandom } from "../../runtime/random.ts";
import { CallLog } from "../../runtime/telemetry/call-log.ts";
import { createEmbeddedCoordinator } from "../../runtime/transactions/embedded.ts";
import { finished, unretryable } from "../../runtime/transactions/phase-two.ts";

const main = join(import.meta.dirname, "..", "main.ts");

let coordinator: TestProgram;
beforeAll(async () => {
  coordinator = await TestProgram.start(main, "coordinator", "--config", JSON.stringify({ retryMs: 100 }));
});
afterAll(() => coordinator.close());

for (const [index, [fact, holds]] of Object.entries(coordinatorContract).entries()) {
  test(fact, () => inWorld(`fact-${index}`, holds));
}

test("a person sees over plain HTTP what only a person can mend, and settles it there", () =>
  inWorld("settled", async ({ open }) => {
    const { coordinator: bank } = await open("bank/0");
    const resourceId = "settled.rows";
    await bank.registerResource(resourceId, {
      commit: () => Promise.reject(new Error("never asked")),
      rollback: () => Promise.resolve(unretryable.rollback),
    });
    const branch = { branchType: "AT", resourceId, lockKey: "stock:1", applicationData: "" } as const;
    const stuck = await bank.begin({ name: "stuck", timeoutMs: 60_000 });
    const branchId = await bank.registerBranch({ xid: stuck, ...branch });
    expect(await bank.rollback(stuck)).toBe("RollbackFailed");
    const ask = async (method: string, body: object): Promise<Readonly<Record<string, unknown>>> => {
      const url = `http://${coordinator.address}/flyball.coordinator.v1.Coordinator/${method}`;
      const headers = { "content-type": "application/json" };
      const response = await fetch(url, { method: "POST", headers, body: JSON.stringify(body) });
      return (await response.json()) as Readonly<Record<string, unknown>>;
    };
    // Others' are there, too.
    const listed = async (): Promise<readonly unknown[]> => {
      const { transactions = [] } = await ask("ListFailed", {});
      return (transactions as readonly { readonly xid: string }[]).filter(({ xid }) => xid === stuck);
    };
    const own = { xid: stuck, status: "RollbackFailed", name: "stuck", application: "bank" };
    const status = unretryable.rollback;
    expect(await listed()).toMatchObject([
      { ...own, branches: [{ branchId, branchType: "AT", resourceId, lockKey: "stock:1", status }] },
    ]);
    const next = await bank.begin({ name: "next", timeoutMs: 60_000 });
    await expect(bank.registerBranch({ xid: next, ...branch })).rejects.toMatchObject({ code: "LockKeyConflict" });
    expect(await ask("Settle", { xid: next })).toMatchObject({ refusal: { code: "GlobalTransactionStatusInvalid" } });
    expect(await ask("Settle", { xid: stuck })).toEqual({ status: "Finished" });
    expect(await listed()).toEqual([]);
    await bank.registerBranch({ xid: next, ...branch });
  }));

test("branches that are finished together are told of together, and an answer that gets lost keeps none of the others", async () => {
  const clock = systemClock();
  const inner = tripleTransport({ clock });
  let answers = 0;
  const transport: Transport = {
    listen: (options) => inner.listen(options),
    invoke: (address, method, call, request) => {
      const isLost = method.path.endsWith("/Answer") && answers++ === 0;
      if (isLost) return new Promise((_, reject) => call.onCancel(reject));
      return inner.invoke(address, method, call, request);
    },
    release: (address) => inner.release(address),
    close: () => inner.close(),
  };
  const bank = createEmbeddedCoordinator({
    ...{ clock, random: createRandom(1), transport, calls: new CallLog({ clock, telemetry: silent }) },
    ...{ address: coordinator.address, application: "together", client: "together/0" },
  });
  try {
    const done = new Set<string>();
    await bank.registerResource("together.rows", {
      commit: ({ xid }) => {
        done.add(xid);
        return Promise.resolve(finished.commit);
      },
      rollback: () => Promise.reject(new Error("never asked")),
    });
    const branch = { branchType: "AT", resourceId: "together.rows", applicationData: "" } as const;
    const xids = await Promise.all(
      Array.from({ length: 200 }, async (_, index) => {
        const xid = await bank.begin({ name: "together", timeoutMs: 60_000 });
        await bank.registerBranch({ xid, ...branch, lockKey: `rows:${index}` });
        return xid;
      }),
    );
    await Promise.all(xids.map((xid) => bank.commit(xid)));
    const open = async (): Promise<number> => {
      const all = await Promise.all(xids.map((xid) => bank.status(xid)));
      return all.filter((status) => status !== "Finished").length;
    };
    await expect.poll(open, { timeout: 5_000 }).toBe(1);
    expect(done.size).toBe(200);
    expect(answers).toBeLessThan(100);
  } finally {
    await bank.close();
    await inner.close();
  }
});

/** The coordinator is a process, its clients are here; each of them has a path of its own. */
async function inWorld(name: string, holds: CoordinatorFact): Promise<void> {
  const clock = systemClock();
  const closing: (() => Promise<void>)[] = [];
  try {
    await holds({
      clock,
      name,
      open: async (client) => {
        const path = await TestPath.open(() => coordinator.address);
        const transport = tripleTransport({ clock });
        const opened = createEmbeddedCoordinator({
          clock,
          random: createRandom(closing.length),
          transport,
          calls: new CallLog({ clock, telemetry: silent }),
          address: path.address,
          application: client.split("/")[0]!,
          client,
        });
        closing.push(async () => {
          path.heal();
          await opened.close();
          await transport.close();
          path.close();
        });
        return { coordinator: opened, refuse: () => path.refuse(), heal: () => path.heal() };
      },
      restart: () => coordinator.restart(),
      timing: { retryWithinMs: 1_500, recoverWithinMs: 10_000 },
      rollbackOrder: "reverse",
    });
  } finally {
    await Promise.all(closing.map((close) => close()));
  }
}
