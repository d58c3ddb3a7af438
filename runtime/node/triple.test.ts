import { test } from "vitest";

import { clientStreamsContract } from "../ports/client-streams.contract.ts";
import { transportContract } from "../ports/transport.contract.ts";
import { inWorld } from "./testing/transport-world.ts";
import { tripleTransport } from "./triple.ts";

for (const [fact, holds] of Object.entries({ ...transportContract, ...clientStreamsContract })) {
  test(fact, () => inWorld(holds, tripleTransport));
}
