import { afterAll, expect, test } from "vitest";

import { constant, consumer, foreign, provider, scenario, successRate } from "../../scenario/builders.ts";
import type { Plan } from "../../scenario/plan.ts";
import { planScenario } from "../../scenario/planner.ts";
import type { ForeignSpec, Scenario } from "../../scenario/schema.ts";
import { runScenario } from "../../run.ts";
import { docker as dockerCommand, uniqueName } from "../../testing/docker.ts";
import { projectMount } from "../live/programs.ts";
import { observed } from "../live/testing.ts";
import { imageOf } from "./engine.ts";
import { describeReal } from "./testing.ts";
import { dockerWorld } from "./world.ts";

/** Somebody else's provider, as far as the world sees one: it says what it was told, and listens. */
const stranger = (script: string, more: Partial<ForeignSpec> = {}): ForeignSpec =>
  foreign({
    role: "provider",
    command: ["node", "-e", script],
    environment: { WHERE: "${ip}:${port}", ME: "${node} of ${service}, at ${registryAddress}" },
    ...more,
  });

const listens = `
  console.log(process.env.ME);
  require("node:net").createServer().listen(Number(process.env.WHERE.split(":")[1]));
  process.on("SIGTERM", () => setTimeout(() => process.exit(0), 100));`;

const scenarioWith = (stock: ForeignSpec): Scenario =>
  scenario({
    name: "strangers",
    title: { en: "Strangers", zh: "外来者" },
    explanation: { en: "A stranger.", zh: "外来者。" },
    fleet: {
      storefront: consumer({ instances: 1, calls: "orders" }),
      orders: provider({ instances: 1 }),
      stock,
    },
    load: constant("100/s").on("storefront").for("3s"),
    expect: [successRate("orders").atLeast("99%").detects("80%")],
  });

const planWith = (stock: ForeignSpec): Plan => planScenario(scenarioWith(stock), { world: "docker", seed: 1 });

describeReal("a foreign node", () => {
  const world = dockerWorld();
  afterAll(() => world.close!(), 60_000);

  test("is ready when it listens, and is killed, paused, cut off, stopped by SIGTERM and started again", async () => {
    const run = observed();
    await world.run(planWith(stranger(listens)), run.options, async (fleet) => {
      const node = fleet.nodes.get("stock/0")!;
      expect(node.state).toBe("running");
      await node.kill();
      expect(node.state).toBe("killed");
      await node.restart();
      expect(node.state).toBe("running");
      await node.pause();
      expect(node.state).toBe("paused");
      await node.resume();
      await node.disconnect();
      await node.reconnect();
      const beganUs = fleet.clock.nowUs();
      await node.stop();
      expect(node.state).toBe("stopped");
      // By the signal, which takes it 100 ms, and not by the end of its patience.
      expect(fleet.clock.nowUs() - beganUs).toBeLessThan(10_000_000);
      await node.restart();
      expect(node.state).toBe("running");
      await expect(node.slow(2)).rejects.toThrow("can't be told to be slow");
    });
    expect(run.exits).toEqual([]);
  }, 60_000);

  test("one that dies by itself is reported, with what it printed", async () => {
    const run = observed();
    const dies = `${listens} setTimeout(() => { console.error("no more"); process.exit(3); }, 1500);`;
    await world.run(planWith(stranger(dies)), run.options, async (fleet) => {
      while (run.exits.length === 0) await fleet.clock.sleep(20_000);
      expect(fleet.nodes.get("stock/0")!.state).toBe("killed");
    });
    expect(run.exits).toHaveLength(1);
    expect(run.exits[0]).toMatch(/^stock\/0: it ended with exit code 3; the last that it printed:\n/);
    expect(run.exits[0]).toMatch(/stock\/0 of stock, at 10\.\d+\.\d+\.\d+:2181\nno more$/);
  }, 60_000);

  test("one that dies in the middle is the run's error, and no defect of Flyball's", async () => {
    const dies = `${listens} setTimeout(() => process.exit(3), 2500);`;
    const { result, brokenBy } = await runScenario(scenarioWith(stranger(dies)), { world, seed: 1 });
    expect(result).toMatchObject({
      verdict: "error",
      reason: expect.stringMatching(/^node stock\/0 died by itself: it ended with exit code 3/) as string,
    });
    expect(brokenBy).toMatchObject({ name: "WorldError" });
  }, 60_000);

  test("one that gives up before it is ready is started once more", async () => {
    const first = `const { existsSync, writeFileSync } = require("node:fs");
      if (!existsSync("/tmp/was-here")) { writeFileSync("/tmp/was-here", ""); console.log("not yet"); process.exit(1); }`;
    const run = observed();
    await world.run(planWith(stranger(`${first} ${listens}`)), run.options, async (fleet) => {
      expect(fleet.nodes.get("stock/0")!.state).toBe("running");
    });
    expect(run.exits).toEqual([]);
  }, 60_000);

  test("one that doesn't get ready ends the start-up, with what was awaited and what it printed", async () => {
    const says = (script: string, ready: ForeignSpec["ready"]) =>
      expect(world.run(planWith(stranger(script, { ready })), observed().options, async () => undefined)).rejects;
    await says(`console.log("I can't"); setInterval(() => 0, 1000)`, { within: "1s" }).toThrow(
      "node stock/0 wasn't ready within 1 s: nothing listens at its port; the last that it printed:\nI can't",
    );
    await says(`console.log("I won't")`, { line: "I will" }).toThrow(
      `node stock/0 ended before it was ready: it never printed "I will"; the last that it printed:\nI won't`,
    );
  }, 60_000);

  test("one that is named by its image alone runs what that starts, with its environment, and sees nothing of the project", async () => {
    const name = uniqueName();
    const alone = `if (require("node:fs").existsSync("${projectMount}/package.json")) process.exit(7);`;
    const entrypoint = ["node", "-e", `${alone} ${listens} setTimeout(() => process.exit(3), 1500);`];
    await dockerCommand(["create", "--name", name, "--label", "flyball.test=1", imageOf("node"), "true"]);
    try {
      await dockerCommand(["commit", "--change", `ENTRYPOINT ${JSON.stringify(entrypoint)}`, name, `${name}:shop`]);
      const run = observed();
      const { command: _, ...shop } = stranger("", { image: `${name}:shop` });
      await world.run(planWith(shop), run.options, async (fleet) => {
        while (run.exits.length === 0) await fleet.clock.sleep(20_000);
      });
      expect(run.exits[0]).toMatch(
        /^stock\/0: it ended with exit code 3[^]*stock\/0 of stock, at 10\.\d+\.\d+\.\d+:2181$/,
      );
    } finally {
      await dockerCommand(["rm", "--force", name]);
      await dockerCommand(["rmi", "--force", `${name}:shop`]);
    }
  }, 60_000);

  test("a program that isn't there, or an image, is named", async () => {
    const planned = (spec: Partial<ForeignSpec>): Plan => planWith(foreign({ role: "provider", ...spec }));
    expect(world.refuses!(planned({ command: ["bin/no-such-shop"] }))).toMatchObject({
      message: "there is no file bin/no-such-shop in the project: a foreign program that isn't built",
    });
    expect(world.refuses!(planned({ command: ["package.json", "/x"] }))).toBeUndefined();
    const refused = planned({ image: "127.0.0.1:1/no/shop:1", command: ["/bin/shop"] });
    expect(world.refuses!(refused)).toBeUndefined();
    await expect(world.run(refused, observed().options, async () => undefined)).rejects.toThrow(
      "the image 127.0.0.1:1/no/shop:1 can't be had",
    );
  }, 60_000);
});
