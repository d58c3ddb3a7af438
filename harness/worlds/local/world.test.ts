import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll, describe, expect, test as anywhere } from "vitest";

import { smallPlan } from "../live/fixture.ts";
import { liveFacts, observed } from "../live/testing.ts";
import { childrenOf, commandOf } from "../live/process-table.ts";
import type { World } from "../world.ts";
import { localWorld } from "./world.ts";

/** They look into the process table. */
const test = anywhere.runIf(process.platform === "linux");

const world = localWorld();
/** Other runs on this machine have directories of their own. */
const temporary = mkdtempSync(join(tmpdir(), "flyball-test-"));
process.env["TMPDIR"] = temporary;
afterAll(() => rmSync(temporary, { recursive: true }));

describe("like every live world", () => {
  test.each(Object.entries(liveFacts))("%s", async (_, holds) => {
    const before = childrenOf(process.pid);
    await holds(world);
    expect(childrenOf(process.pid)).toEqual(before);
    expect(readdirSync(temporary)).toEqual([]);
  });
});

describe("like every live world, where nodes share a process", () => {
  const processes = [{ nodes: ["orders/0", "shop/0"] }];
  const packed: World = { ...world, run: (plan, options, main) => world.run({ ...plan, processes }, options, main) };

  test.each(Object.entries(liveFacts))("%s", async (_, holds) => {
    const before = childrenOf(process.pid);
    await holds(packed);
    expect(childrenOf(process.pid)).toEqual(before);
    expect(readdirSync(temporary)).toEqual([]);
  });

  test("each has an address of its own, and the death of their process is told of each", async () => {
    const run = observed();
    const before = childrenOf(process.pid);
    await packed.run(smallPlan(), run.options, async (fleet) => {
      // Four processes and the guardian.
      expect(childrenOf(process.pid).length - before.length).toBe(5);
      const hosts = [...fleet.nodes.values()].map(({ address }) => address.split(":")[0]);
      expect(hosts).toEqual(["127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5", "127.0.0.6"]);
      await expect(fleet.nodes.get("orders/0")!.pause()).rejects.toThrow("2 nodes share its process");

      const pack = childrenOf(process.pid).find((pid) => commandOf(pid).includes("orders/0"));
      process.kill(pack!, "SIGKILL");
      while (run.exits.length < 2) await fleet.clock.sleep(5_000);
      const how = "it was ended by SIGKILL, the process of 2 nodes";
      expect(run.exits.sort()).toEqual([`orders/0: ${how}`, `shop/0: ${how}`]);
    });
    expect(childrenOf(process.pid)).toEqual(before);
  });
});

test("each node is a process of its own, and the run has one directory", async () => {
  await world.run(smallPlan(), observed().options, async () => {
    expect(childrenOf(process.pid).length).toBeGreaterThanOrEqual(6);
    expect(readdirSync(temporary)).toHaveLength(1);
  });
});

test("a node that dies by itself is reported, and the run goes on", async () => {
  const run = observed();
  await world.run(smallPlan(), run.options, async (fleet) => {
    const before = childrenOf(process.pid);
    await fleet.nodes.get("orders/1")!.kill();
    const after = childrenOf(process.pid);
    await fleet.nodes.get("orders/1")!.restart();
    const [pid] = childrenOf(process.pid).filter((child) => !before.includes(child));
    expect(after.length).toBe(before.length - 1);
    process.kill(pid!, "SIGKILL");
    while (run.exits.length === 0) await fleet.clock.sleep(5_000);
    expect(run.exits).toEqual(["orders/1: it was ended by SIGKILL"]);
    expect(fleet.nodes.get("orders/1")!.state).toBe("killed");
    expect(await run.drive(fleet, 10)).toEqual({ OK: 10 });
  });
});

test("an abort ends a start-up and a run, a paused node included", async () => {
  const before = childrenOf(process.pid);
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
    expect(childrenOf(process.pid)).toEqual(before);
  }
});
