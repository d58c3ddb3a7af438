import { expect, test } from "vitest";

import { Call } from "../call/call.ts";
import { ManualClock, settled } from "../testing/clock.ts";
import { Health } from "./health.ts";

const SERVING = 1;
const NOT_SERVING = 2;
const SERVICE_UNKNOWN = 3;

const callOf = () => new Call({ clock: new ManualClock(), service: "", method: "" });
const check = (health: Health, service = "") => health.handlers.check({ service } as never, callOf());

/** What a watcher has heard so far. */
function watching(health: Health, service = "") {
  const heard: number[] = [];
  const call = callOf();
  let isOver = false;
  const read = async (): Promise<void> => {
    for await (const { status } of health.handlers.watch({ service } as never, call)) heard.push(status!);
  };
  void read()
    .catch(() => undefined)
    .then(() => (isOver = true));
  return { heard, call, isOver: () => isOver };
}

test("a server begins as NOT_SERVING, and answers for itself and its services; another isn't found", async () => {
  const health = new Health();
  expect(await check(health)).toEqual({ status: NOT_SERVING });
  health.set(true, ["orders"]);
  expect(await check(health)).toEqual({ status: SERVING });
  expect(await check(health, "orders")).toEqual({ status: SERVING });
  await expect(check(health, "stock")).rejects.toMatchObject({ code: "NOT_FOUND" });
});

test("a watch hears the status now and each change of it, and of a service that isn't known yet as well", async () => {
  const health = new Health();
  const [server, orders] = [watching(health), watching(health, "orders")];
  await settled();
  health.set(true, ["orders"]);
  await settled();
  health.set(true, ["orders"]);
  await settled();
  health.set(false, ["orders"]);
  await settled();
  expect(server.heard).toEqual([NOT_SERVING, SERVING, NOT_SERVING]);
  expect(orders.heard).toEqual([SERVICE_UNKNOWN, SERVING, NOT_SERVING]);
});

test("after a shutdown it says NOT_SERVING whatever is set, and a close ends every watch", async () => {
  const health = new Health();
  health.set(true, ["orders"]);
  const orders = watching(health, "orders");
  await settled();
  health.shutdown();
  health.set(true, ["orders"]);
  await settled();
  expect(orders.heard).toEqual([SERVING, NOT_SERVING]);
  expect(orders.isOver()).toBe(false);
  health.close();
  await settled();
  expect(orders.isOver()).toBe(true);
});

test("a cancelled watch is over, and forgotten", async () => {
  const health = new Health();
  const one = watching(health);
  await settled();
  one.call.cancel();
  await settled();
  expect(one.isOver()).toBe(true);
});
