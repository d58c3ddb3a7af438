import { test } from "vitest";

import { transportContract } from "../ports/transport.contract.ts";
import { framedTransport } from "./framed.ts";
import { inWorld } from "./testing/transport-world.ts";

for (const [fact, holds] of Object.entries(transportContract)) {
  test(fact, () => inWorld(holds, framedTransport));
}
