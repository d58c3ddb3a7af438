import { test } from "vitest";

import { noClientStreamsContract } from "../ports/client-streams.contract.ts";
import { transportContract } from "../ports/transport.contract.ts";
import { framedTransport } from "./framed.ts";
import { inWorld } from "./testing/transport-world.ts";

for (const [fact, holds] of Object.entries({ ...transportContract, ...noClientStreamsContract })) {
  test(fact, () => inWorld(holds, framedTransport));
}
