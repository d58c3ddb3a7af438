import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

import type Docker from "dockerode";

import { WorldError } from "../error.ts";
import { Container, type ContainerSpec } from "./container.ts";
import { ensureImage, type ImageName } from "./engine.ts";

/** A server that Flyball didn't write: how it is started, and when it is ready. */
export interface ServerKind {
  readonly image: ImageName;
  readonly command?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** The first is the one that clients use. */
  readonly ports: readonly number[];
  /** Whether it answers as it should; `addressOf` tells where this machine reaches one of its ports. A rejection is a no. */
  readonly isReady: (addressOf: (port: number) => string) => Promise<boolean>;
}

/** Time that a server has to get ready: Nacos, on two cores that ten others want, too, needs more than a minute. */
const readyWithinMs = 90_000;
const lookAgainAfterMs = 100;

/**
 * ZooKeeper: sessions from half a second on, so that scenarios needn't wait for the usual four. It doesn't wait for its disk: a killed
 * server still finds all that it wrote, only one whose machine loses its power may not, and a disk that stands still for a second would
 * end sessions.
 */
export const zookeeper: ServerKind = {
  image: "zookeeper",
  env: {
    ZOO_TICK_TIME: "500",
    ZOO_CFG_EXTRA: "minSessionTimeout=500 maxSessionTimeout=40000 forceSync=no",
    ZOO_4LW_COMMANDS_WHITELIST: "ruok,srvr,cons,dump,wchp,mntr",
    ZOO_MAX_CLIENT_CNXNS: "0",
  },
  ports: [2181],
  // "ruok" is answered well before sessions are accepted.
  isReady: async (addressOf) => /^Mode: /m.test(await say(addressOf(2181), "srvr")),
};

/** Nacos: its HTTP port, and the gRPC one, which is always 1000 higher. */
export const nacos: ServerKind = {
  image: "nacos",
  env: { MODE: "standalone", JVM_XMS: "256m", JVM_XMX: "512m", JVM_XMN: "128m" },
  ports: [8848, 9848],
  isReady: async (addressOf) => (await get(addressOf(8848), "/nacos/v1/console/health/readiness")).ok,
};

export const consul: ServerKind = {
  image: "consul",
  command: ["agent", "-dev", "-client", "0.0.0.0", "-log-level", "warn"],
  ports: [8500],
  isReady: async (addressOf) => {
    const answer = await get(addressOf(8500), "/v1/status/leader");
    return answer.ok && (await answer.text()) !== '""';
  },
};

/** OTLP over HTTP, the query API, health. */
export const jaegerPorts = { otlp: 4318, query: 16686, health: 13133 } as const;

/** Jaeger, with its traces in memory. */
export const jaeger: ServerKind = {
  image: "jaeger",
  ports: Object.values(jaegerPorts),
  isReady: async (addressOf) => (await get(addressOf(jaegerPorts.health), "/status")).ok,
};

export const prometheus: ServerKind = {
  image: "prometheus",
  ports: [9090],
  isReady: async (addressOf) => (await get(addressOf(9090), "/-/ready")).ok,
};

export const seataPort = 8091;

/** Seata's coordinator with its file store; the second port is its console's. */
export const seata: ServerKind = {
  image: "seata-server",
  env: { SEATA_PORT: String(seataPort), JVM_XMS: "128m", JVM_XMX: "384m" },
  ports: [seataPort, 7091],
  // The status is 200 from the start; the body says when it takes transactions.
  isReady: async (addressOf) => (await (await get(addressOf(7091), "/health")).text()).includes("ok"),
};

/**
 * The same, which answers when what it answers is on its disk: by default its file store may forget the last moments before a crash. And
 * what was being decided then is taken up again after 3 s, and not after 130 s as by default.
 */
export const durableSeata: ServerKind = {
  ...seata,
  env: {
    ...seata.env,
    JAVA_OPT: "-Dseata.store.file.flush-disk-mode=sync -Dseata.server.retry-dead-threshold=3000",
  },
};

export const postgresPort = 5432;

/** PostgreSQL, with nothing in it. */
export const postgres: ServerKind = {
  image: "postgres",
  env: { POSTGRES_USER: "flyball", POSTGRES_PASSWORD: "flyball", POSTGRES_DB: "flyball" },
  ports: [postgresPort],
  // While it sets itself up it listens on no port.
  isReady: async (addressOf) => isPostgres(addressOf(postgresPort)),
};

export type ServerOptions = Omit<ContainerSpec, "image" | "ports" | "role"> & {
  /** Default: the image's name. */
  readonly role?: string;
  readonly onProgress?: (message: string) => void;
  readonly signal?: AbortSignal;
};

