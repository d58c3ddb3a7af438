import { expect, test } from "vitest";

import { realInfrastructure } from "../infrastructure.ts";
import { systemClock } from "../clock.ts";
import { createRandom } from "../../random.ts";
import { silent } from "../../ports/telemetry.ts";
import { parseZooKeeperUrl } from "./url.ts";

test("servers, chroot and parameters are read", () => {
  expect(parseZooKeeperUrl("zookeeper://a:1,b,[::1]:3/one/two/?level=all", ["level"])).toEqual({
    servers: ["a:1", "b:2181", "[::1]:3"],
    chroot: "/one/two",
    parameters: new Map([["level", "all"]]),
  });
  expect(parseZooKeeperUrl("zookeeper://a:1?backup=b:2,c", [])).toMatchObject({
    servers: ["a:1", "b:2", "c:2181"],
    chroot: "",
  });
});

test.each([
  ["zookeeper://", /no host:port/],
  ["zookeeper://a:0", /no host:port/],
  ["zookeeper://a:70000", /no host:port/],
  ["zookeeper://a,,b", /no host:port/],
  ["zookeeper://a//b", /no path/],
  ["zookeeper://a/../b", /no path/],
  ["http://a", /form zookeeper/],
  ["zookeeper://a?levle=all", /no parameter "levle"/],
  ["zookeeper://a?level=some", /level=some/],
  ["zookeeper://a?anyGroup=yes", /anyGroup=yes/],
])("%s is refused with what is wrong, and a hint", async (url, message) => {
  const open = realInfrastructure().registries["zookeeper"]!;
  const connection = { clock: systemClock(), random: createRandom(1), telemetry: silent, client: "", application: "" };
  await expect(open({ ...connection, url, interfaceName: "" })).rejects.toMatchObject({
    code: "INVALID_ARGUMENT",
    message: expect.stringMatching(message) as string,
    hint: expect.any(String) as string,
  });
});
