import { existsSync } from "node:fs";
import { homedir, release } from "node:os";
import { join } from "node:path";
import { json } from "node:stream/consumers";

import Docker from "dockerode";

import { WorldError } from "../error.ts";

/** What stands in the way of containers here, and what to do about it. */
export interface Obstacle {
  readonly message: string;
  readonly hint: string;
}

/** How long an engine may take to say what it is. */
const answerWithinMs = 5_000;
/** … and to do what it was told: several times what removing a container takes on a busy machine. */
const doneWithinMs = 60_000;
/** A pull that moves forward says so more often than this. */
const silentPullMs = 120_000;

/** Ready-made images by the name in `FLYBALL_IMAGE_<NAME>`, which overrides them. */
export const defaultImages = {
  node: "node:24.21.0-bookworm-slim",
  zookeeper: "zookeeper:3.9.4",
  nacos: "nacos/nacos-server:v2.2.4",
  consul: "hashicorp/consul:1.22.0",
  jaeger: "jaegertracing/jaeger:2.13.0",
  prometheus: "prom/prometheus:v3.16.0",
  k6: "grafana/k6:1.8.1",
  "seata-server": "seataio/seata-server:2.0.0",
  postgres: "postgres:15.20",
} as const;

export type ImageName = keyof typeof defaultImages;

/** The variable that names another image: "FLYBALL_IMAGE_SEATA_SERVER". */
export const overrideOf = (name: ImageName): string => `FLYBALL_IMAGE_${name.toUpperCase().replaceAll("-", "_")}`;

/**
 * The image to take for `name`: what the environment says, else the official one. As in docker-compose.yml, an empty variable says nothing.
 */
export function imageOf(name: ImageName, env: NodeJS.ProcessEnv = process.env): string {
  return env[overrideOf(name)]?.trim() || defaultImages[name];
}

/**
 * A Docker engine, where `DOCKER_HOST` says or at its usual socket. Nothing is connected yet. What it doesn't do within `withinMs`
 * (default 60,000) is a `WorldError`: one that hangs keeps nobody. Only waiting for a container's end may take as long as it does.
 * Where `DOCKER_HOST` and what belongs to it are no way to any engine, this throws a `WorldError`, too.
 */
export function openEngine(withinMs = doneWithinMs): Docker {
  const docker = clientOf(process.env["DOCKER_HOST"]);
  const modem = docker.modem as unknown as Modem;
  const dial = modem.dial.bind(modem);
  modem.dial = (request, answer) => {
    if (/\/wait(\?|$)/.test(request.path)) return dial({ ...request, isStream: true }, whole(answer));
    const giveUp = new AbortController();
    let isAnswered = false;
    const once: typeof answer = (error, data) => {
      if (isAnswered) return;
      isAnswered = true;
      clearTimeout(timer);
      answer(error, data);
    };
    const timer = setTimeout(() => {
      const [path] = request.path.split("?");
      once(
        new WorldError(`the Docker engine didn't answer ${request.method} ${path} within ${withinMs / 1000} s`, {
          code: "UNAVAILABLE",
          hint: "it may hang: docker info says whether it answers; start it again (systemctl restart docker)",
        }),
      );
      giveUp.abort();
    }, withinMs);
    dial({ ...request, abortSignal: giveUp.signal }, once);
  };
  return docker;
}

function clientOf(host: string | undefined): Docker {
  if (!host) return new Docker({ socketPath: socketPath() });
  try {
    return new Docker();
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const isFile = code !== undefined && code !== "ERR_INVALID_URL";
    throw new WorldError(
      isFile
        ? `the Docker engine at ${host} can't be asked: what DOCKER_CERT_PATH should hold can't be read: ${message}`
        : `DOCKER_HOST is ${host}, which is no engine's address`,
      {
        code: "UNAVAILABLE",
        hint: isFile
          ? "let DOCKER_CERT_PATH name the directory with ca.pem, cert.pem and key.pem, or use --world local, which needs no engine"
          : "it looks like unix:///var/run/docker.sock or tcp://127.0.0.1:2375; or use --world local, which needs none",
        cause,
      },
    );
  }
}

/** What of docker-modem every call to an engine goes through. */
interface Modem {
  dial: (
    request: {
      readonly method: string;
      readonly path: string;
      readonly abortSignal?: AbortSignal;
      readonly isStream?: boolean;
    },
    answer: Answer,
  ) => void;
}

type Answer = (error: unknown, data?: unknown) => void;

/** Reads an answer as it comes: docker-modem itself never hears of one that breaks off, as when the engine ends in the middle. */
function whole(answer: Answer): Answer {
  return (error, body) => {
    if (error) return answer(error);
    const brokenOff = (cause: unknown): void =>
      answer(
        new WorldError("the Docker engine broke off its answer", {
          code: "UNAVAILABLE",
          hint: "does it still run?",
          cause,
        }),
      );
    json(body as NodeJS.ReadableStream).then((data) => answer(null, data), brokenOff);
  };
}

/** Where the engine is, as in `DOCKER_HOST`. */
export function engineHost(): string {
  return process.env["DOCKER_HOST"] || `unix://${socketPath()}`;
}