/** A server that is ready. */
export interface RunningServer {
  readonly container: Container;
  /** Where this machine reaches a port of it: "127.0.0.1:49153". It changes with each start, and with each way back onto its network. */
  addressOf(port: number): string;
  /** Looks again where that is. */
  locate(): Promise<void>;
  /** Starts it again after it was killed or stopped; resolves when it is ready. */
  restart(): Promise<void>;
}

/**
 * Starts a server and waits until it is ready. One that ends while it starts, as Nacos does when its database takes too long on a busy
 * machine, gets a second container. Rejects with a `WorldError` that holds the last lines of its log.
 */
export async function startServer(docker: Docker, kind: ServerKind, options: ServerOptions): Promise<RunningServer> {
  const image = await ensureImage(docker, kind.image, options.onProgress);
  try {
    return await startContainer(docker, kind, image, options);
  } catch (error) {
    if (!(error instanceof EndedEarly)) throw error;
    const { role = kind.image } = options;
    options.onProgress?.(`${role} ended before it was ready: starting another`);
    return startContainer(docker, kind, image, options);
  }
}

async function startContainer(
  docker: Docker,
  kind: ServerKind,
  image: string,
  { onProgress: _, signal, role = kind.image, ...rest }: ServerOptions,
): Promise<RunningServer> {
  const container = await Container.create(docker, {
    command: kind.command,
    ...rest,
    env: { ...kind.env, ...rest.env },
    role,
    image,
    ports: kind.ports,
  });
  let addresses = new Map<number, string>();
  const addressOf = (port: number): string => addresses.get(port) ?? "";
  const locate = async (): Promise<void> => {
    addresses = new Map(
      await Promise.all(kind.ports.map(async (port) => [port, await container.address(port)] as const)),
    );
  };
  const start = async (): Promise<void> => {
    await container.start();
    await untilReady(
      container,
      async () => {
        await locate();
        return kind.isReady(addressOf);
      },
      signal,
    );
  };
  try {
    await start();
  } catch (error) {
    await container.remove();
    throw error;
  }
  return { container, addressOf, locate, restart: start };
}

/** A server that ended before it was ready. */
class EndedEarly extends WorldError {}

async function untilReady(container: Container, isReady: () => Promise<boolean>, signal?: AbortSignal): Promise<void> {
  const { role } = container.spec;
  const untilMs = performance.now() + readyWithinMs;
  while (!(await isReady().catch(() => false))) {
    signal?.throwIfAborted();
    const isRunning = await container.isRunning();
    if (!isRunning || performance.now() > untilMs) {
      const why = isRunning ? `isn't ready after ${readyWithinMs / 1000} s` : "ended before it was ready";
      const lastWords = await container.lastWords();
      const Kind = isRunning ? WorldError : EndedEarly;
      throw new Kind(`${role} ${why}${lastWords === "" ? "" : `; the last that it logged:\n${lastWords}`}`, {
        code: "NOT_READY",
        hint: isRunning ? "this machine may be too busy, or too small" : "its image may be another one than is meant",
      });
    }
    await sleep(lookAgainAfterMs, undefined, signal && { signal });
  }
}

/** An answer must come soon: what hangs isn't ready. */
const get = (address: string, path: string): Promise<Response> =>
  fetch(`http://${address}${path}`, { signal: AbortSignal.timeout(2_000) });

/** Says a word to a server that answers and hangs up (ZooKeeper's four-letter words). */
function say(address: string, word: string): Promise<string> {
  const [host, port] = address.split(":") as [string, string];
  return new Promise((resolve, reject) => {
    let answer = "";
    const socket = connect({ host, port: Number(port), timeout: 2_000 }, () => socket.write(word));
    socket.setEncoding("utf8").on("data", (text: string) => (answer += text));
    socket.once("timeout", () => socket.destroy(new Error("no answer")));
    socket.once("error", reject).once("close", () => resolve(answer));
  });
}

/** Begins to log in: who is starting up answers with an error, who is ready asks for the password. */
function isPostgres(address: string): Promise<boolean> {
  const [host, port] = address.split(":") as [string, string];
  const words = Buffer.from("user\0flyball\0database\0flyball\0\0");
  const head = Buffer.alloc(8);
  head.writeInt32BE(head.length + words.length, 0);
  head.writeInt32BE(3 << 16, 4);
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port: Number(port), timeout: 2_000 }, () =>
      socket.write(Buffer.concat([head, words])),
    );
    socket.once("data", (answer) => {
      resolve(answer.toString("latin1", 0, 1) === "R");
      socket.destroy();
    });
    socket.once("timeout", () => socket.destroy(new Error("no answer")));
    socket.once("error", reject).once("close", () => resolve(false));
  });
}
