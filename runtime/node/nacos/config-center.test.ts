import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";

import { afterEach, expect, test } from "vitest";

import type { ConfigDocument } from "../../ports/config-center.ts";
import type { Clock } from "../../ports/clock.ts";
import { silent } from "../../ports/telemetry.ts";
import { createRandom } from "../../random.ts";
import { systemClock } from "../clock.ts";
import { NacosConfigCenter } from "./config-center.ts";

const key = { group: "dubbo", key: "orders.condition-router" };
const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** What a Nacos answers that has one document; its long poll is in the test's hand. */
async function nacos(changes?: readonly object[]) {
  const document = { content: "enabled: false", id: 1 };
  const history = (): readonly object[] => changes ?? [{ id: document.id }];
  const polls: ServerResponse[] = [];
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url!, "http://nacos");
    void text(request).then(() => {
      if (pathname === "/nacos/v1/cs/configs/listener") polls.push(response);
      else if (pathname === "/nacos/v1/cs/history") response.end(JSON.stringify({ pageItems: history() }));
      else if (pathname === "/nacos/v1/cs/configs") response.end(JSON.stringify({ content: document.content }));
      else response.end("{}");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closing.push(
    () => server.close(),
    () => server.closeAllConnections(),
  );
  /** The next long poll; it stays without an answer until the test gives one. */
  const poll = async (): Promise<ServerResponse> => {
    while (polls.length === 0) await systemClock().sleep(2_000);
    return polls.shift()!;
  };
  return { document, poll, address: `127.0.0.1:${(server.address() as AddressInfo).port}` };
}

const changed = encodeURIComponent(`${key.key}\u0002${key.group}\u0001`);

test("news is read at once, after a quiet time and after notices of nothing new too", async () => {
  const { document, poll, address } = await nacos();
  const real = systemClock();
  let pauses: number[] = [];
  const clock: Clock = {
    nowUs: () => real.nowUs(),
    wallMs: () => real.wallMs(),
    sleep: (us) => real.sleep(us),
    after: (us, act) => {
      pauses.push(us);
      return real.after(us, act);
    },
  };
  const center = new NacosConfigCenter({
    ...{ clock, random: createRandom(1), telemetry: silent, url: `nacos://${address}`, client: "test" },
    ...{ application: "test", address, dial: (to) => to, namespace: "public" },
  });
  closing.push(() => center.close());
  const seen: ConfigDocument[] = [];
  center.watch(key, (told) => seen.push(told));
  // What is told too often is asked for ever more seldom.
  for (let notices = 0; notices < 3; notices++) (await poll()).end(changed);
  // Nothing new for half a minute: Nacos answers that, too.
  (await poll()).end("");
  const asked = await poll();
  expect(seen.map(({ content }) => content)).toEqual(["enabled: false"]);
  document.content = "enabled: true";
  document.id = 2;
  pauses = [];
  asked.end(changed);
  await poll();
  expect(seen.map(({ content }) => content)).toEqual(["enabled: false", "enabled: true"]);
  // Time-outs of requests are longer.
  expect(pauses.filter((us) => us <= 1_000_000)).toEqual([]);
});

test("a history that never gets older isn't asked for again and again", { timeout: 5_000 }, async () => {
  // A full page of publishes that had to follow what is on none.
  const page = Array.from({ length: 100 }, (_, index) => ({ id: 1000 - index, srcUser: `somebody if ${100 - index}` }));
  const { address } = await nacos(page);
  const center = new NacosConfigCenter({
    ...{ clock: systemClock(), random: createRandom(1), telemetry: silent, url: `nacos://${address}`, client: "test" },
    ...{ application: "test", address, dial: (to) => to, namespace: "public" },
  });
  closing.push(() => center.close());
  await expect(center.publish(key, "enabled: true", { ifVersion: 7 })).rejects.toMatchObject({ code: "ABORTED" });
});
