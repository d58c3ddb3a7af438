import { RpcError } from "../../runtime/call/status.ts";
import { murmur3 } from "../../runtime/numbers.ts";
import type { DataSource, LocalTransaction, Row, Table } from "../../runtime/ports/data-source.ts";
import { retentionMs, type Remains } from "../../runtime/transactions/cleaner.ts";
import type { TccAction, TccBranch } from "../../runtime/transactions/tcc/tcc.ts";
import type { ConfigReader } from "../config.ts";
import { freeze, giveBackFrozen, useFrozen, type Holdings, type Reservation } from "./holdings.ts";

/** What is set aside is somewhere outside, and isn't undone with the branch's local transaction: a card's processor, a carrier. */
export interface OutsideConfig {
  /** Share of the tries that say no after it was set aside there. Default none. */
  readonly refusalRate: number;
}

export function parseOutside(reader: ConfigReader): OutsideConfig | undefined {
  const own = reader.object("outside");
  if (own === undefined) return undefined;
  const refusalRate = own.number("refusalRate", { min: 0, max: 1 }, 0);
  own.end();
  return { refusalRate };
}

/** What was asked for outside, by branch. */
export const holdTable: Table = {
  name: "bank_holds",
  columns: { xid: "text", branch_id: "text", state: "text", gmt_modified: "integer" },
  key: ["xid", "branch_id"],
};

export const oldHolds: Remains = {
  table: holdTable,
  retentionMs: retentionMs.fence,
  finished: (beforeMs) => ({ among: { state: ["used", "released"] }, atMost: { gmt_modified: beforeMs } }),
};

/**
 * The TCC of a holding that is outside. It has no fence: a try that fails would take its fence's row with it, and what it has set aside
 * would stay, since to its cancel it would never have been (seata#6374). So its cancel is always run, and each step finds out by itself
 * whether there is something to do.
 */
export function reservingOutside(
  name: string,
  holdings: Holdings,
  { outside, refusalRate, nowMs }: OutsideConfig & { readonly outside: DataSource; readonly nowMs: () => number },
): TccAction<Reservation> {
  const rowOf = ({ xid, branchId }: TccBranch, state: string): Row => ({
    ...{ xid, branch_id: branchId, state, gmt_modified: nowMs() },
  });
  const end = async (
    local: LocalTransaction,
    branch: TccBranch,
    { to, work }: { readonly to: "used" | "released"; readonly work: () => Promise<void> },
  ): Promise<void> => {
    const found = await local.lock(holdTable, rowOf(branch, to));
    // A cancel that comes first keeps its try from ever setting something aside.
    if (found === undefined && to === "released" && (await local.insert(holdTable, rowOf(branch, to)))) return;
    if (found === undefined) throw new RpcError(`${name}: its try isn't there yet`, { code: "UNAVAILABLE" });
    if (found["state"] !== "held") return;
    await local.update(holdTable, rowOf(branch, to));
    await work();
  };
  return {
    name,
    isFenced: false,
    try: async (_local, reservation, branch) => {
      await outside.transaction(async (own) => {
        if (!(await own.insert(holdTable, rowOf(branch, "held")))) {
          throw new RpcError(`${name}: this was decided already`, { code: "ABORTED" });
        }
        await freeze(own, holdings, reservation);
      });
      if (murmur3(`${branch.xid} ${branch.branchId}`, 0) / 0x1_0000_0000 < refusalRate) {
        throw new RpcError(`${name} says no`, { code: "ABORTED" });
      }
    },
    confirm: (local, reservation, branch) =>
      end(local, branch, { to: "used", work: () => useFrozen(local, holdings, reservation) }),
    cancel: (local, reservation, branch) =>
      end(local, branch, { to: "released", work: () => giveBackFrozen(local, holdings, reservation) }),
  };
}
