import { once } from "node:events";
import { PassThrough } from "node:stream";

import type Docker from "dockerode";

import { WorldError } from "../error.ts";
import type { Ending } from "../world.ts";
import { gone } from "./clean.ts";
import { reasonOf, statusOf } from "./engine.ts";
import { label, ownerOfThis } from "./labels.ts";

export interface ContainerSpec {
  /** Unique in the engine: "flyball-1a2b3c-orders-0". */
  readonly name: string;
  /** "orders/0", "zookeeper": for people, and for messages. */
  readonly role: string;
  /** Whose it is; see `label.invocation`. */
  readonly invocation: string;
  readonly image: string;
  /** Default: the image's. */
  readonly entrypoint?: readonly string[] | undefined;
  /** Default: the image's. */
  readonly command?: readonly string[] | undefined;
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** A network's name, or "container:<id>" for the network of another container. Default: the engine's own. */
  readonly network?: string | undefined;
  /** Names by which others on the network find it. Default: `name` alone. */
  readonly aliases?: readonly string[] | undefined;
  /** Its address on the network. Default: the engine chooses. */
  readonly ip?: string | undefined;
  /** Ports that this machine, and no other, reaches at `Container.address`. Default none. */
  readonly ports?: readonly number[] | undefined;
  /** Files and directories of this machine, by their place in the container; read-only unless `isWritable`. */
  readonly mounts?:
    readonly { readonly from: string; readonly to: string; readonly isWritable?: boolean }[] | undefined;
  readonly workingDirectory?: string | undefined;
  /** "uid:gid". Default: the image's. */
  readonly user?: string | undefined;
  /** Default: no limit. */
  readonly memoryBytes?: number | undefined;
  /** It is talked to over its standard input and output: its input is kept open, and its output isn't kept by the engine. */
  readonly isTalkedTo?: boolean | undefined;
}

/** The last of what a container printed that is kept for messages. */
const lastWordsMax = 4_000;

/** A container of ours, from its creation to its removal. It can be started again after it has ended. */
export class Container {
  readonly spec: ContainerSpec;
  readonly id: string;
  readonly #docker: Docker;
  readonly #container: Docker.Container;

  private constructor(docker: Docker, container: Docker.Container, spec: ContainerSpec) {
    this.#docker = docker;
    this.#container = container;
    this.id = container.id;
    this.spec = spec;
  }

  /** Makes it; nothing runs yet. */
  static async create(docker: Docker, spec: ContainerSpec): Promise<Container> {
    const { network, ports = [], mounts = [], isTalkedTo = false } = spec;
    const isOwnNetwork = network !== undefined && !network.startsWith("container:");
    try {
      const container = await docker.createContainer({
        name: spec.name,
        Image: spec.image,
        ...(spec.entrypoint && { Entrypoint: [...spec.entrypoint] }),
        ...(spec.command && { Cmd: [...spec.command] }),
        Env: Object.entries(spec.env ?? {}).map(([name, value]) => `${name}=${value}`),
        ...(spec.workingDirectory && { WorkingDir: spec.workingDirectory }),
        ...(spec.user && { User: spec.user }),
        Labels: { [label.invocation]: spec.invocation, [label.owner]: ownerOfThis(), [label.role]: spec.role },
        ExposedPorts: Object.fromEntries(ports.map((port) => [`${port}/tcp`, {}])),
        ...(isTalkedTo && {
          OpenStdin: true,
          StdinOnce: true,
          AttachStdin: true,
          AttachStdout: true,
          AttachStderr: true,
        }),
        HostConfig: {
          ...(network !== undefined && { NetworkMode: network }),
          PortBindings: Object.fromEntries(
            ports.map((port) => [`${port}/tcp`, [{ HostIp: "127.0.0.1", HostPort: "" }]]),
          ),
          // Not as `Binds`, in which a path can't have a colon.
          Mounts: mounts.map(({ from, to, isWritable }) => ({
            Type: "bind" as const,
            Source: from,
            Target: to,
            ReadOnly: isWritable !== true,
          })),
          ...(spec.memoryBytes !== undefined && { Memory: spec.memoryBytes, MemorySwap: spec.memoryBytes }),
          // What a talkative node says is a protocol, not a log; what a server logs is kept short.
          LogConfig: isTalkedTo
            ? { Type: "none", Config: {} }
            : { Type: "json-file", Config: { "max-size": "1m", "max-file": "2" } },
        },
        ...(isOwnNetwork && {
          NetworkingConfig: {
            EndpointsConfig: {
              [network]: {
                Aliases: [...(spec.aliases ?? [])],
                ...(spec.ip !== undefined && { IPAMConfig: { IPv4Address: spec.ip } }),
              },
            },
          },
        }),
      });
      return new Container(docker, container, spec);
    } catch (error) {
      throw worldErrorOf(error, `the container of ${spec.role} can't be made`);
    }
  }

