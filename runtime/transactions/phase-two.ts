import type { Branch, ResourceManager } from "../ports/coordinator.ts";
import type { BranchStatus } from "./status.ts";

/** Whether a branch is to be finished by commit or by rollback. */
export type Decision = "commit" | "rollback";

/** What a branch that was finished is, by decision. */
export const finished: Readonly<Record<Decision, BranchStatus>> = {
  commit: "PhaseTwo_Committed",
  rollback: "PhaseTwo_Rollbacked",
};

/** What one is that has to be tried again. */
export const retryable: Readonly<Record<Decision, BranchStatus>> = {
  commit: "PhaseTwo_CommitFailed_Retryable",
  rollback: "PhaseTwo_RollbackFailed_Retryable",
};

/** What one is that can't be finished: nobody tries again. */
export const unretryable: Readonly<Record<Decision, BranchStatus>> = {
  commit: "PhaseTwo_CommitFailed_Unretryable",
  rollback: "PhaseTwo_RollbackFailed_Unretryable",
};

/** Lets a resource's manager finish a branch. Whatever goes wrong, or when there is no manager, is to be tried again. */
export async function finishBranch(
  manager: ResourceManager | undefined,
  decision: Decision,
  branch: Branch,
): Promise<BranchStatus> {
  try {
    return (await manager?.[decision](branch)) ?? retryable[decision];
  } catch {
    return retryable[decision];
  }
}
