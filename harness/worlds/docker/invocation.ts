import { randomBytes } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join, posix, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";

import type Docker from "dockerode";

import { containersCache } from "../../compile-cache.ts";
import type { ForeignPlan } from "../../scenario/plan.ts";
import { Guardian } from "../live/guardian.ts";
import { projectMount, quietly, type NodeArguments } from "../live/programs.ts";
import { WorldError } from "../error.ts";
import { findInvocation, removeInvocation, removeOrphans } from "./clean.ts";
import { Container, type ContainerSpec } from "./container.ts";
import { directoryOf } from "./directories.ts";
import { engineHost, ensureImage, pulled, reasonOf, type ImageName } from "./engine.ts";
import { createNetwork, type Network } from "./network.ts";
import { ProxyContainer } from "./proxies.ts";
import { startServer, type RunningServer, type ServerKind, type ServerOptions } from "./servers.ts";

/** The project, as the fleet's containers see it. */
export const project = fileURLToPath(new URL("../../../", import.meta.url));

/** A place on the network: its address, and whatever runs there shares it. */
export interface Sandbox {
  readonly ip: string;
  /** What a container names as its network to live there. */
  readonly network: string;
  /** Where this machine reaches the port that nodes listen at; only for a published one. It changes with each way back onto the network. */
  published(): string | undefined;
  disconnect(): Promise<void>;
  reconnect(): Promise<void>;
  /** Whether something listens at the port that nodes listen at: found without a connection, which a program might mind. */
  isListening(): Promise<boolean>;
}

/** Where every node listens: each has an address of its own. */
export const nodePort = 20_880;

/**
 * Everything that one invocation of the command line has in a Docker engine: a network, places for nodes, servers that its runs
 * share, and the proxies. A guardian removes it all when this process dies.
 *
 * A node's address belongs to a container of its own that does nothing (as a pod's does in Kubernetes): the node's container
 * shares that one's network. So a node that was killed leaves a machine that refuses connections, and comes back at the same address.
 */
export class Invocation {
  readonly id: string;
  readonly docker: Docker;
  readonly network: Network;
  /** This machine's directory for the nodes' disks. */
  readonly directory: string;
  readonly #guardian: Guardian;
  readonly #nodeImage: string;
  readonly #sandboxes = new Map<string, Promise<Sandbox>>();
  readonly #shared = new Map<ImageName, Promise<RunningServer>>();
  #proxies: Promise<ProxyContainer> | undefined;
  #places = 0;
  #containers = 0;

  private constructor(docker: Docker, parts: { guardian: Guardian; id: string; network: Network; nodeImage: string }) {
    this.docker = docker;
    this.id = parts.id;
    this.network = parts.network;
    this.directory = directoryOf(parts.id);
    this.#guardian = parts.guardian;
    this.#nodeImage = parts.nodeImage;
  }

  /** Removes what dead invocations left, and makes a network. */
  static async open(docker: Docker, onProgress: (message: string) => void): Promise<Invocation> {
    const id = randomBytes(3).toString("hex");
    const guardian = new Guardian();
    let making: Promise<Network> | undefined;
    try {
      guardian.containers(id, engineHost());
      guardian.directory(directoryOf(id));
      making = cleared(docker, onProgress).then(() => createNetwork(docker, id));
      const [nodeImage, network] = await Promise.all([
        ensureImage(docker, "node", onProgress),
        making,
        mkdir(directoryOf(id), { mode: 0o700 }),
        mkdir(containersCache, { recursive: true }),
      ]);
      return new Invocation(docker, { guardian, id, network, nodeImage });
    } catch (error) {
      // A network that is only being made would outlive its guardian.
      await making?.catch(() => undefined);
      await guardian.close();
      throw error;
    }
  }

