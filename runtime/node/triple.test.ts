import { test } from "vitest";

import { transportContract } from "../ports/transport.contract.ts";
import { inWorld } from "./testing/transport-world.ts";
import { tripleTransport } from "./triple.ts";

for (const [fact, holds] of Object.entries(transportContract)) {
  test(fact, () => inWorld(holds, tripleTransport));
}
