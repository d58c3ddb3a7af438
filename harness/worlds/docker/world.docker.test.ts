import { execFile, spawn, type ChildProcess } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { createServer, request as httpRequest } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

import { afterAll, describe, expect, test } from "vitest";

import type { Plan, StepPlan } from "../../scenario/plan.ts";
import { prometheusAt } from "../../telemetry/prometheus.ts";
import { turnsOf } from "../../turn.ts";
import { smallPlan } from "../live/fixture.ts";
import { liveFacts, observed } from "../live/testing.ts";
import type { WorldOptions } from "../world.ts";
import { engineHost, openEngine } from "./engine.ts";
import { Invocation } from "./invocation.ts";
import { label } from "./labels.ts";
import { describeReal, docker } from "./testing.ts";
import { dockerWorld } from "./world.ts";

describeReal("a world of containers", () => {
  const world = dockerWorld();
  afterAll(() => world.close!(), 60_000);

  describe("like every live world", () => {
    test.each(Object.entries(liveFacts))("%s", (_, holds) => holds(world), 90_000);
  });

  test("a node that dies by itself is reported, and the run goes on", async () => {
    const run = observed();
    await world.run(smallPlan(), run.options, async (fleet) => {
      const [container] = await mine("orders/1");
      await docker.getContainer(container!).kill();
      while (run.exits.length === 0) await fleet.clock.sleep(5_000);
      expect(run.exits).toEqual(["orders/1: it was ended by signal 9"]);
      expect(fleet.nodes.get("orders/1")!.state).toBe("killed");
      expect(await run.drive(fleet, 10)).toEqual({ OK: 10 });
    });
  }, 60_000);

  test("a node that died off the network leaves its place to the next run", async () => {
    const first = observed();
    await world.run(smallPlan(), first.options, async (fleet) => {
      await fleet.nodes.get("orders/1")!.disconnect();
      await fleet.nodes.get("orders/1")!.kill();
    });
    const next = observed();
    await world.run(smallPlan(), next.options, async (fleet) => {
      expect(await next.drive(fleet, 40)).toEqual({ OK: 40 });
      expect(next.instances()).toEqual(["orders/0", "orders/1"]);
    });
  }, 60_000);

  test("runs side by side have places, rules and faults of their own", async () => {
    const runs = [observed(), observed()];
    const [touched, other] = turnsOf(2);
    const addresses = await Promise.all([
      world
        .run(smallPlan(), runs[0]!.options, async (fleet) => {
          await touched!.begin();
          await fleet.publish("orders.tag-router", "force: false\ntags: []\n");
          await runs[0]!.until(({ type }) => type === "rule");
          await fleet.nodes.get("orders/0")!.kill();
          await touched!.end();
          return [...fleet.nodes.values()].map(({ address }) => address);
        })
        .finally(() => touched!.leave()),
      world
        .run(smallPlan(), runs[1]!.options, async (fleet) => {
          await other!.begin();
          await other!.end();
          expect(runs[1]!.events.filter(({ type }) => type === "rule")).toEqual([]);
          // The other's orders/0 is dead by now.
          expect(await runs[1]!.drive(fleet, 40)).toEqual({ OK: 40 });
          expect(runs[1]!.instances()).toEqual(["orders/0", "orders/1"]);
          return [...fleet.nodes.values()].map(({ address }) => address);
        })
        .finally(() => other!.leave()),
    ]);
    expect(new Set(addresses.flat()).size).toBe(10);
  }, 60_000);

  test("a config centre that was off the network takes documents again", async () => {
    const run = observed();
    await world.run(smallPlan(), run.options, async (fleet) => {
      const center = fleet.nodes.get("config-center/0")!;
      await center.disconnect();
      await center.reconnect();
      await fleet.publish("orders.tag-router", "force: false\ntags: []\n");
      await run.until(({ type }) => type === "rule");
    });
  }, 60_000);

  test("a real registry that was started again, or was off the network, takes documents again", async () => {
    const run = observed();
    const plan = smallPlan([], { registry: "zookeeper" });
    const [step] = plan.timeline;
    // A fault that touches it: this run's registry is its own.
    const what = {
      kind: "fault",
      fault: { kind: "kill", target: "registry" },
      forUs: 1,
      nodes: ["registry/0"],
      links: [],
    };
    const nodes = plan.nodes.filter(({ program }) => program !== "config-center");
    const timeline = [{ ...step!, what } as (typeof plan.timeline)[number]];
    await world.run({ ...plan, nodes, timeline }, run.options, async (fleet) => {
      const registry = fleet.nodes.get("registry/0")!;
      await registry.kill();
      await registry.restart();
      await fleet.publish("orders.tag-router", "force: false\ntags: []\n");
      await registry.disconnect();
      await registry.reconnect();
      await fleet.publish("orders.tag-router", "force: true\ntags: []\n");
    });
    expect(await mine("registry/0")).toEqual([]);
  }, 120_000);

  test("a fleet that can't be laid leaves no container, names what is missing, and the next one is", async () => {
    const image = process.env["FLYBALL_IMAGE_JAEGER"];
    process.env["FLYBALL_IMAGE_JAEGER"] = "127.0.0.1:1/flyball/none:1";
    const run = observed();
    try {
      const plan = { ...smallPlan(), tracing: { sample: 1 } };
      await expect(world.run(plan, run.options, () => Promise.reject(new Error("it began")))).rejects.toThrow(
        "the image 127.0.0.1:1/flyball/none:1 can't be had",
      );
    } finally {
      if (image === undefined) delete process.env["FLYBALL_IMAGE_JAEGER"];
      else process.env["FLYBALL_IMAGE_JAEGER"] = image;
    }
    expect(await mine("orders/0")).toEqual([]);
    expect(await mine("jaeger")).toEqual([]);
    await world.run(smallPlan(), run.options, async (fleet) => {
      expect(await run.drive(fleet, 10)).toEqual({ OK: 10 });
    });
  }, 90_000);

  test("what an engine won't remove is named", async () => {
    const directory = await mkdtemp(join(tmpdir(), "engine-"));
    const socket = join(directory, "docker.sock");
    const real = engineHost().replace(/^unix:\/\//, "");
    /** The real engine, but for removals. */
    const stubborn = createServer((request, response) => {
      if (request.method === "DELETE") {
        response.writeHead(500).end('{"message":"not today"}');
        return;
      }
      const { method, url: path, headers } = request;
      const onward = httpRequest({ socketPath: real, method, path, headers }, (answer) => {
        response.writeHead(answer.statusCode ?? 500, answer.headers);
        answer.pipe(response);
      });
      request.pipe(onward);
    });
    await new Promise<void>((resolve) => stubborn.listen(socket, resolve));
    const host = process.env["DOCKER_HOST"];
    process.env["DOCKER_HOST"] = `unix://${socket}`;
    let network = "";
    try {
      const invocation = await Invocation.open(openEngine(), () => undefined);
      network = invocation.network.name;
      await expect(invocation.close()).rejects.toMatchObject({
        name: "WorldError",
        message: expect.stringContaining(`${network} couldn't be removed`) as string,
        hint: expect.stringContaining("doctor --clean") as string,
      });
    } finally {
      if (host === undefined) delete process.env["DOCKER_HOST"];
      else process.env["DOCKER_HOST"] = host;
      stubborn.close();
      await rm(directory, { recursive: true, force: true });
      if (network !== "") await docker.getNetwork(network).remove();
    }
  }, 90_000);

  test("a run whose containers somebody removes fails, and the next one has others", async () => {
    const run = observed();
    const links = [{ from: "shop/0", to: "orders/0" }];
    const ran = world.run(smallPlan(links), run.options, async (fleet) => {
      const all = await docker.listContainers({ all: true, filters: { label: [label.owner] } });
      const ours = all.filter(({ Labels }) => Labels[label.owner]?.split(" ")[2] === String(process.pid));
      const removed = ours.filter(({ Labels }) => /^(proxies|orders\/0)$/.test(Labels[label.role] ?? ""));
      expect(removed.length).toBe(2);
      await Promise.all(removed.map(({ Id }) => docker.getContainer(Id).remove({ force: true })));
      while (run.exits.length === 0) await fleet.clock.sleep(5_000);
      await fleet.link("shop/0", "orders/0").shape({ cut: "both" });
    });
    await expect(ran).rejects.toThrow("the container with the proxies is gone");
    expect(await mine("orders/1")).toEqual([]);
    await world.run(smallPlan(links), run.options, async (fleet) => {
      expect(await run.drive(fleet, 20)).toEqual({ OK: 20 });
    });
  }, 90_000);

  test("its Prometheus knows which faults are there, from when they are applied until they are lifted", async () => {
    const run = observed();
    const kill = {
      kind: "fault",
      fault: { kind: "kill", target: "orders/1" },
      forUs: 1,
      nodes: ["orders/1"],
      links: [],
    };
    const step = { type: "step", atUs: 0, index: 0, what: kill as StepPlan["what"] } as const;
    await world.run({ ...smallPlan(), isScraped: true }, run.options, async (fleet) => {
      const [id] = await mine("prometheus");
      const { Ports } = (await docker.listContainers({ filters: { id: [id!] } }))[0]!;
      const prometheus = prometheusAt(`http://127.0.0.1:${Ports.find(({ PublicPort }) => PublicPort)!.PublicPort}`);
      const active = async (): Promise<readonly unknown[]> =>
        (await prometheus.query("flyball_fault_active")).map(({ labels: { kind, target }, value }) => [
          kind,
          target,
          value,
        ]);
      const until = async (wanted: number): Promise<void> => {
        for (let tries = 0; tries < 150; tries++) {
          const found = await active();
          if (JSON.stringify(found) === JSON.stringify([["kill", "orders/1", wanted]])) return;
          await sleep(100);
        }
        expect(await active()).toEqual([["kill", "orders/1", wanted]]);
      };
      fleet.hear!({ ...step, phase: "applied" });
      await until(1);
      fleet.hear!({ ...step, phase: "lifted" });
      await until(0);
    });
    expect((await mine("faults of run-1")).length).toBe(0);
  }, 90_000);

  test("runs side by side don't meet, and each is gone with its close", async () => {
    const others = [dockerWorld(), dockerWorld()];
    /** The same fleet, but for its providers' names: who meets the other's would see them. */
    const planOf = (fleet: number): Plan => {
      const plan = smallPlan();
      const renamed = plan.nodes.map((node) => ({
        ...node,
        id: node.id.replace(/^orders\/(\d)$/, (_, index) => `orders/${Number(index) + 2 * fleet}`),
      }));
      return { ...plan, nodes: renamed };
    };
    const seen = await Promise.all(
      others.map(async (other, index) => {
        const run = observed();
        const memberships: (readonly string[])[] = [];
        const onEvents: WorldOptions["onEvents"] = (node, events) => {
          for (const event of events) if (event.type === "membership") memberships.push(event.instances);
          run.options.onEvents(node, events);
        };
        return other.run(planOf(index), { ...run.options, onEvents }, async (fleet) => {
          expect(await run.drive(fleet, 40)).toEqual({ OK: 40 });
          return { called: run.instances(), listed: [...new Set(memberships.flat())].toSorted() };
        });
      }),
    );
    expect(seen).toEqual(
      [
        ["orders/0", "orders/1"],
        ["orders/2", "orders/3"],
      ].map((own) => ({ called: own, listed: own })),
    );
    const before = await everything();
    await Promise.all(others.map((other) => other.close!()));
    const after = await everything();
    expect(before.length - after.length).toBeGreaterThanOrEqual(2 * (5 + 1));
  }, 120_000);

  test("from nothing to a first call it takes less than half a minute, real servers included", async () => {
    const fresh = dockerWorld();
    const run = observed();
    const plan = { ...smallPlan(), registry: "zookeeper" as const, tracing: { sample: 1 }, isScraped: true };
    const beganMs = performance.now();
    try {
      await fresh.run(plan, run.options, async (fleet) => {
        expect(await run.drive(fleet, 1)).toEqual({ OK: 1 });
        expect(performance.now() - beganMs).toBeLessThan(30_000);
      });
    } finally {
      await fresh.close!();
    }
  }, 90_000);

  test("an abort ends a start-up and a run, a paused node included", async () => {
    for (const moment of ["2 of 5 nodes ready", "main"]) {
      const abort = new AbortController();
      const run = observed(abort.signal, (message) => {
        if (message === moment) abort.abort(new Error("enough"));
      });
      const ran = world.run(smallPlan(), run.options, async (fleet) => {
        await fleet.nodes.get("orders/0")!.pause();
        abort.abort(new Error("enough"));
        throw abort.signal.reason;
      });
      await expect(ran).rejects.toThrow("enough");
      // Places stay for the next run; nodes don't.
      expect(await mine("orders/0")).toEqual([]);
    }
  }, 90_000);

  test.each(["paused", "starting 5 containers", "1 of 5 nodes ready"])(
    "a harness that is killed (%s) leaves neither container nor network",
    async (when) => {
      const child = start();
      await printed(child, when);
      const owner = `${child.pid}`;
      child.kill("SIGKILL");
      await new Promise((resolve) => child.once("exit", resolve));
      const untilMs = performance.now() + 30_000;
      let left = await ofProcess(owner);
      while (left.length > 0 && performance.now() < untilMs) {
        await sleep(200);
        left = await ofProcess(owner);
      }
      expect(left).toEqual([]);
    },
    90_000,
  );

  test("what a harness leaves that is killed with its guardian, the next run removes", async () => {
    const child = start();
    await printed(child, "paused");
    const { stdout: guardians } = await promisify(execFile)("pgrep", [
      "-P",
      String(child.pid),
      "-f",
      "guardian-process",
    ]);
    for (const guardian of guardians.trim().split("\n")) process.kill(Number(guardian), "SIGKILL");
    // At once: a guardian that is missed is replaced.
    child.kill("SIGKILL");
    await new Promise((resolve) => child.once("exit", resolve));
    const directories = async (): Promise<readonly string[]> =>
      (await readdir(tmpdir())).filter((name) => name.startsWith("flyball-") && name.includes(`-${child.pid}-`));
    expect((await ofProcess(`${child.pid}`)).length).toBeGreaterThan(5);
    expect(await directories()).toHaveLength(1);
    const next = dockerWorld();
    const run = observed();
    try {
      await next.run(smallPlan(), run.options, async (fleet) => {
        expect(await ofProcess(`${child.pid}`)).toEqual([]);
        expect(await directories()).toEqual([]);
        expect(await run.drive(fleet, 10)).toEqual({ OK: 10 });
      });
    } finally {
      await next.close!();
    }
  }, 90_000);
});

const world = new URL("world.ts", import.meta.url).href;
const fixture = new URL("../live/fixture.ts", import.meta.url).href;

/** A harness of a small fleet: it pauses a node, tells so, and waits for ever. */
const harness = `
  const { dockerWorld } = await import(${JSON.stringify(world)});
  const { smallPlan } = await import(${JSON.stringify(fixture)});
  const ignore = () => undefined;
  const options = {
    onEvents: ignore, onGap: ignore, onExit: ignore, signal: new AbortController().signal,
    onProgress: (message) => console.log(message),
  };
  await dockerWorld().run(smallPlan([{ from: "shop/0", to: "orders/0" }]), options, async (fleet) => {
    await fleet.nodes.get("orders/0").pause();
    await fleet.link("shop/0", "orders/0").shape({ cut: "both" });
    console.log("paused");
    await fleet.clock.sleep(600_000_000);
  });
`;

function start(): ChildProcess {
  return spawn(process.execPath, ["--input-type=module", "--eval", harness], { stdio: ["ignore", "pipe", "inherit"] });
}

function printed(child: ChildProcess, line: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let text = "";
    child.stdout!.on("data", (more: Buffer) => {
      text += more.toString();
      if (text.includes(line)) resolve();
    });
    child.once("exit", () => reject(new Error(`the harness ended after printing ${text}`)));
  });
}

/** The ids of this process's running containers of that role. */
async function mine(role: string): Promise<readonly string[]> {
  const all = await docker.listContainers({ filters: { label: [`${label.role}=${role}`] } });
  return all.filter(({ Labels }) => Labels[label.owner]?.split(" ")[2] === String(process.pid)).map(({ Id }) => Id);
}

/** The names of everything that a process has made. */
async function ofProcess(pid: string): Promise<readonly string[]> {
  const filters = { label: [label.owner] };
  const [containers, networks] = await Promise.all([
    docker.listContainers({ all: true, filters }),
    docker.listNetworks({ filters }),
  ]);
  return [
    ...containers.map(({ Labels, Names }) => ({ labels: Labels, name: Names[0]! })),
    ...networks.map(({ Labels, Name }) => ({ labels: Labels ?? {}, name: Name })),
  ]
    .filter(({ labels }) => labels[label.owner]?.split(" ")[2] === pid)
    .map(({ name }) => name);
}

const everything = (): Promise<readonly string[]> => ofProcess(String(process.pid));
