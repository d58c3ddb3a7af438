import { randomBytes } from "node:crypto";

import { afterAll, describe } from "vitest";

import { removeInvocation } from "./clean.ts";
import { obstacleTo, openEngine } from "./engine.ts";
import { startServer, type RunningServer, type ServerKind, type ServerOptions } from "./servers.ts";

/** For tests: the engine, and a name for everything that this file makes in it. */
export const docker = openEngine();
export const invocation = `test-${randomBytes(3).toString("hex")}`;

/** Why nothing can be tested against real servers now. */
const obstacle =
  process.env["FLYBALL_DOCKER"] === "1"
    ? (await obstacleTo(docker))?.message
    : "FLYBALL_DOCKER=1 runs it against real servers in containers";

/** `describe` against real servers; where they can't be had, its tests are skipped by name, with the reason. */
export function describeReal(name: string, tests: () => void): void {
  if (obstacle === undefined) describe(name, tests);
  else describe.skip(`${name} (skipped: ${obstacle})`, tests);
}

let servers = 0;

/** A server of the test's own, removed when the file has ended. */
export function startTestServer(kind: ServerKind, options: Partial<ServerOptions> = {}): Promise<RunningServer> {
  return startServer(docker, kind, {
    name: `flyball-${invocation}-${kind.image}-${servers++}`,
    invocation,
    ...options,
  });
}

if (obstacle === undefined) {
  afterAll(async () => void (await removeInvocation(docker, invocation)), 60_000);
}
