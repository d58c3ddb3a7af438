import { execFile, execFileSync, spawn, type ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import { connect, createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";

import { describe } from "vitest";

import { systemClock } from "../../runtime/node/clock.ts";

const clock = systemClock();

/** The other implementations that ours is held against, where they lie, and what brings them here. */
const room = join(import.meta.dirname, "../../.flyball/peers");
const build = "`npx node proof/wire/build.ts` brings it";
const debian = "apt-get install nghttp2-client";

const peers = {
  "grpc-go": { is: () => ["client", "server", "streams"].every((name) => exists(`grpc-go-${name}`)), how: build },
  connectconformance: { is: () => exists("connectconformance"), how: build },
  h2: { is: () => exists("python/h2") && runs("python3", ["--version"]), how: build },
  "dubbo-go": { is: () => existsSync(dubboGo), how: "`npm run foreign` builds it" },
  nghttp2: { is: () => runs("nghttp", ["--version"]) && runs("h2load", ["--version"]), how: debian },
} as const;

/** dubbo-go's client and server of all four kinds of calls, built beside the other programs of `scenarios/foreign`. */
export const dubboGo = join(import.meta.dirname, "../../.flyball/foreign/streams");

const exists = (name: string): boolean => existsSync(join(room, name));

function runs(program: string, args: readonly string[]): boolean {
  try {
    execFileSync(program, args, { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

/** Where a program that was built lies. */
export const peerPath = (name: string): string => join(room, name);

/** `describe` against another implementation; where it isn't here, its tests are skipped by name, with the reason. */
export function describePeer(peer: keyof typeof peers, name: string, tests: () => void): void {
  const { is, how } = peers[peer];
  let obstacle: string | undefined;
  if (process.env["FLYBALL_PEERS"] !== "1") obstacle = "FLYBALL_PEERS=1 runs it against other implementations";
  else if (!is()) obstacle = `${peer} isn't here: ${how}`;
  if (obstacle === undefined) describe(name, tests);
  else describe.skip(`${name} (skipped: ${obstacle})`, tests);
}

const exec = promisify(execFile);

/** Runs a program to its end and answers what it printed on both outputs. Rejects, with that, when it fails or takes over `withinMs`. */
export async function run(program: string, args: readonly string[], withinMs = 20_000): Promise<string> {
  try {
    const { stdout, stderr } = await exec(program, args, { timeout: withinMs, maxBuffer: 64 << 20 });
    return stdout + stderr;
  } catch (error) {
    const {
      stdout = "",
      stderr = "",
      code,
      signal,
    } = error as { stdout?: string; stderr?: string; code?: unknown; signal?: unknown };
    throw new Error(`${program} ${args.join(" ")} ended with ${String(signal ?? code)}:\n${stdout}${stderr}`);
  }
}

/** Starts a program that goes on until it is killed. What it complains of is seen beside the tests. */
export function start(program: string, args: readonly string[]): ChildProcess {
  return spawn(program, args, { stdio: ["ignore", "ignore", "inherit"] });
}

/** Has grpc-go's interop client try a case at a port of this machine, with as much time as a busy one needs. */
export async function tryCase(name: string, port: number | string, more: readonly string[] = []): Promise<void> {
  await run(peerPath("grpc-go-client"), [
    "-server_host=127.0.0.1",
    `-server_port=${port}`,
    `-test_case=${name}`,
    "-soak_iterations=10",
    "-soak_overall_timeout_seconds=25",
    "-soak_per_iteration_max_acceptable_latency_ms=5000",
    ...more,
  ]);
}

/** A port that is free now. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Resolves when somebody listens at that port of this machine. */
export async function listening(port: number): Promise<void> {
  for (let time = 0; time < 100; time++) {
    const isThere = await new Promise<boolean>((resolve) => {
      const socket = connect({ port, host: "127.0.0.1" });
      socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
      socket.once("connect", () => socket.destroy());
    });
    if (isThere) return;
    await clock.sleep(50_000);
  }
  throw new Error(`nobody listens at ${port}`);
}
