import { randomInt } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";

/** Nobody from outside reaches what listens here. */
export const loopback = "127.0.0.1";

/** Where the kernel's own choices begin when it doesn't say (IANA: 49152; Linux by default: 32768). */
const usualFirstEphemeral = 32_768;
const candidates = 12_000;

/**
 * Free ports on loopback, outside of the range from which the kernel takes those of outgoing connections. Inside it, a dead
 * node's port could become somebody's outgoing one, so that the node can't come back; and who connects to it again and again
 * would one day be connected to himself (RFC 9293 3.5, simultaneous open). Rejects with a `NoPortError` where there are none.
 */
export async function freePorts(count: number): Promise<readonly number[]> {
  const first = await firstEphemeralPort();
  const lowest = Math.max(1024, first - candidates);
  const free = new Set<number>();
  for (let tries = 0; free.size < count; tries++) {
    // A host whose kernel takes them from everywhere leaves no better choice than the kernel's.
    const isCrowded = first - lowest < 2_000 || tries > 20 * (count + 10);
    const port = await tryPort(isCrowded ? 0 : randomInt(lowest, first));
    if (port !== undefined) free.add(port);
    else if (isCrowded) throw new NoPortError(`no port is free on ${loopback}`);
  }
  return [...free];
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
function tryPort(port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(undefined));
    server.listen({ host: loopback, port }, () => {
      const taken = (server.address() as AddressInfo).port;
      server.close(() => resolve(taken));
    });
  });
}

/** Every port is somebody's. */
export class NoPortError extends Error {
  override readonly name = "NoPortError";
}
