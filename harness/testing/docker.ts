import { execFile, execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { promisify } from "node:util";

/** Why tests with containers can't run here, for their names; undefined when they can. */
export const noDocker: string | undefined = reasonAgainst(["version", "--format", "{{.Server.Version}}"], "no Docker");

/** As `noDocker`, for tests that need the Compose plugin. */
export const noCompose: string | undefined = noDocker ?? reasonAgainst(["compose", "version"], "no docker compose");

const run = promisify(execFile);

/** Runs the docker command; answers what it printed. Rejects with what it said to stderr. */
export async function docker(args: readonly string[], env: NodeJS.ProcessEnv = process.env): Promise<string> {
  try {
    const { stdout } = await run("docker", [...args], { env, maxBuffer: 64 * 1024 * 1024 });
    return stdout.trim();
  } catch (error) {
    const { stderr, message } = error as { readonly stderr?: string; readonly message: string };
    throw new Error(`docker ${args.join(" ")}\n${stderr?.trim() || message}`, { cause: error });
  }
}

/** "flyball-test-3f2a91": a name that no other run has. */
export const uniqueName = (): string => `flyball-test-${randomBytes(4).toString("hex")}`;

/** The image of a server: FLYBALL_IMAGE_<NAME>, else the official one. */
export const imageOf = (name: string, official: string): string =>
  process.env[`FLYBALL_IMAGE_${name.toUpperCase().replaceAll("-", "_")}`] ?? official;

/** Every container and network that a test has started, labelled, and removed again in its `afterAll`. */
export class Containers {
  readonly #ids: string[] = [];
  readonly #networks: string[] = [];

  /** Starts a container in the background; answers its id. */
  async start(options: readonly string[], image: string, command: readonly string[] = []): Promise<string> {
    const name = uniqueName();
    // By name, so that one that is created and doesn't start is removed too.
    this.#ids.push(name);
    return docker(["run", "--detach", "--name", name, "--label", "flyball.test=1", ...options, image, ...command]);
  }

  async network(): Promise<string> {
    const name = uniqueName();
    await docker(["network", "create", "--label", "flyball.test=1", name]);
    this.#networks.push(name);
    return name;
  }

  /** Resolves with the match once a container has printed it; rejects with its last lines when it ends without. */
  async prints(id: string, pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const state = await docker(["inspect", "--format", "{{.State.Status}}", id]);
      const { stdout, stderr } = await run("docker", ["logs", id]);
      const found = pattern.exec(stdout + stderr);
      if (found !== null) return found;
      if (state === "exited") throw new Error(`it ended without ${pattern}:\n${(stdout + stderr).slice(-2000)}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  /** "127.0.0.1:49153": where a port of a container is published. */
  async address(id: string, port: number): Promise<string> {
    return (await docker(["port", id, `${port}/tcp`])).split("\n")[0]!;
  }

  async close(): Promise<void> {
    if (this.#ids.length > 0) await docker(["rm", "--force", "--volumes", ...this.#ids]).catch(() => undefined);
    for (const network of this.#networks) await docker(["network", "rm", network]).catch(() => undefined);
  }
}

function reasonAgainst(args: readonly string[], reason: string): string | undefined {
  if (process.env["FLYBALL_DOCKER"] !== "1") return "FLYBALL_DOCKER=1 runs it with real containers";
  try {
    execFileSync("docker", args, { stdio: "ignore", timeout: 10_000 });
    return undefined;
  } catch {
    return reason;
  }
}
