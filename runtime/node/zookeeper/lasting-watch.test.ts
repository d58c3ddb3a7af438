import { afterEach, expect, test } from "vitest";

import { createRandom } from "../../random.ts";
import { systemClock } from "../clock.ts";
import { HostileServer } from "../testing/zookeeper-server.ts";
import { ZooKeeperClient, type Watcher } from "./client.ts";
import { LastingWatch } from "./lasting-watch.ts";

const clock = systemClock();
const closing: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** A watch that reads through `read`, which counts from 1; what it told is in `told`. */
async function watching(
  read: (turn: number, watcher: Watcher) => Promise<number>,
  tell: (value: number) => boolean = () => true,
) {
  const server = await HostileServer.start();
  closing.push(() => server.close());
  const client = new ZooKeeperClient({
    clock,
    random: createRandom(1),
    servers: [server.address],
    dial: (address) => address,
    chroot: "",
    sessionTimeoutMs: 600,
    onState: () => undefined,
  });
  closing.push(() => client.close());
  const told: number[] = [];
  let turns = 0;
  const watch = new LastingWatch<number>({
    clock,
    random: createRandom(1),
    client,
    read: (watcher) => read(++turns, watcher),
    tell: (value) => {
      told.push(value);
      return tell(value);
    },
  });
  closing.push(() => watch.close());
  return { server, watch, told };
}

async function until(isSo: () => boolean): Promise<void> {
  const endUs = clock.nowUs() + 5_000_000;
  while (!isSo()) {
    if (clock.nowUs() > endUs) throw new Error(`it didn't happen: ${isSo.toString()}`);
    await clock.sleep(2_000);
  }
}

test("what changes while a read is under way is read after it", async () => {
  const { told } = await watching(async (turn, watcher) => {
    if (turn <= 3) watcher("/a");
    return turn;
  });
  await until(() => told.length === 4);
  await clock.sleep(300_000);
  expect(told).toEqual([1, 2, 3, 4]);
});

test("many changes at once are one read", async () => {
  let hear: Watcher = () => undefined;
  const { told } = await watching(async (turn, watcher) => {
    hear = watcher;
    await clock.sleep(20_000);
    return turn;
  });
  await until(() => told.length === 1);
  for (let change = 0; change < 100; change++) hear("/a");
  await until(() => told.length === 2);
  await clock.sleep(100_000);
  expect(told).toEqual([1, 2]);
});

test("a read that fails, or brings what is older than what is known, is followed by another, with pauses", async () => {
  const { told } = await watching(
    async (turn) => {
      if (turn === 1) throw new Error("no");
      return turn;
    },
    (value) => value >= 4,
  );
  await until(() => told.includes(4));
  await clock.sleep(300_000);
  expect(told).toEqual([2, 3, 4]);
});

test("a new session, in which nothing is watched, begins with a read", async () => {
  const { server, told } = await watching(async (turn) => turn);
  await until(() => told.length === 1);
  server.onHandshake = (socket, session) => (session === 0n ? server.accept(socket, session) : server.expire(socket));
  server.sockets[0]?.destroy();
  await until(() => told.length === 2);
});

test("the same session, taken up again, doesn't: its watches are set again", async () => {
  const { server, told } = await watching(async (turn) => turn);
  await until(() => told.length === 1);
  server.sockets[0]?.destroy();
  await until(() => server.handshakes.length === 2);
  await clock.sleep(300_000);
  expect(told).toEqual([1]);
});

test("a watch that is closed while it reads tells nothing", async () => {
  let finish: (value: number) => void = () => undefined;
  const { watch, told } = await watching(() => new Promise((resolve) => (finish = resolve)));
  await clock.sleep(100_000);
  watch.close();
  finish(1);
  await clock.sleep(50_000);
  expect(told).toEqual([]);
});
