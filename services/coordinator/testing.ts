import type { Clock } from "../../runtime/ports/clock.ts";
import type { Coordinator, ResourceManager } from "../../runtime/ports/coordinator.ts";
import type { Disk } from "../../runtime/ports/disk.ts";
import { TransactionError } from "../../runtime/transactions/error.ts";
import { finishBranch } from "../../runtime/transactions/phase-two.ts";
import { SessionLog } from "./log.ts";
import { Participants, type Seat } from "./participants.ts";
import { Transactions, type Refused, type Registered } from "./transactions.ts";

/** For tests: the embedded coordinator without a wire; its clients come and go by `open`. */
export async function coordinatorInProcess({
  clock,
  disk,
  retryMs = 1000,
}: {
  readonly clock: Clock;
  readonly disk: Disk;
  readonly retryMs?: number;
}): Promise<{
  readonly open: () => Coordinator;
  readonly transactions: Transactions;
  readonly stop: () => Promise<void>;
}> {
  const participants = new Participants({ clock, timeoutMs: 15_000 });
  const transactions = new Transactions({
    ...{ ...(await SessionLog.open(disk)), clock, participants, onStatus: () => undefined },
    timing: { retryMs, maxCommitRetryMs: -1, maxRollbackRetryMs: -1 },
  });
  transactions.start("tc:8091");
  let clients = 0;
  const open = (): Coordinator => {
    const who = { application: "bank", client: `bank/${clients++}` };
    const seats: Seat[] = [];
    return {
      begin: (options) => transactions.begin({ ...options, application: who.application }),
      commit: (xid) => transactions.commit(xid),
      rollback: (xid) => transactions.rollback(xid),
      status: (xid) => transactions.status(xid),
      registerBranch: async (branch) => branchIdIn(await transactions.registerBranch({ ...branch, ...who })),
      reportBranch: (report) => transactions.reportBranch(report),
      lockQuery: (query) => transactions.lockQuery(query),
      registerResource: (resourceId, manager) => {
        const seat = participants.join({ ...who, resourceId });
        seats.push(seat);
        void serve(seat, manager, participants);
        return Promise.resolve();
      },
      close: () => {
        for (const seat of seats) seat.close();
        return Promise.resolve();
      },
    };
  };
  const stop = async (): Promise<void> => {
    participants.stop();
    await transactions.stop();
  };
  return { open, transactions, stop };
}

/** What a client makes of the answer: a refusal is a `TransactionError`. */
export function branchIdIn(answer: Registered | Refused): string {
  if ("branchId" in answer) return answer.branchId;
  throw new TransactionError(answer.refusal.message, answer.refusal);
}

async function serve(seat: Seat, manager: ResourceManager, participants: Participants): Promise<void> {
  while (await seat.bell.rung()) {
    for (const { xid, branch, decision } of seat.take()) {
      void finishBranch(manager, decision, { ...branch, xid }).then((status) =>
        participants.answer(branch.branchId, decision, status),
      );
    }
  }
}
