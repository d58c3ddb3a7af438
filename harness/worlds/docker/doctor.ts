import type Docker from "dockerode";

import { WorldError } from "../error.ts";
import type { Finding } from "../finding.ts";
import { findOrphans, findSuperseded, removeOrphans, removeSuperseded } from "./clean.ts";
import { defaultImages, hasImage, imageOf, obstacleTo, openEngine, overrideOf, type ImageName } from "./engine.ts";

/** Fleets of containers and a Java server need about this much. */
const memoryBytesMin = 3 * 2 ** 30;

/** What this machine has and lacks for world `docker`; with `isCleaning`, what dead invocations left is removed. */
export async function examineDocker({ isCleaning }: { readonly isCleaning: boolean }): Promise<readonly Finding[]> {
  let docker: Docker;
  try {
    docker = openEngine();
  } catch (error) {
    if (!(error instanceof WorldError)) throw error;
    return [
      { name: "Docker engine", state: "missing", message: error.message, ...(error.hint && { hint: error.hint }) },
    ];
  }
  const obstacle = await obstacleTo(docker);
  if (obstacle !== undefined) return [{ name: "Docker engine", state: "missing", ...obstacle }];
  const [engine, images, leftovers] = await Promise.all([
    engineOf(docker),
    Promise.all((Object.keys(defaultImages) as ImageName[]).map((name) => imageFinding(docker, name))),
    leftoversOf(docker, isCleaning),
  ]);
  return [...engine, ...images, leftovers];
}

async function engineOf(docker: Docker): Promise<readonly Finding[]> {
  const { ServerVersion, NCPU, MemTotal } = (await docker.info()) as {
    readonly ServerVersion: string;
    readonly NCPU: number;
    readonly MemTotal: number;
  };
  const memory = `${(MemTotal / 2 ** 30).toFixed(1)} GiB`;
  const engine: Finding = {
    name: "Docker engine",
    state: "ok",
    message: `${ServerVersion}, ${NCPU} processors, ${memory} of memory`,
  };
  if (MemTotal >= memoryBytesMin) return [engine];
  return [
    engine,
    { name: "memory", state: "advice", message: `the engine has ${memory}`, hint: "give it 3 GiB or more for Nacos" },
  ];
}

async function imageFinding(docker: Docker, name: ImageName): Promise<Finding> {
  const reference = imageOf(name);
  try {
    if (await hasImage(docker, reference)) return { name: `image ${name}`, state: "ok", message: reference };
  } catch (error) {
    if (!(error instanceof WorldError)) throw error;
    const hint = `let ${overrideOf(name)} name one, as ${defaultImages[name]}`;
    return { name: `image ${name}`, state: "missing", message: `${reference}: ${error.message}`, hint };
  }
  return {
    name: `image ${name}`,
    state: "advice",
    message: `${reference} isn't here yet`,
    hint: `it is pulled when it is needed; docker pull ${reference}, or ${overrideOf(name)}=…`,
  };
}

async function leftoversOf(docker: Docker, isCleaning: boolean): Promise<Finding> {
  let left: Awaited<ReturnType<typeof findOrphans>>;
  try {
    left = await (isCleaning ? removeOrphans(docker) : findOrphans(docker));
  } catch (error) {
    if (!(error instanceof WorldError)) throw error;
    return { name: "leftovers", state: "advice", message: error.message, ...(error.hint && { hint: error.hint }) };
  }
  const { containers, networks, directories } = left;
  const images = await (isCleaning ? removeSuperseded(docker) : findSuperseded(docker));
  const parts = [
    ...(containers.length + networks.length === 0
      ? []
      : [`${count(containers.length, "container")} and ${count(networks.length, "network")} of dead runs`]),
    ...(directories.length === 0 ? [] : [`${count(directories.length, "director", ["y", "ies"])} of dead runs`]),
    ...(images.length === 0 ? [] : [`${count(images.length, "superseded image")} of ${megabytes(images)} MB`]),
  ];
  if (parts.length === 0) return { name: "leftovers", state: "ok", message: "none" };
  const what = parts.join(", ");
  if (isCleaning) return { name: "leftovers", state: "ok", message: `removed ${what}` };
  return { name: "leftovers", state: "advice", message: what, hint: "flyball doctor --clean removes them" };
}

const megabytes = (images: readonly { readonly bytes: number }[]): number =>
  Math.round(images.reduce((sum, { bytes }) => sum + bytes, 0) / 1e6);

const count = (number: number, what: string, [one, many] = ["", "s"]): string =>
  `${number} ${what}${number === 1 ? one : many}`;
