import { setTimeout as sleep } from "node:timers/promises";

import type Docker from "dockerode";

import { WorldError } from "../error.ts";
import { orphanDirectories, removeOrphanDirectories } from "./directories.ts";
import { statusOf } from "./engine.ts";
import { isOwnerAlive, label } from "./labels.ts";

/** What was left behind, and is gone now. */
export interface Cleaned {
  readonly containers: readonly string[];
  readonly networks: readonly string[];
}

/** What invocations left behind that are dead. */
export interface Orphans extends Cleaned {
  /** Of this machine, with the disks of their nodes. */
  readonly directories: readonly string[];
}

/** Removes every container and network of one invocation, whatever its state. */
export function removeInvocation(docker: Docker, invocation: string): Promise<Cleaned> {
  return remove(docker, `${label.invocation}=${invocation}`, () => true);
}

/** What there is of an invocation. */
export function findInvocation(docker: Docker, invocation: string): Promise<Cleaned> {
  return namesOf(find(docker, `${label.invocation}=${invocation}`, () => true));
}

/** Time that containers may take to leave a network while somebody else is removing them: a guardian, another run. */
const leaveWithinMs = 10_000;

/** Removes what invocations left behind that are dead. Those that still run keep theirs. */
export async function removeOrphans(docker: Docker, withinMs = leaveWithinMs): Promise<Orphans> {
  const cleaned = await remove(docker, label.owner, (labels) => !isOwnerAlive(labels[label.owner] ?? ""), withinMs);
  // After the containers that have their disks in them.
  return { ...cleaned, directories: await removeOrphanDirectories() };
}

/** What dead invocations left behind. */
export async function findOrphans(docker: Docker): Promise<Orphans> {
  const found = await namesOf(find(docker, label.owner, (labels) => !isOwnerAlive(labels[label.owner] ?? "")));
  return { ...found, directories: orphanDirectories() };
}

/** An image of ours that is younger may be a build's that isn't through. */
const supersededAfterMs = 10 * 60_000;

/** Images of ours whose name a later build has taken, and its stages: nothing but disk space is lost with them. */
export async function findSuperseded(
  docker: Docker,
  { image, nowMs = Date.now() }: { readonly image?: string; readonly nowMs?: number } = {},
): Promise<readonly { readonly id: string; readonly bytes: number }[]> {
  const wanted = image === undefined ? label.image : `${label.image}=${image}`;
  const found = await docker.listImages({ filters: { dangling: ["true"], label: [wanted] } });
  return found
    .filter(({ Created }) => nowMs - Created * 1000 >= supersededAfterMs)
    .map(({ Id, Size }) => ({ id: Id, bytes: Size }));
}

/** Removes them; one that a container still uses stays. */
export async function removeSuperseded(
  docker: Docker,
  options?: Parameters<typeof findSuperseded>[1],
): ReturnType<typeof findSuperseded> {
  const removed = [];
  for (const image of await findSuperseded(docker, options)) {
    try {
      await docker.getImage(image.id).remove();
      removed.push(image);
    } catch (error) {
      // Somebody still uses it, or was quicker.
      if (!isOfNoMatter(error)) throw error;
    }
  }
  return removed;
}

async function namesOf(found: ReturnType<typeof find>): Promise<Cleaned> {
  const { containers, networks } = await found;
  return { containers: containers.map(({ name }) => name), networks: networks.map(({ name }) => name) };
}

interface Found {
  readonly id: string;
  readonly name: string;
}

async function find(
  docker: Docker,
  wanted: string,
  isTheirs: (labels: Readonly<Record<string, string>>) => boolean,
): Promise<{ readonly containers: readonly Found[]; readonly networks: readonly Found[] }> {
  const filters = { label: [wanted] };
  const [containers, networks] = await Promise.all([
    docker.listContainers({ all: true, filters }),
    docker.listNetworks({ filters }),
  ]);
  return {
    containers: containers
      .filter(({ Labels }) => isTheirs(Labels))
      .map(({ Id, Names }) => ({ id: Id, name: (Names[0] ?? Id).replace(/^\//, "") })),
    networks: networks.filter(({ Labels }) => isTheirs(Labels ?? {})).map(({ Id, Name }) => ({ id: Id, name: Name })),
  };
}

async function remove(
  docker: Docker,
  wanted: string,
  isTheirs: (labels: Readonly<Record<string, string>>) => boolean,
  withinMs = leaveWithinMs,
): Promise<Cleaned> {
  const { containers, networks } = await find(docker, wanted, isTheirs);
  await Promise.all(containers.map(({ id }) => gone(docker.getContainer(id).remove({ force: true, v: true }))));
  await Promise.all(networks.map((network) => removeNetwork(docker, network, withinMs)));
  return { containers: containers.map(({ name }) => name), networks: networks.map(({ name }) => name) };
}

/** A network goes when nobody is on it any more: a load generator that was let in ends with it. */
async function removeNetwork(docker: Docker, { id, name }: Found, withinMs: number): Promise<void> {
  const network = docker.getNetwork(id);
  const untilMs = performance.now() + withinMs;
  for (;;) {
    let guests: readonly string[] = [];
    await gone(
      network.inspect().then(async ({ Containers }) => {
        guests = Object.keys(Containers ?? {});
        await Promise.all(guests.map((guest) => gone(docker.getContainer(guest).remove({ force: true, v: true }))));
      }),
    );
    try {
      return await gone(network.remove());
    } catch (error) {
      // 403: somebody is on it still.
      if (statusOf(error) !== 403) throw error;
      if (performance.now() > untilMs) throw guests.length > 0 ? error : miscounted(name, error);
    }
    await sleep(100);
  }
}

/**
 * Engines have been seen to lose count when many containers leave at the same moment (20.10: "inconsistent endpoint_cnt", mended at a
 * start).
 */
const miscounted = (name: string, cause: unknown): WorldError =>
  new WorldError(`the engine counts somebody on the network ${name}, and shows nobody`, {
    code: "UNAVAILABLE",
    hint: "the network is empty and harms nobody; an engine that is restarted counts anew, and flyball doctor --clean removes it then",
    cause,
  });

/** Somebody else may have removed it, or be about to: that is as good. */
export async function gone(removal: Promise<unknown>): Promise<void> {
  try {
    await removal;
  } catch (error) {
    if (!isOfNoMatter(error)) throw error;
  }
}

/** 404: it isn't there any more. 409: it is being removed, or used. */
const isOfNoMatter = (error: unknown): boolean => [404, 409].includes(statusOf(error) ?? 0);
