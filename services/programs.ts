import { order } from "./bank/order.ts";
import { reservations } from "./bank/reservations.ts";
import { configCenter } from "./config-center/config-center.ts";
import { coordinator } from "./coordinator/coordinator.ts";
import { consumer } from "./consumer/consumer.ts";
import { gateway } from "./gateway/gateway.ts";
import { provider } from "./provider/provider.ts";
import { registry } from "./registry/registry.ts";
import { rules } from "./rules/rules.ts";
import type { ServiceProgram } from "./service.ts";

/** Every program of the fleet, by name. */
export const programs: ReadonlyMap<string, ServiceProgram> = new Map(
  (
    [
      registry,
      configCenter,
      coordinator,
      provider,
      consumer,
      gateway,
      rules,
      order,
      reservations("account"),
      reservations("stock"),
    ] as readonly ServiceProgram[]
  ).map((program) => [program.name, program]),
);
