import { isOfBank } from "../scenario/nodes.ts";
import type { NodePlan, Plan } from "../scenario/plan.ts";
import { withSecrets, type SecretOf } from "../scenario/secrets.ts";

/** The nodes that are there before the fleet is, and that the fleet finds by their addresses. */
const ids = ["registry/0", "config-center/0", "coordinator/0", "database/0"] as const;

export const isInfrastructure = ({ id }: { readonly id: string }): boolean => (ids as readonly string[]).includes(id);

/** Whether the plan's timeline does something to one of these nodes. */
export const isTouched = ({ timeline }: Pick<Plan, "timeline">, ...ids: readonly string[]): boolean =>
  timeline.some(({ what }) => what.kind !== "publish" && what.nodes.some((id) => ids.includes(id)));

/** Where the infrastructure is: "host:port" of ours, URLs of real ones; undefined where a fleet has none. */
export interface Infrastructure {
  readonly registry: string | undefined;
  readonly configCenter: string | undefined;
  readonly coordinator: string | undefined;
  /** The database of a node of the bank. Default: its own disk. */
  readonly databaseOf?: ((id: string) => string | undefined) | undefined;
}

/** All of it being ours. */
export function embeddedInfrastructure(addressOf: (id: string) => string | undefined): Infrastructure {
  return {
    registry: addressOf("registry/0"),
    configCenter: addressOf("config-center/0"),
    coordinator: addressOf("coordinator/0"),
  };
}

/** A node's configuration, with what it has to know of the infrastructure, and the secrets in their places. */
export function withInfrastructure(
  node: NodePlan,
  { registry, configCenter, coordinator, databaseOf }: Infrastructure,
  secretOf: SecretOf,
): Readonly<Record<string, unknown>> {
  if (isInfrastructure(node)) return node.config;
  const database = node.program === "order" ? undefined : databaseOf?.(node.id);
  return {
    ...withSecrets(node.config, secretOf),
    registry,
    ...(configCenter !== undefined && { configCenter }),
    ...(isOfBank(node) && { coordinator, ...(database !== undefined && { database }) }),
  };
}
