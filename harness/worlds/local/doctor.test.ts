import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { afterAll, describe, expect, test } from "vitest";

import { startTimeOf } from "../live/process-table.ts";
import { findingsOf, leftoversFinding, type Machine } from "./doctor.ts";
import { findLeftovers, removeLeftovers } from "./leftovers.ts";
import { whatIsTooMany } from "./world.ts";

const temporary = mkdtempSync(join(tmpdir(), "flyball-test-"));
afterAll(() => rmSync(temporary, { recursive: true, force: true }));

const good: Machine = {
  processors: 2,
  memoryBytes: 4 * 2 ** 30,
  filesMax: 65_536,
  disks: [{ path: "/somewhere", freeBytes: 20 * 2 ** 30 }],
  hasBundler: true,
  portProblem: undefined,
};

describe("a machine", () => {
  test("that has everything gets no advice", () => {
    expect(findingsOf(good).map(({ name, state }) => `${name} ${state}`)).toEqual(
      ["processors", "memory", "open files", "bundler", "disk", "ports"].map((name) => `${name} ok`),
    );
  });

  test.each<[string, Partial<Machine>, string, string]>([
    ["one processor", { processors: 1 }, "advice", "--world sim"],
    ["little memory", { memoryBytes: 300 * 2 ** 20 }, "advice", "end other programs"],
    ["few files", { filesMax: 256 }, "advice", "ulimit -n"],
    ["little room", { disks: [{ path: "/x", freeBytes: 2 ** 29 }] }, "advice", "--out DIR"],
    ["no room", { disks: [{ path: tmpdir(), freeBytes: 2 ** 20 }] }, "missing", "TMPDIR"],
    ["no bundler", { hasBundler: false }, "advice", "npm ci"],
    ["no ports", { portProblem: "no port is free" }, "missing", "ss -ltn"],
  ])("with %s is told what to do", (_, lack, state, hint) => {
    const [found, ...more] = findingsOf({ ...good, ...lack }).filter((one) => one.state !== "ok");
    expect(more).toEqual([]);
    expect(found!.state).toBe(state);
    expect(found!.hint).toContain(hint);
  });
});

test("a fleet that the memory can't hold is refused with what would fit, before anything starts", () => {
  expect(whatIsTooMany({ nodes: 12, processes: 12 }, 2 ** 30)).toBeUndefined();
  expect(whatIsTooMany({ nodes: 10_002, processes: 10_002 }, 20 * 2 ** 30)).toEqual({
    message: "its 10002 processes need at least 390.7 GiB of memory, and 20.0 GiB are available",
    hint: "have at most 391 processes: --pack N lets nodes share them; or use --world sim, which runs thousands",
  });
  expect(whatIsTooMany({ nodes: 1_000, processes: 50 }, 4 * 2 ** 30)).toBeUndefined();
  expect(whatIsTooMany({ nodes: 1_000, processes: 50 }, 2 ** 30)).toMatchObject({
    message: "its 50 processes with 1000 nodes need at least 2.4 GiB of memory, and 1.0 GiB are available",
  });
  // As many as it says fit, and no more; where the nodes alone are too many, fewer processes are no help.
  expect(whatIsTooMany({ nodes: 10_002, processes: 391 }, 20 * 2 ** 30)).toBeUndefined();
  expect(whatIsTooMany({ nodes: 10_002, processes: 392 }, 20 * 2 ** 30)).toBeDefined();
  expect(whatIsTooMany({ nodes: 10_002, processes: 50 }, 2 ** 30)!.hint).toMatch(/^have fewer nodes;/);
});

const later = Date.now() + 3_600_000;
const run = "flyball-01234567-89ab-cdef-0123-456789abcdef";

describe.runIf(process.platform === "linux")("what is left behind", () => {
  test("is a run's old directory, not a young one, nor one of another name", async () => {
    mkdirSync(join(temporary, run));
    mkdirSync(join(temporary, "flyball-mine"));
    expect(findLeftovers(temporary).directories).toEqual([]);
    const leftovers = findLeftovers(temporary, later);
    expect(leftovers.directories).toEqual([join(temporary, run)]);
    expect(leftoversFinding(leftovers, false).message).toBe("0 processes and 1 directory of dead runs");
    await removeLeftovers(leftovers);
    expect(readdirSync(temporary)).toEqual(["flyball-mine"]);
  });

  test.each([
    { control: "ipc", disk: join(temporary, run, "orders-0") },
    { control: "pack", disk: join(temporary, run) },
  ])(
    "isn't what a living harness has; once that is gone its nodes are, and end ($control)",
    async ({ control, disk }) => {
      mkdirSync(join(temporary, run));
      const environment = JSON.stringify({ FLYBALL_CONTROL: control, FLYBALL_DISK: disk });
      // As a harness does; what is started only waits.
      const harness = spawn(
        process.execPath,
        [
          "--eval",
          `const node = require("node:child_process").spawn(process.execPath,
           ["--eval", "setInterval(() => 0, 1000)", "services/main.ts"], { detached: true, stdio: "ignore", env: ${environment} });
         console.log(node.pid); setInterval(() => 0, 1000);`,
        ],
        { stdio: ["ignore", "pipe", "inherit"] },
      );
      const pid = Number(
        await new Promise<string>((resolve) => harness.stdout.once("data", (data) => resolve(String(data)))),
      );
      try {
        expect(findLeftovers(temporary, later)).toEqual({ processes: [], directories: [] });
        harness.kill("SIGKILL");
        await new Promise((resolve) => harness.once("close", resolve));
        const leftovers = findLeftovers(temporary, later);
        expect(leftovers.processes.map((one) => one.pid)).toEqual([pid]);
        expect(leftovers.directories).toEqual([join(temporary, run)]);
        await removeLeftovers(leftovers);
        while (startTimeOf(pid) !== undefined) await sleep(5);
      } finally {
        if (startTimeOf(pid) !== undefined) process.kill(pid, "SIGKILL");
      }
    },
  );
});
