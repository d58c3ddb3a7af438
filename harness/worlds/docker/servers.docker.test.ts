import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { expect, test } from "vitest";

import { docker as dockerCommand } from "../../testing/docker.ts";
import { Container } from "./container.ts";
import { findSuperseded, removeInvocation, removeOrphans, removeSuperseded } from "./clean.ts";
import { imageOf } from "./engine.ts";
import { label } from "./labels.ts";
import { createNetwork } from "./network.ts";
import { consul, jaeger, nacos, prometheus, startServer, zookeeper, type ServerKind } from "./servers.ts";
import { describeReal, docker, invocation, startTestServer } from "./testing.ts";

describeReal("servers", () => {
  test.each(Object.entries({ zookeeper, nacos, consul, jaeger, prometheus }))(
    "%s gets ready, on loopback only, and again after it was killed",
    async (_, kind) => {
      const server = await startTestServer(kind);
      const [port] = kind.ports as [number];
      expect(server.addressOf(port)).toMatch(/^127\.0\.0\.1:\d+$/);
      expect(await kind.isReady(server.addressOf)).toBe(true);
      await server.container.kill();
      await expect(kind.isReady(server.addressOf)).rejects.toThrow();
      await server.restart();
      expect(await kind.isReady(server.addressOf)).toBe(true);
      await server.container.remove();
    },
    90_000,
  );

  test("one that ends before it is ready says why, and leaves nothing", async () => {
    const broken: ServerKind = { ...consul, command: ["agent", "-no-such-option"] };
    const name = `flyball-${invocation}-broken`;
    const progress: string[] = [];
    const onProgress = (message: string): number => progress.push(message);
    await expect(startServer(docker, broken, { name, invocation, onProgress })).rejects.toThrow(
      /consul ended before it was ready; the last that it logged:[^]*no-such-option/,
    );
    expect(progress.filter((message) => message.includes("another"))).toEqual([
      "consul ended before it was ready: starting another",
    ]);
    expect(await docker.listContainers({ all: true, filters: { name: [name] } })).toEqual([]);
  }, 60_000);

  test("one that ends only the first time has a second life", async () => {
    const directory = await mkdtemp(join(tmpdir(), "second-"));
    await chmod(directory, 0o777);
    // As Nacos does when its database takes too long on a busy machine: the next one finds it warm.
    const { command, ...shaky } = consul;
    const name = `flyball-${invocation}-shaky`;
    const server = await startServer(docker, shaky, {
      name,
      invocation,
      entrypoint: ["sh", "-c", `[ -e /once/been ] && exec consul ${command!.join(" ")}; touch /once/been; exit 1`],
      mounts: [{ from: directory, to: "/once", isWritable: true }],
    });
    expect(await consul.isReady(server.addressOf)).toBe(true);
    await server.container.remove();
    await rm(directory, { recursive: true, force: true });
  }, 60_000);

  test("an image that isn't to be had is named, with the way out", async () => {
    process.env["FLYBALL_IMAGE_CONSUL"] = "127.0.0.1:1/flyball/none:1";
    try {
      await expect(startTestServer(consul)).rejects.toMatchObject({
        message: expect.stringContaining("the image 127.0.0.1:1/flyball/none:1 can't be had") as string,
        hint: expect.stringContaining("FLYBALL_IMAGE_CONSUL") as string,
      });
    } finally {
      delete process.env["FLYBALL_IMAGE_CONSUL"];
    }
  }, 60_000);

  test("a directory with a colon and a space in its name can be mounted", async () => {
    const directory = await mkdtemp(join(tmpdir(), "my:own project-"));
    await writeFile(join(directory, "word"), "here");
    const guest = await Container.create(docker, {
      name: `flyball-${invocation}-colon`,
      role: "guest",
      invocation,
      image: imageOf("node"),
      entrypoint: ["cat", "/project/word"],
      mounts: [{ from: directory, to: "/project" }],
    });
    await guest.start();
    await guest.ended();
    expect(await guest.lastWords()).toBe("here");
    await guest.remove();
    await rm(directory, { recursive: true });
  }, 30_000);

  test("what several remove at once is gone, and each is content", async () => {
    const shared = `${invocation}-shared`;
    const network = await createNetwork(docker, shared);
    for (let index = 0; index < 5; index++) {
      const name = `flyball-${shared}-${index}`;
      const spec = {
        name,
        role: "guest",
        invocation: shared,
        image: imageOf("node"),
        entrypoint: ["sleep", "infinity"],
      };
      const guest = await Container.create(docker, { ...spec, network: network.name, ip: network.addressOf(index) });
      await guest.start();
    }
    await Promise.all(
      Array.from({ length: 6 }, async (_, index) => {
        await sleep(30 * index);
        await removeInvocation(docker, shared);
      }),
    );
    expect(await docker.listNetworks({ filters: { label: [`${label.invocation}=${shared}`] } })).toEqual([]);
  }, 60_000);

  test("what a dead invocation left is removed, and what a live one has stays", async () => {
    const image = imageOf("node");
    const dead = `${invocation}-dead`;
    const orphan = await docker.createContainer({
      name: `flyball-${dead}`,
      Image: image,
      Labels: { [label.invocation]: dead, [label.owner]: `${(await import("node:os")).hostname()} another-boot 1 1` },
    });
    const mine = await Container.create(docker, {
      name: `flyball-${invocation}-mine`,
      role: "mine",
      invocation,
      image,
    });
    const { containers } = await removeOrphans(docker);
    expect(containers).toContain(`flyball-${dead}`);
    await expect(docker.getContainer(orphan.id).inspect()).rejects.toMatchObject({ statusCode: 404 });
    expect((await docker.getContainer(mine.id).inspect()).Id).toBe(mine.id);
    await removeInvocation(docker, invocation);
    await expect(docker.getContainer(mine.id).inspect()).rejects.toMatchObject({ statusCode: 404 });
  }, 60_000);

  test("an image of ours is superseded when a later build has its name, and not at once", async () => {
    const name = `flyball-${invocation}`;
    const build = async (content: string): Promise<void> => {
      const context = await mkdtemp(join(tmpdir(), "flyball-test-"));
      await writeFile(join(context, "Dockerfile"), `FROM scratch\nLABEL ${label.image}=${name} content=${content}\n`);
      await dockerCommand(["build", "--quiet", "--tag", name, context]);
      await rm(context, { recursive: true });
    };
    const late = { image: name, nowMs: Date.now() + 11 * 60_000 };
    await build("old");
    const { Id: old } = await docker.getImage(name).inspect();
    expect(await findSuperseded(docker, late)).toEqual([]);
    await build("new");
    expect(await findSuperseded(docker, { image: name })).toEqual([]);
    expect((await removeSuperseded(docker, late)).map(({ id }) => id)).toEqual([old]);
    expect(await findSuperseded(docker, late)).toEqual([]);
    expect(await docker.listImages({ filters: { reference: [name] } })).toHaveLength(1);
    await docker.getImage(name).remove();
  }, 60_000);
});