/** Docker Desktop and rootless engines have sockets of their own. */
function socketPath(): string {
  const { XDG_RUNTIME_DIR: runtime } = process.env;
  const candidates = [
    "/var/run/docker.sock",
    ...(runtime === undefined ? [] : [join(runtime, "docker.sock")]),
    join(homedir(), ".docker/run/docker.sock"),
  ];
  return candidates.find((path) => existsSync(path)) ?? candidates[0]!;
}

/** Why containers can't be run here; undefined when they can. */
export async function obstacleTo(docker: Docker): Promise<Obstacle | undefined> {
  try {
    const info = (await inTime(docker.info())) as { readonly OSType?: string; readonly KernelVersion?: string };
    if (info.OSType !== "linux") {
      return { message: `the Docker engine runs ${info.OSType} containers`, hint: "switch it to Linux containers" };
    }
    // Times of harness and nodes are compared: they must be readings of one kernel's clock.
    if (info.KernelVersion !== release()) {
      return {
        message: `the Docker engine runs on another machine (kernel ${info.KernelVersion}, here ${release()}), whose clock can't be compared with this one's`,
        hint: "run Flyball where the engine is: on Linux, in WSL, or in a container beside it; or use --world local",
      };
    }
    return undefined;
  } catch (error) {
    return obstacleOf(error);
  }
}

function obstacleOf(error: unknown): Obstacle {
  const { code, address, message } = error as NodeJS.ErrnoException & { readonly address?: string };
  const where = process.env["DOCKER_HOST"] || address || socketPath();
  switch (code) {
    case "ENOENT":
      return {
        message: `no Docker engine is here: ${where} doesn't exist`,
        hint: "install Docker Engine (Debian and Ubuntu: apt-get install docker.io) and start it, or use --world local, which needs none",
      };
    case "ECONNREFUSED":
      return {
        message: `the Docker engine at ${where} isn't running`,
        hint: "start it (systemctl start docker), or use --world local, which needs none",
      };
    case "EACCES":
    case "EPERM":
      return {
        message: `you may not use the Docker engine at ${where}`,
        hint: "join its group (sudo usermod -aG docker $USER, then log in again), or set DOCKER_HOST to a rootless engine",
      };
    case undefined:
    default:
      return {
        message: `the Docker engine at ${where} doesn't answer: ${message}`,
        hint: "docker info says more; --world local needs no engine",
      };
  }
}

/** Rejects when an engine that accepts connections doesn't answer. */
async function inTime<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`nothing came within ${answerWithinMs / 1000} s`)), answerWithinMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Makes sure that the image is here; pulls it when it isn't. Rejects with a `WorldError` that says what to do. */
export async function ensureImage(
  docker: Docker,
  name: ImageName,
  onProgress: (message: string) => void = () => undefined,
): Promise<string> {
  return pulled(docker, imageOf(name), {
    otherwise: `name another with ${overrideOf(name)}`,
    onProgress,
  });
}

/** The same for an image that somebody else named. */
export async function pulled(
  docker: Docker,
  reference: string,
  { otherwise, onProgress }: { readonly otherwise: string; readonly onProgress: (message: string) => void },
): Promise<string> {
  try {
    if (await hasImage(docker, reference)) return reference;
    onProgress(`pulling ${reference}`);
    await pull(docker, reference, onProgress);
    return reference;
  } catch (cause) {
    throw new WorldError(`the image ${reference} can't be had: ${reasonOf(cause)}`, {
      code: "UNAVAILABLE",
      hint: `docker pull ${reference}, or ${otherwise}`,
      cause,
    });
  }
}

async function pull(docker: Docker, reference: string, onProgress: (message: string) => void): Promise<void> {
  const stream = (await docker.pull(reference)) as NodeJS.ReadableStream & { destroy(): void };
  let timer: NodeJS.Timeout | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      const isMoving = (): void => {
        clearTimeout(timer);
        timer = setTimeout(() => reject(new Error(`nothing moved for ${silentPullMs / 1000} s`)), silentPullMs);
      };
      isMoving();
      docker.modem.followProgress(
        stream,
        (error: Error | null) => (error === null ? resolve() : reject(error)),
        ({ status, progress }: { readonly status?: string; readonly progress?: string }) => {
          isMoving();
          onProgress(`pulling ${reference}: ${[status, progress].filter(Boolean).join(" ")}`);
        },
      );
    });
  } finally {
    clearTimeout(timer);
    stream.destroy();
  }
}

/** Rejects with a `WorldError` when no image can be called that. */
export async function hasImage(docker: Docker, reference: string): Promise<boolean> {
  const isNoName = (): WorldError => new WorldError("that is no image's name", { code: "UNAVAILABLE" });
  // The engine's own answer to some of these is a redirection to nowhere.
  if (!/^[a-zA-Z0-9]([\w:@-]|[./](?![./]))*$/.test(reference)) throw isNoName();
  try {
    await docker.getImage(reference).inspect();
    return true;
  } catch (error) {
    if (statusOf(error) === 404) return false;
    if (statusOf(error) === 400) throw isNoName();
    throw error;
  }
}

/** The HTTP status of an engine's refusal. */
export function statusOf(error: unknown): number | undefined {
  return (error as { readonly statusCode?: number } | undefined)?.statusCode;
}

/** What an engine said, without the status in front of it. */
export function reasonOf(error: unknown): string {
  const { json, message } = error as { readonly json?: { readonly message?: string }; readonly message?: string };
  return json?.message ?? message ?? String(error);
}
