import type { Coordinator } from "../runtime/ports/coordinator.ts";
import type { DataSource, Table } from "../runtime/ports/data-source.ts";
import { createEmbeddedCoordinator } from "../runtime/transactions/embedded.ts";
import { observedCoordinator } from "../runtime/transactions/observed.ts";
import { openRowStore } from "../runtime/transactions/row-store.ts";
import { schemeOf } from "./config.ts";
import { byScheme } from "./connections.ts";
import type { NodeContext } from "./service.ts";

/** The coordinator: the embedded one's "host:port", or another's URL, "seata://127.0.0.1:8091"; what is done with it is reported. */
export async function openCoordinator(context: NodeContext, url: string, application: string): Promise<Coordinator> {
  const { clock, transport, telemetry, calls, node, infrastructure } = context;
  const random = context.random.fork("coordinator");
  const scheme = schemeOf(url);
  const opened =
    scheme === undefined
      ? createEmbeddedCoordinator({ clock, random, transport, calls, address: url, application, client: node })
      : await byScheme(
          infrastructure.coordinators,
          scheme,
          "coordinator",
        )({
          ...{ clock, random, telemetry, url, client: node, application },
        });
  return observedCoordinator(opened, { clock, telemetry });
}

/** A database by its URL; without one, rows on the node's own disk. */
export function openDataSource(
  { disk, node, infrastructure, openRows = openRowStore }: NodeContext,
  url: string | undefined,
  tables: readonly Table[],
): Promise<DataSource> {
  if (url === undefined) return openRows(disk);
  return byScheme(infrastructure.dataSources, schemeOf(url) ?? "", "database")({ url, client: node, tables });
}