  /**
   * A container of the plain Node.js image which runs a program of the project: `files` as Node.js is started with, by paths of this
   * machine.
   */
  async program(
    files: NodeArguments,
    options: Pick<ContainerSpec, "role" | "network" | "ip" | "env" | "command" | "mounts"> & { readonly disk?: string },
  ): Promise<Container> {
    const { disk, env = {}, command = [], mounts = [], ...rest } = options;
    return Container.create(this.docker, {
      ...rest,
      name: this.#nameOf(options.role),
      invocation: this.id,
      image: this.#nodeImage,
      entrypoint: [
        "node",
        ...files.map((file) =>
          file.startsWith(project) ? posix.join(projectMount, ...relative(project, file).split(sep)) : file,
        ),
      ],
      command,
      workingDirectory: projectMount,
      env: { NODE_COMPILE_CACHE: "/cache", ...env, ...(disk !== undefined && { FLYBALL_DISK: "/disk" }) },
      mounts: [
        { from: project, to: projectMount },
        { from: containersCache, to: "/cache", isWritable: true },
        ...(disk === undefined ? [] : [{ from: disk, to: "/disk", isWritable: true }]),
        ...mounts,
      ],
      ...(process.getuid !== undefined && { user: `${process.getuid()}:${process.getgid!()}` }),
      isTalkedTo: true,
    });
  }