  /** Attaches to a container that is talked to; before it is started. */
  async attach(): Promise<Attached> {
    const stream = await this.#container.attach({
      stream: true,
      stdin: true,
      stdout: true,
      stderr: true,
      hijack: true,
    });
    const [stdout, stderr] = [new PassThrough(), new PassThrough()];
    this.#docker.modem.demuxStream(stream, stdout, stderr);
    const end = (): void => {
      stdout.end();
      stderr.end();
    };
    stream.once("end", end).once("close", end).once("error", end);
    return { stdin: stream, stdout, stderr };
  }

  async start(): Promise<void> {
    try {
      await this.#container.start();
    } catch (error) {
      throw worldErrorOf(error, `the container of ${this.spec.role} can't be started`);
    }
  }

  /** Resolves when it has ended, with how. */
  async ended(): Promise<Ending> {
    try {
      const { StatusCode } = (await this.#container.wait()) as { readonly StatusCode: number };
      return { how: describeExit(StatusCode) };
    } catch (error) {
      if (statusOf(error) === 404) return { how: "its container was removed" };
      return { how: `the engine lost it: ${reasonOf(error)}`, isLost: true };
    }
  }

  async kill(signal = "SIGKILL"): Promise<void> {
    await gone(this.#container.kill({ signal }));
  }

  async pause(): Promise<void> {
    await gone(this.#container.pause());
  }

  async resume(): Promise<void> {
    // 500: it isn't paused. An engine that can't resume says so when it is removed.
    await this.#container.unpause().catch(() => undefined);
  }

  /** Ends it, at the latest after `withinSeconds` by SIGKILL. */
  async stop(withinSeconds = 5): Promise<void> {
    await gone(this.#container.stop({ t: withinSeconds }).catch(ignoreNotModified));
  }

  async remove(): Promise<void> {
    await gone(this.#container.remove({ force: true, v: true }));
  }

  /** Where this machine reaches one of `spec.ports`; it changes with each start. */
  async address(port: number): Promise<string> {
    const { NetworkSettings } = await this.#container.inspect();
    const bound = NetworkSettings.Ports[`${port}/tcp`]?.[0];
    if (bound === undefined) {
      throw new WorldError(`port ${port} of ${this.spec.role} isn't published: it doesn't run`, { code: "NOT_READY" });
    }
    return `${bound.HostIp}:${bound.HostPort}`;
  }

  /** Its address on a network. */
  async ip(network: string): Promise<string> {
    const { NetworkSettings } = await this.#container.inspect();
    const address = NetworkSettings.Networks[network]?.IPAddress;
    if (address === undefined || address === "") {
      throw new WorldError(`${this.spec.role} isn't on its network`, { code: "NOT_READY" });
    }
    return address;
  }

  async isRunning(): Promise<boolean> {
    return (await this.#container.inspect()).State.Running;
  }

  /** The last lines that it logged; of no use for one that is talked to. */
  async lastWords(): Promise<string> {
    try {
      const log = await this.#container.logs({ stdout: true, stderr: true, tail: 12 });
      return textOfLog(log).slice(-lastWordsMax).trimEnd();
    } catch {
      return "";
    }
  }

  /** Runs a program in it; answers its exit code and what it printed. */
  async run(...command: readonly string[]): Promise<{ readonly code: number; readonly output: string }> {
    const exec = await this.#container.exec({ Cmd: [...command], AttachStdout: true, AttachStderr: true });
    const stream = await exec.start({});
    const output = new PassThrough();
    this.#docker.modem.demuxStream(stream, output, output);
    const chunks: Buffer[] = [];
    output.on("data", (chunk: Buffer) => chunks.push(chunk));
    await once(stream, "end");
    const { ExitCode } = await exec.inspect();
    return { code: ExitCode ?? -1, output: Buffer.concat(chunks).toString() };
  }
}

/** The standard streams of a container. */
export interface Attached {
  readonly stdin: NodeJS.ReadWriteStream;
  readonly stdout: PassThrough;
  readonly stderr: PassThrough;
}

function describeExit(code: number): string {
  return code > 128 ? `it was ended by signal ${code - 128}` : `it ended with exit code ${code}`;
}

/** Frames of the engine's log: 1 byte stream, 3 bytes zero, 4 bytes length, text (Docker Engine API, ContainerAttach). */
function textOfLog(log: Buffer): string {
  const texts: string[] = [];
  for (let at = 0; at + 8 <= log.length;) {
    const length = log.readUInt32BE(at + 4);
    texts.push(log.subarray(at + 8, at + 8 + length).toString());
    at += 8 + length;
  }
  return texts.join("");
}

function ignoreNotModified(error: unknown): void {
  if (statusOf(error) !== 304) throw error;
}

/** An engine's refusal as people should see it. */
export function worldErrorOf(cause: unknown, what: string): WorldError {
  const reason = reasonOf(cause);
  return new WorldError(`${what}: ${reason}`, { code: "UNAVAILABLE", hint: hintFor(reason), cause });
}

function hintFor(reason: string): string {
  if (/no space left/i.test(reason)) return "the engine's disk is full: docker system df says with what";
  if (/port is already allocated|address already in use/i.test(reason)) {
    return "another program has the port: run it again";
  }
  if (/No such image/i.test(reason)) return "docker pull it, or name another with FLYBALL_IMAGE_…";
  if (/executable file not found/i.test(reason)) {
    return "its image, or its command, may be another one than is meant: FLYBALL_IMAGE_… names images";
  }
  if (/is not shared from the host|mounts denied/i.test(reason)) {
    return "let the engine share the project's directory (Docker Desktop: Settings, Resources, File sharing)";
  }
  return "flyball doctor says what this machine lacks";
}
