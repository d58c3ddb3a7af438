import { randomInt } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";

/** Nobody from outside reaches what listens here. */
export const loopback = "127.0.0.1";

/** Where the kernel's own choices begin when it doesn't say (IANA: 49152; Linux by default: 32768). */
const usualFirstEphemeral = 32_768;
const candidates = 12_000;

/** Given out lately, here: who was given a port may not listen yet, and fleets that start side by side mustn't share one. */
const given = new Set<number>();
const givenMax = 4_000;

/**
 * Free ports on loopback, outside of the range from which the kernel takes those of outgoing connections. Inside it, a dead
 * node's port could become somebody's outgoing one, so that the node can't come back; and who connects to it again and again
 * would one day be connected to himself (RFC 9293 3.5, simultaneous open). No two are the same, whatever host each is for: `hostOf`
 * names the address of loopback by the port's index. Default: 127.0.0.1 for all. Rejects with a `NoPortError` where there are none.
 */
export async function freePorts(
  count: number,
  hostOf: (index: number) => string = () => loopback,
): Promise<readonly number[]> {
  const first = await firstEphemeralPort();
  const lowest = Math.max(1024, first - candidates);
  const free = new Set<number>();
  for (let tries = 0; free.size < count; tries++) {
    // A host whose kernel takes them from everywhere leaves no better choice than the kernel's.
    const isCrowded = first - lowest < 2_000 || tries > 20 * (count + 10);
    const host = hostOf(free.size);
    const port = await tryPort(host, isCrowded ? 0 : randomInt(lowest, first));
    if (port === undefined && isCrowded) throw new NoPortError(`no port is free on ${host}`);
    if (port === undefined || (given.has(port) && !isCrowded)) continue;
    given.add(port);
    free.add(port);
  }
  for (const oldest of given) {
    if (given.size <= givenMax) break;
    given.delete(oldest);
  }
  return [...free];
}

/**
 * An address of loopback for each of `count` nodes: 127.0.0.2, 127.0.0.3, … Linux has all of 127.0.0.0/8; where the system has 127.0.0.1
 * alone (macOS), that one for all.
 */
export async function loopbackHosts(count: number): Promise<readonly string[]> {
  const own = Array.from({ length: count }, (_, index) => {
    const number = index + 2;
    return `127.${(number >>> 16) & 0xff}.${(number >>> 8) & 0xff}.${number & 0xff}`;
  });
  const hasThem = own.length > 0 && (await tryPort(own.at(-1)!, 0)) !== undefined;
  return hasThem ? own : own.map(() => loopback);
}

async function firstEphemeralPort(): Promise<number> {
  try {
    const range = await readFile("/proc/sys/net/ipv4/ip_local_port_range", "utf8");
    return Number.parseInt(range, 10) || usualFirstEphemeral;
  } catch {
    return usualFirstEphemeral;
  }
}

/** The port when it could be listened at just now. */
function tryPort(host: string, port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(undefined));
    server.listen({ host, port }, () => {
      const taken = (server.address() as AddressInfo).port;
      server.close(() => resolve(taken));
    });
  });
}

/** Every port is somebody's. */
export class NoPortError extends Error {
  override readonly name = "NoPortError";
}
