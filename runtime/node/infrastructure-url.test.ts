import { describe, expect, test } from "vitest";

import { ManualClock } from "../testing/clock.ts";
import { createRandom } from "../random.ts";
import { silent } from "../ports/telemetry.ts";
import { realInfrastructure } from "./infrastructure.ts";

const open = (url: string) =>
  realInfrastructure().registries[url.split(":")[0]!]!({
    clock: new ManualClock(),
    random: createRandom(1),
    telemetry: silent,
    url,
    client: "orders/0",
    application: "orders",
    interfaceName: "flyball.worker.v1.Worker",
  });

describe("a URL that can't work is refused, with what would", () => {
  test.each([
    ["nacos://", "is no address", "nacos://127.0.0.1:8848"],
    ["nacos://h:99999", "is no address", "nacos://127.0.0.1:8848"],
    ["nacos://h:1?levle=all", 'it has no parameter "levle"', "level"],
    ["nacos://h:1?level=both", 'level can\'t be "both"', "all or interface or application"],
    ["nacos://h:1?protocol=tcp", 'protocol can\'t be "tcp"', "http or grpc"],
    ["nacos://h:1?pollMs=0", 'pollMs can\'t be "0"', "it must match"],
    ["nacos://h:1?__proto__=x", 'it has no parameter "__proto__"', "namespace"],
    ["nacos://u:p@h:1", "names and passwords aren't supported", "without authentication"],
    ["nacos://a:1,b:2", "one server only", "load balancer"],
    ["consul://h:1/path", "a path has no meaning", "consul://127.0.0.1:8500"],
    ["consul://h:1?prefix=a/b", 'prefix can\'t be "a/b"', "it must match"],
  ])("%s", async (url, message, hint) => {
    await expect(open(url)).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      message: expect.stringContaining(message) as string,
      hint: expect.stringContaining(hint) as string,
    });
  });
});

test("a port may be left out, and so may every parameter", async () => {
  for (const url of ["nacos://127.0.0.1", "consul://127.0.0.1/"]) {
    const registry = await open(url);
    expect(registry.state).toBe("connecting");
    await registry.close();
    expect(registry.state).toBe("closed");
  }
});