  /** A container that runs somebody else's program: of an image of its own, or a file of the project in the plain Node.js image. */
  async foreignProgram(
    { image, command }: Pick<ForeignPlan, "image" | "command">,
    options: Pick<ContainerSpec, "role" | "network" | "env"> & { readonly onProgress: (message: string) => void },
  ): Promise<Container> {
    const { onProgress, ...rest } = options;
    const common = { ...rest, name: this.#nameOf(options.role), invocation: this.id, isTalkedTo: true };
    if (image !== undefined) {
      const otherwise = "name another in the scenario's fleet";
      return Container.create(this.docker, {
        ...common,
        image: await pulled(this.docker, image, { otherwise, onProgress }),
        command,
      });
    }
    return Container.create(this.docker, {
      ...common,
      image: this.#nodeImage,
      entrypoint: command,
      command: [],
      workingDirectory: projectMount,
      mounts: [{ from: project, to: projectMount }],
    });
  }

  /**
   * The place of that name, made when it is first asked for; runs use the same ones, one after the other; those side by side use others.
   */
  sandbox(name: string, { isPublished = false } = {}): Promise<Sandbox> {
    const key = `${isPublished ? "published" : "plain"} ${name}`;
    let sandbox = this.#sandboxes.get(key);
    if (sandbox === undefined) {
      sandbox = this.#makeSandbox(name, isPublished);
      this.#sandboxes.set(key, sandbox);
      // The next run may have better luck.
      sandbox.catch(() => this.#sandboxes.delete(key));
    }
    return sandbox;
  }

  /** A server that this invocation's runs share: each uses names of its own there. */
  sharedServer(
    kind: ServerKind,
    onProgress: (message: string) => void,
    options: Pick<ContainerSpec, "mounts"> = {},
  ): Promise<RunningServer> {
    let server = this.#shared.get(kind.image);
    if (server === undefined) {
      server = this.ownServer(kind, kind.image, onProgress, options);
      this.#shared.set(kind.image, server);
      // The next run may have better luck.
      server.catch(() => this.#shared.delete(kind.image));
    }
    return server;
  }

  /** A server for one run alone, which removes it. */
  ownServer(
    kind: ServerKind,
    role: string,
    onProgress: (message: string) => void,
    options: Pick<ServerOptions, "mounts" | "signal"> = {},
  ): Promise<RunningServer> {
    return startServer(this.docker, kind, {
      ...options,
      name: this.#nameOf(role),
      role,
      invocation: this.id,
      network: this.network.name,
      ip: this.network.addressOf(this.#places++),
      aliases: [role],
      onProgress,
    });
  }

  proxies(): Promise<ProxyContainer> {
    this.#proxies ??= this.#startProxies();
    this.#proxies.catch(() => (this.#proxies = undefined));
    return this.#proxies;
  }

  /** Rejects with a `WorldError` when something stays behind. */
  async close(): Promise<void> {
    const failure = await removeInvocation(this.docker, this.id).then(
      () => undefined,
      (error: unknown) => error,
    );
    // Whatever that left, and the directory.
    await this.#guardian.close();
    let left: readonly string[];
    try {
      const { containers, networks } = await findInvocation(this.docker, this.id);
      left = [...containers, ...networks];
    } catch (cause) {
      throw leftBehind("whether containers are left can't be told", failure ?? cause);
    }
    if (left.length > 0) throw leftBehind(`${left.join(", ")} couldn't be removed`, failure);
  }

  /** A program of the project with an address of its own on the network; it isn't started yet. */
  async helper(
    file: string,
    { role, commandAt = () => [] }: { readonly role: string; readonly commandAt?: (ip: string) => readonly string[] },
  ): Promise<{ readonly container: Container; readonly ip: string }> {
    const ip = this.network.addressOf(this.#places++);
    const command = commandAt(ip);
    return {
      ip,
      container: await this.program([quietly, join(project, file)], {
        role,
        network: this.network.name,
        ip,
        command,
      }),
    };
  }

  async #startProxies(): Promise<ProxyContainer> {
    const { container, ip } = await this.helper("harness/worlds/docker/proxies-main.ts", { role: "proxies" });
    // The next run has new ones.
    return ProxyContainer.start(container, { host: ip, onEnd: () => (this.#proxies = undefined) });
  }

  async #makeSandbox(name: string, isPublished: boolean): Promise<Sandbox> {
    const ip = this.network.addressOf(this.#places++);
    const container = await Container.create(this.docker, {
      name: this.#nameOf(`${name}-place`),
      role: `place of ${name}`,
      invocation: this.id,
      image: this.#nodeImage,
      entrypoint: ["sleep", "infinity"],
      network: this.network.name,
      ip,
      ...(isPublished && { ports: [nodePort] }),
    });
    let published: string | undefined;
    const locate = async (): Promise<void> => {
      if (isPublished) published = await container.address(nodePort);
    };
    try {
      await container.start();
      await locate();
    } catch (error) {
      await container.remove();
      throw error;
    }
    return {
      ip,
      network: `container:${container.id}`,
      published: () => published,
      disconnect: () => this.network.disconnect(container.id),
      reconnect: async () => {
        await this.network.connect(container.id, ip);
        await locate();
      },
      isListening: async () => {
        const { output } = await container.run("cat", "/proc/net/tcp", "/proc/net/tcp6");
        return hasListener(output, nodePort);
      },
    };
  }

  #nameOf(role: string): string {
    return `flyball-${this.id}-${++this.#containers}-${role.replaceAll(/[^a-zA-Z0-9_.-]/g, "-")}`;
  }
}

function leftBehind(what: string, cause: unknown): WorldError {
  const why = cause === undefined ? "" : `: ${reasonOf(cause)}`;
  return new WorldError(`${what}${why}`, {
    code: "UNAVAILABLE",
    hint:
      cause instanceof WorldError ? cause.hint : "flyball doctor --clean removes what is left, once the engine answers",
    cause,
  });
}

/** What dead runs left goes first; what can't be removed keeps nobody from running, and is there for the next one to remove. */
async function cleared(docker: Docker, onProgress: (message: string) => void): Promise<void> {
  try {
    await removeOrphans(docker);
  } catch (error) {
    onProgress(`something that dead runs left can't be removed: ${reasonOf(error)}`);
  }
}

/** The file of the project that a foreign program is, where it is one. */
export function foreignFile(foreign: Pick<ForeignPlan, "image" | "command"> | undefined): string | undefined {
  const [file] = foreign?.image === undefined ? (foreign?.command ?? []) : [];
  return file?.includes("/") === true ? file : undefined;
}

/** Whether /proc/net/tcp (proc(5)) has a socket in state LISTEN (0A) at the port. */
function hasListener(table: string, port: number): boolean {
  const local = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  return table.split("\n").some((line) => {
    const [, address = "", , state] = line.trim().split(/\s+/);
    return address.endsWith(local) && state === "0A";
  });
}
