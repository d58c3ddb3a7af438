import { expect, test } from "vitest";

import { systemClock } from "../../../runtime/node/clock.ts";
import { runLive, type Ground, type OwnedNode } from "./fleet.ts";
import { smallPlan } from "./fixture.ts";
import { observed } from "./testing.ts";

/** A ground on which nothing but its ends matters; one of its nodes can't be ended. */
function stubbornGround(): { readonly ground: Ground; readonly closed: string[] } {
  const closed: string[] = [];
  const nodeOf = (id: string): OwnedNode => ({
    id,
    address: "127.0.0.1:1",
    state: "running",
    kill: nothing,
    pause: nothing,
    resume: nothing,
    disconnect: nothing,
    reconnect: nothing,
    stop: nothing,
    restart: nothing,
    slow: nothing,
    disturb: async () => nothing,
    skew: async () => nothing,
    breakDisk: async () => nothing,
    drive: nothing,
    annotate: () => undefined,
    collect: nothing,
    audit: nothing,
    start: nothing,
    go: nothing,
    abandon: () => undefined,
    close: async () => {
      if (id === "orders/0") throw new Error("orders/0 can't be ended");
      await systemClock().sleep(10_000);
      closed.push(id);
    },
  });
  const ground: Ground = {
    what: "nodes",
    clock: systemClock(),
    hasCables: true,
    lay: async () => ({
      nodes: new Map(["orders/0", "orders/1"].map((id) => [id, nodeOf(id)])),
      links: new Map([
        [
          "shop/0 orders/0",
          {
            address: "127.0.0.1:2",
            shape: nothing,
            reset: nothing,
            setDestinationAlive: nothing,
            close: async () => void closed.push("link"),
          },
        ],
      ]),
      publish: nothing,
    }),
    close: async () => void closed.push("ground"),
  };
  return { ground, closed };
}

const nothing = (): Promise<void> => Promise.resolve();

test("a node that can't be ended keeps nothing else, and is told when all the rest has gone", async () => {
  const { ground, closed } = stubbornGround();
  await expect(runLive(smallPlan(), observed().options, ground, nothing)).rejects.toThrow("orders/0 can't be ended");
  expect(closed.slice(-2)).toEqual(["link", "ground"]);
  expect(closed).toContain("orders/1");
});

test("what went wrong first is what a run tells, not what couldn't be ended because of it", async () => {
  const { ground, closed } = stubbornGround();
  const ran = runLive(smallPlan(), observed().options, ground, () => Promise.reject(new Error("the first")));
  await expect(ran).rejects.toThrow("the first");
  expect(closed.at(-1)).toBe("ground");
});
