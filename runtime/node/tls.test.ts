import { readFileSync } from "node:fs";
import type { AddressInfo, Socket } from "node:net";

import { afterEach, expect, test } from "vitest";

import { Authority } from "./authority.ts";
import { systemClock } from "./clock.ts";
import { acceptorOf, connectTo } from "./tls.ts";

const owned: (() => unknown)[] = [];
afterEach(() => {
  for (const close of owned.splice(0).reverse()) close();
});

const authority = new Authority("fleet", systemClock().wallMs());
const identity = authority.issue({ name: "orders", hosts: ["127.0.0.1"] });

test.each([
  ["TCP", undefined],
  ["TLS", identity],
])("the kernel asks a client over %s that is silent for a minute whether it is there", async (_, tls) => {
  const socket = await new Promise<Socket>((resolve) => {
    const acceptor = acceptorOf(tls, (accepted) => resolve(accepted.socket));
    owned.push(() => acceptor.close());
    acceptor.listen(0, "127.0.0.1", () => {
      const { port } = acceptor.address() as AddressInfo;
      const client = connectTo({ host: "127.0.0.1", port }, tls, () => undefined);
      owned.push(() => client.destroy());
    });
  });
  owned.push(() => socket.destroy());
  await expect.poll(() => timerOf(socket)?.kind).toBe("02");
  expect(timerOf(socket)!.ticks).toBeLessThanOrEqual(6_000);
});

/** What Linux has armed for a socket: "02" is keepalive, in hundredths of a second. */
function timerOf({ localPort, remotePort }: Socket): { readonly kind: string; readonly ticks: number } | undefined {
  const end = (port: number | undefined): string => `0100007F:${port!.toString(16).toUpperCase().padStart(4, "0")}`;
  const lines = readFileSync("/proc/net/tcp", "utf8").split("\n");
  const line = lines.find((one) => one.includes(`${end(localPort)} ${end(remotePort)}`));
  const timer = / (\d\d):([0-9A-F]{8}) /.exec(line ?? "");
  return timer === null ? undefined : { kind: timer[1]!, ticks: Number.parseInt(timer[2]!, 16) };
}
