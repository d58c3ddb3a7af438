import type { Clock } from "../ports/clock.ts";
import type { BranchRegistration, Coordinator, ResourceManager } from "../ports/coordinator.ts";
import type { Telemetry } from "../ports/telemetry.ts";
import type { TransactionChange } from "../telemetry/events.ts";
import { TransactionError } from "./error.ts";
import { finishBranch, type Decision } from "./phase-two.ts";

/** A change as it is told: who tells it adds the time. */
export type Change = TransactionChange extends infer One
  ? One extends unknown
    ? Omit<One, "type" | "atUs">
    : never
  : never;

/** The same coordinator, whose client reports what it began, registered, finished and was refused. */
export function observedCoordinator(
  coordinator: Coordinator,
  { clock, telemetry }: { readonly clock: Clock; readonly telemetry: Telemetry },
): Coordinator {
  const tell = (change: Change): void => telemetry.emit({ type: "transaction", atUs: clock.nowUs(), ...change });
  const ended = async (xid: string, decision: Decision) => {
    const status = await coordinator[decision](xid);
    tell({ what: "end", xid, decision, status });
    return status;
  };
  return {
    begin: async (options) => {
      const xid = await coordinator.begin(options);
      tell({ what: "begin", xid, ...options });
      return xid;
    },
    commit: (xid) => ended(xid, "commit"),
    rollback: (xid) => ended(xid, "rollback"),
    status: (xid) => coordinator.status(xid),
    registerBranch: async (branch) => {
      const { xid, branchType, resourceId: resource } = branch;
      try {
        const branchId = await coordinator.registerBranch(branch);
        tell({ what: "branch", xid, branchId, branchType, resource, status: "Registered" });
        return branchId;
      } catch (error) {
        tellConflict(branch, error);
        throw error;
      }
    },
    reportBranch: async (report) => {
      await coordinator.reportBranch(report);
      const { xid, branchId, branchType, resourceId: resource, status } = report;
      tell({ what: "branch", xid, branchId, branchType, resource, status });
    },
    lockQuery: async (query) => {
      const isLockable = await coordinator.lockQuery(query);
      if (!isLockable) tell({ what: "conflict", xid: query.xid, resource: query.resourceId, lockKey: query.lockKey });
      return isLockable;
    },
    registerResource: (resourceId, manager) => {
      const finishing = (decision: Decision): ResourceManager[Decision] => {
        return async (branch) => {
          const status = await finishBranch(manager, decision, branch);
          const { xid, branchId, branchType, resourceId: resource } = branch;
          tell({ what: "branch", xid, branchId, branchType, resource, status });
          return status;
        };
      };
      return coordinator.registerResource(resourceId, { commit: finishing("commit"), rollback: finishing("rollback") });
    },
    close: () => coordinator.close(),
  };

  function tellConflict({ xid, resourceId, lockKey }: BranchRegistration, error: unknown): void {
    if (!(error instanceof TransactionError) || !error.code.startsWith("LockKeyConflict")) return;
    tell({ what: "conflict", xid, resource: resourceId, lockKey });
  }
}
