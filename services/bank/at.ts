import { RpcError } from "../../runtime/call/status.ts";
import type { DataSource, Table } from "../../runtime/ports/data-source.ts";
import type { Leftover } from "../../runtime/telemetry/events.ts";
import { AtResource, type AtOptions } from "../../runtime/transactions/at/at.ts";
import { undoStatus, undoTable } from "../../runtime/transactions/at/undo-log.ts";
import type { LocalTransaction } from "../../runtime/ports/data-source.ts";
import type { Holding, Reservation } from "./holdings.ts";

/** A reservation by AT: what it takes is used up at once, and comes back with a rollback. */
export class AtReservations {
  readonly #resource: AtResource;
  readonly #table: Table;

  constructor(options: AtOptions<LocalTransaction> & { readonly table: Table }) {
    this.#resource = new AtResource(options);
    this.#table = options.table;
  }

  register(): Promise<void> {
    return this.#resource.register();
  }

  /** Answers the branch's id. Rejects with an `RpcError` when there is too little, and as `AtResource.transaction` does. */
  async reserve(xid: string, { item, amount }: Reservation): Promise<string> {
    const table = this.#table;
    const branch = await this.#resource.transaction({ xid }, async (local, own) => {
      const holding = (await local.lock(table, { item })) as Holding | undefined;
      if (holding === undefined) throw new RpcError(`there is no ${item} in ${table.name}`, { code: "NOT_FOUND" });
      if (holding.free < amount) {
        throw new RpcError(`${item} has ${holding.free}, and ${amount} is wanted`, { code: "FAILED_PRECONDITION" });
      }
      await local.update(table, { ...holding, free: holding.free - amount, used: holding.used + amount });
      return own;
    });
    return branch!.branchId!;
  }

  close(): Promise<void> {
    return this.#resource.close();
  }
}

/** Undo logs that are still to be removed or used. */
export async function undoLeft(dataSource: DataSource): Promise<readonly Leftover[]> {
  return (await dataSource.rows(undoTable))
    .filter((row) => row["log_status"] !== undoStatus.fence)
    .map((row) => ({ kind: "undo", xid: String(row["xid"]), branchId: String(row["branch_id"]) }));
}

/** A database as a resource: the same for everybody who uses it, and without what only concerns its user. Without a URL it is the node's own. */
export function resourceOf(node: string, database: string | undefined): string {
  if (database === undefined) return `rows://${node}`;
  return database.replace(/\/\/[^/@]*@/, "//").replace(/\?.*$/, "");
}
