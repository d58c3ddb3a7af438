import { createServer } from "node:net";
import { once } from "node:events";

import { expect, test } from "vitest";

import { freePorts, loopback, loopbackHosts } from "./free-ports.ts";

test("ports are distinct, whatever host each is for, and can be listened at there", async () => {
  const hosts = await loopbackHosts(3);
  const ports = await freePorts(9, (index) => hosts[index % 3]!);
  expect(new Set(ports).size).toBe(9);
  for (const [index, port] of ports.entries()) {
    const server = createServer().listen({ host: hosts[index % 3]!, port });
    await once(server, "listening");
    await new Promise((resolve) => server.close(resolve));
  }
});

test("who asks at the same time is given others", async () => {
  const [one, other] = await Promise.all([freePorts(1_000), freePorts(1_000)]);
  expect(new Set([...one, ...other]).size).toBe(2_000);
});

test("each node has an address of loopback of its own where the system has so many, beyond 127.0.0.255 as well", async () => {
  expect(await loopbackHosts(0)).toEqual([]);
  const hosts = await loopbackHosts(300);
  if (process.platform !== "linux" && hosts[0] === loopback) return;
  expect(hosts.slice(0, 2)).toEqual(["127.0.0.2", "127.0.0.3"]);
  expect(hosts[299]).toBe("127.0.1.45");
  expect(new Set(hosts).size).toBe(300);
});
