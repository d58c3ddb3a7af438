import { createServer } from "../../runtime/call/server.ts";
import type { Handlers } from "../../runtime/call/service.ts";
import { TransactionError } from "../../runtime/transactions/error.ts";
import { Coordinator } from "../../runtime/transactions/proto/coordinator_pb.ts";
import { branchStatuses, branchTypes } from "../../runtime/transactions/status.ts";
import { advertised, ConfigReader } from "../config.ts";
import type { ServiceProgram } from "../service.ts";
import { listing } from "./listing.ts";
import { SessionLog } from "./log.ts";
import { Participants, type PhaseTwoRequest } from "./participants.ts";
import { Transactions, type Refused, type Timing } from "./transactions.ts";

export interface CoordinatorConfig extends Timing {
  /** How long a resource manager has to finish a branch before it is asked again, in milliseconds. Default 15 000, as Seata's. */
  readonly branchTimeoutMs: number;
}

/** The embedded transaction coordinator: Seata's model, durable, on its own. High availability is left to Seata itself. */
export const coordinator: ServiceProgram<CoordinatorConfig> = {
  name: "coordinator",

  parse: (value) => {
    const reader = new ConfigReader(value ?? {});
    const forever = { min: -1, isInteger: true };
    const config: CoordinatorConfig = {
      retryMs: reader.number("retryMs", { min: 10, max: 60_000 }, 1000),
      maxCommitRetryMs: reader.number("maxCommitRetryMs", forever, -1),
      maxRollbackRetryMs: reader.number("maxRollbackRetryMs", forever, -1),
      branchTimeoutMs: reader.number("branchTimeoutMs", { min: 10, max: 600_000 }, 15_000),
    };
    reader.end();
    return config;
  },

  start: async ({ clock, disk, transport, listen, advertise, policies, telemetry }, config) => {
    const recovered = await SessionLog.open(disk);
    const participants = new Participants({ clock, timeoutMs: config.branchTimeoutMs });
    const transactions = new Transactions({
      ...{ ...recovered, clock, participants, timing: config },
      onStatus: (xid, status) =>
        telemetry.emit({ type: "transaction", atUs: clock.nowUs(), what: "status", xid, status }),
    });
    const stop = async (): Promise<void> => {
      participants.stop();
      await transactions.stop();
    };
    const listener = await createServer({ transport, filters: policies.serverFilters })
      .add(Coordinator, handlers(transactions, participants))
      .listen(listen)
      .catch(async (error: unknown) => {
        await stop();
        throw error;
      });
    transactions.start(advertised(listener.address, advertise));
    const close = async (): Promise<void> => {
      await stop();
      await listener.close();
    };
    const audit = (): Promise<void> => {
      const left = transactions.left();
      const found = { what: "audit", xid: "", resource: "coordinator", holdings: [], left } as const;
      telemetry.emit({ type: "transaction", atUs: clock.nowUs(), ...found });
      return Promise.resolve();
    };
    return { address: listener.address, go: () => Promise.resolve(), audit, drain: close, stop: close };
  },
};

function handlers(transactions: Transactions, participants: Participants): Handlers<typeof Coordinator> {
  return {
    begin: (request) => refusing(async () => ({ xid: await transactions.begin(request) })),
    commit: ({ xid }) => refusing(async () => ({ status: await transactions.commit(xid) })),
    rollback: ({ xid }) => refusing(async () => ({ status: await transactions.rollback(xid) })),
    status: ({ xid }) => refusing(async () => ({ status: await transactions.status(xid) })),
    registerBranch: (request) =>
      refusing(() => {
        const branchType = oneOf(branchTypes, request.branchType, "branch type");
        return transactions.registerBranch({ ...request, branchType });
      }),
    reportBranch: (request) =>
      refusing(async () => {
        await transactions.reportBranch({ ...request, status: oneOf(branchStatuses, request.status, "branch status") });
        return {};
      }),
    lockQuery: (request) => refusing(async () => ({ lockable: await transactions.lockQuery(request) })),
    async *serve(who, call) {
      const seat = participants.join(who);
      const leave = call.onCancel(() => seat.close());
      try {
        while (await seat.bell.rung()) {
          // Without any it is a sign of life.
          let requests = seat.take();
          do {
            yield { branches: requests.slice(0, branchesAtOnce).map(branchOf) };
            requests = requests.slice(branchesAtOnce);
          } while (requests.length > 0);
        }
      } finally {
        leave();
        seat.close();
      }
    },
    answer: async ({ answers }) => {
      for (const { branchId, commit, status } of answers) {
        const known = branchStatuses.find((name) => name === status) ?? "Unknown";
        participants.answer(branchId, commit ? "commit" : "rollback", known);
      }
      return {};
    },
    listFailed: () => Promise.resolve(listing(transactions.failed())),
    settle: ({ xid }) => refusing(async () => ({ status: await transactions.settle(xid) })),
  };
}

/** What is refused by name is an answer; anything else is the call's error. */
async function refusing<Reply extends object>(answer: () => Promise<Reply>): Promise<Reply | Refused> {
  try {
    return await answer();
  } catch (error) {
    if (!(error instanceof TransactionError)) throw error;
    const { code, message, hint } = error;
    return { refusal: { code, message: hint === undefined ? message : `${message} (${hint})` } };
  }
}

/** So many fit into one message, however much application data each of them has (`limits.branchBytes`). */
const branchesAtOnce = 64;

function branchOf({ xid, branch, decision }: PhaseTwoRequest) {
  const { branchId, branchType, resourceId, applicationData } = branch;
  return { xid, branchId, branchType, resourceId, applicationData, commit: decision === "commit" };
}

function oneOf<T extends string>(known: readonly T[], value: string, what: string): T {
  const found = known.find((name) => name === value);
  if (found !== undefined) return found;
  throw new TransactionError(`there is no ${what} "${value}"`, { code: "InvalidArgument" });
}
