import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";

import { afterEach, expect, test } from "vitest";

import { systemClock } from "../clock.ts";
import { createRandom } from "../../random.ts";
import type { RuntimeEvent } from "../../telemetry/events.ts";
import { TestPath } from "../testing/path.ts";
import { HttpLink } from "./link.ts";

const clock = systemClock();
const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0).reverse()) close();
});

async function scene(answer: RequestListener, options: { readonly isRefused?: boolean } = {}) {
  const server: Server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const path = await TestPath.open(() => `127.0.0.1:${port}`);
  if (options.isRefused === true) path.refuse();
  const states: string[] = [];
  const link = new HttpLink({
    clock,
    random: createRandom(port),
    telemetry: { emit: (event: RuntimeEvent) => void (event.type === "registry" && states.push(event.state)) },
    name: "Nacos",
    address: "registry:1",
    dial: (address) => (address === "registry:1" ? path.address : address),
    pingPath: "/ping",
    sessionTimeoutMs: 900,
  });
  closing.push(
    () => server.closeAllConnections(),
    () => server.close(),
    () => path.close(),
    () => link.close(),
  );
  return { link, path, states };
}

const until = async (isSo: () => boolean): Promise<void> => {
  while (!isSo()) await clock.sleep(5_000);
};

test("a server that answers is connected; one that falls silent is suspended, and connected when it answers again", async () => {
  const { link, path, states } = await scene((_, response) => response.end("ok"));
  await link.availability.connected(link.life);
  path.cut();
  await until(() => link.availability.state === "suspended");
  path.heal();
  await until(() => link.availability.state === "connected");
  link.close();
  expect(states).toEqual(["connected", "suspended", "connected", "closed"]);
});

test("a server that is away is knocked at, about once a second and never twice at a time", async () => {
  const { link, path } = await scene((_, response) => response.end("ok"), { isRefused: true });
  await clock.sleep(3_000_000);
  // 50 to 100 ms, 100 to 200, 200 to 400, 400 to 800, then half a second to a second.
  expect(path.accepted).toBeGreaterThanOrEqual(4);
  expect(path.accepted).toBeLessThanOrEqual(9);
  expect(link.availability.state).toBe("suspended");
  path.heal();
  await until(() => link.availability.state === "connected");
});

test("what answers to everything but the ping isn't ready", async () => {
  const { link } = await scene((request, response) => {
    response.statusCode = request.url === "/ping" ? 503 : 200;
    response.end();
  });
  await until(() => link.availability.state === "suspended");
  await expect(link.call({ method: "GET", path: "/ping" })).rejects.toMatchObject({ code: "UNAVAILABLE" });
});

test("an answer that is no JSON is an error that asks what listens there, never an empty one", async () => {
  const { link } = await scene((_, response) => response.end("<html>404</html>"));
  const answer = await link.call({ method: "GET", path: "/list" });
  expect(() => link.json(answer)).toThrow(
    expect.objectContaining({ code: "UNAVAILABLE", hint: "is it really Nacos that listens there?" }),
  );
});

test("a kept connection that the server hung up meanwhile isn't a failure", async () => {
  let requests = 0;
  const { link, states } = await scene((request, response) => {
    // The third on a connection finds it closed, without a word before.
    if (++requests === 3) request.socket.destroy();
    else response.end("ok");
  });
  for (let call = 0; call < 6; call++) {
    expect((await link.call({ method: "GET", path: "/list" })).status).toBe(200);
  }
  expect(states).toEqual(["connected"]);
});

test("close ends what is under way, and nothing is begun after it", async () => {
  const { link } = await scene((request, response) => {
    if (request.url === "/ping") response.end();
  });
  const waiting = link.call({ method: "GET", path: "/slow", timeoutMs: 60_000 });
  const pausing = link.pause(60_000_000);
  await clock.sleep(50_000);
  link.close();
  await expect(waiting).rejects.toMatchObject({ code: "CANCELLED" });
  await pausing;
  await expect(link.call({ method: "GET", path: "/" })).rejects.toMatchObject({ code: "CANCELLED" });
  await expect(link.availability.connected(link.life)).rejects.toMatchObject({ code: "CANCELLED" });
});
