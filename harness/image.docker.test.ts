import { fileURLToPath } from "node:url";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { Containers, docker, imageOf, noDocker, uniqueName } from "./testing/docker.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const name = uniqueName();
const image = `${name}:test`;
const containers = new Containers();

describe.skipIf(noDocker !== undefined)(
  `the image of the fleet${noDocker === undefined ? "" : ` (${noDocker})`}`,
  () => {
    beforeAll(async () => {
      const node = imageOf("node", "node:24.21.0-bookworm-slim");
      const args = ["build", "--quiet", "--network", "none", "--tag", image, "--build-arg", `NODE_IMAGE=${node}`];
      args.push("--build-arg", `IMAGE_OF=${name}`);
      // The classic builder, which knows nothing of BuildKit.
      await docker([...args, "--file", `${root}/services/Dockerfile`, root], { ...process.env, DOCKER_BUILDKIT: "0" });
    }, 400_000);
    afterAll(async () => {
      await containers.close();
      await docker(["rmi", "--force", image]);
      // And the stage that it was made from.
      await docker(["image", "prune", "--force", "--filter", `label=flyball.image=${name}`]);
    });

    const inside = (script: string): Promise<string> =>
      docker(["run", "--rm", "--label", "flyball.test=1", "--entrypoint", "sh", image, "-c", script]);

    test("is built without a network, and holds what runs, and no more", async () => {
      const packages = (await inside("cd /flyball/node_modules; ls -d */package.json @*/*/package.json")).split("\n");
      expect(packages).toContain("@bufbuild/protobuf/package.json");
      expect(packages.join()).not.toMatch(/vitest|eslint|typescript|prettier|node-linux|rolldown/);
      expect(await inside("find /flyball/runtime /flyball/services -name '*.test.ts'; ls -A /flyball")).toBe(
        [".cache", "node_modules", "package.json", "runtime", "services"].join("\n"),
      );
    });

    test("runs as nobody in particular, who may write his disk and not the program", async () => {
      expect(await inside("id -u; pwd; touch here && echo yes; touch /flyball/services/main.ts || echo no")).toBe(
        "1000\n/var/lib/flyball\nyes\nno",
      );
    });

    test("a fleet of containers finds each other by name", async () => {
      const network = await containers.network();
      const on = (name: string): readonly string[] => ["--network", network, "--network-alias", name];
      const registry = await containers.start(on("registry"), image, [
        ...["registry", "--listen", "0.0.0.0:2181", "--expose"],
      ]);
      await containers.prints(registry, /is ready/);
      const provider = await containers.start(on("orders-0"), image, [
        ...["provider", "--node", "orders/0", "--registry", "registry:2181"],
        ...["--listen", "0.0.0.0:20880", "--expose", "--advertise", "orders-0:20880"],
      ]);
      await containers.prints(provider, /is ready/);
      const consumer = await containers.start(on("shop-0"), image, ["consumer", "--registry", "registry:2181"]);
      await containers.prints(consumer, /\d+ calls: OK \d+ .*orders\/0 \d+/);
      await docker(["stop", "--time", "10", consumer]);
      expect(await docker(["inspect", "--format", "{{.State.ExitCode}}", consumer])).toBe("0");
    }, 60_000);
  },
);
