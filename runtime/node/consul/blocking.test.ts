import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

import { afterEach, expect, test } from "vitest";

import { silent } from "../../ports/telemetry.ts";
import { createRandom } from "../../random.ts";
import { systemClock } from "../clock.ts";
import { HttpLink } from "../http-api/link.ts";
import { blockingQuery } from "./blocking.ts";

const clock = systemClock();
const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0).reverse()) close();
});

/** A server that answers each question with the next index, at once; the last one it holds. */
async function scene(indexes: readonly (string | undefined)[]) {
  const asked: (string | null)[] = [];
  const server = createServer((request, response) => {
    const url = new URL(request.url!, "http://h");
    if (url.pathname !== "/q") return response.end();
    asked.push(url.searchParams.get("index"));
    if (asked.length > indexes.length) return undefined;
    const index = indexes[asked.length - 1];
    if (index !== undefined) response.setHeader("x-consul-index", index);
    return response.end("[]");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const random = createRandom(1);
  const link = new HttpLink({
    ...{ clock, random, telemetry: silent, name: "Consul", address, dial: (to: string) => to, pingPath: "/" },
  });
  let answers = 0;
  const query = blockingQuery({
    ...{ clock, random, link, path: "/q?", onAnswer: () => void answers++, onBroken: () => undefined },
  });
  closing.push(
    () => server.closeAllConnections(),
    () => server.close(),
    () => link.close(),
  );
  return { asked, query, answers: () => answers };
}

const until = async (isSo: () => boolean): Promise<void> => {
  while (!isSo()) await clock.sleep(5_000);
};

test("each question carries the last answer's index; the first one, and one after it went backwards, carry none", async () => {
  const { asked } = await scene(["7", "18446744073709551615", "3", "5"]);
  await until(() => asked.length === 5);
  expect(asked).toEqual([null, "7", "18446744073709551615", null, "5"]);
});

test("an index of 0, or none, is taken as 1, so that the next question waits", async () => {
  const { asked } = await scene(["0", undefined]);
  await until(() => asked.length === 3);
  expect(asked).toEqual([null, "1", "1"]);
});

test("answers that come without end are asked for at most ten times a second", async () => {
  const { asked, query, answers } = await scene(Array.from({ length: 1000 }, (_, index) => String(index + 1)));
  await clock.sleep(1_000_000);
  expect(asked.length).toBeLessThanOrEqual(2 + 10 + 1);
  expect(asked.length).toBeGreaterThan(2);
  query.close();
  await clock.sleep(200_000);
  const heard = answers();
  await clock.sleep(300_000);
  expect(answers()).toBe(heard);
});
