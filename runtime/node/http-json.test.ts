import { test } from "vitest";

import { noClientStreamsContract } from "../ports/client-streams.contract.ts";
import { transportContract } from "../ports/transport.contract.ts";
import { httpJson } from "../protocols/http-json.ts";
import { httpTransport } from "./http-transport.ts";
import { inWorld } from "./testing/transport-world.ts";

for (const [fact, holds] of Object.entries({ ...transportContract, ...noClientStreamsContract })) {
  test(fact, () => inWorld(holds, (options) => httpTransport(httpJson, options)));
}
