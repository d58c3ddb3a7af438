import { tmpdir } from "node:os";

import { afterEach, beforeEach, expect, test } from "vitest";

import { inProcess } from "./in-process.fixture.ts";

const host = process.env["DOCKER_HOST"];
beforeEach(() => {
  process.env["DOCKER_HOST"] = "unix:///no/engine.sock";
});
afterEach(() => {
  if (host === undefined) delete process.env["DOCKER_HOST"];
  else process.env["DOCKER_HOST"] = host;
});

const doctor = (...args: readonly string[]) => inProcess(tmpdir(), ["doctor", ...args]);

test("with --json, one document says of each world what is missing, and how to get it; the exit code is 3", async () => {
  const { code, stdout, stderr } = await doctor("--world", "sim,docker", "--json");
  expect(JSON.parse(stdout)).toEqual({
    version: 1,
    worlds: [
      { world: "sim", isReady: true, findings: [{ name: "Node.js", state: "ok", message: process.version }] },
      {
        world: "docker",
        isReady: false,
        findings: [
          {
            name: "Docker engine",
            state: "missing",
            message: "no Docker engine is here: unix:///no/engine.sock doesn't exist",
            hint: expect.stringContaining("apt-get install docker.io") as string,
          },
        ],
      },
    ],
  });
  expect(stderr).toBe("");
  expect(code).toBe(3);
});

test("people read the same, whether or not something is to be cleaned away", async () => {
  for (const clean of [[], ["--clean"]]) {
    const { code, stdout } = await doctor("--world", "docker", ...clean);
    expect(stdout).toMatch(/^docker {2}something is missing\n {2}✗ {2}Docker engine {2}no Docker engine is here/);
    expect(stdout).toContain("use --world local, which needs none");
    expect(code).toBe(3);
  }
});

test("a machine that has everything ends with 0, and a world that there isn't with 2", async () => {
  const { code, stdout } = await doctor("--world", "sim");
  expect(stdout).toMatch(/^sim {2}ready\n {2}✓ {2}Node\.js/);
  expect(code).toBe(0);
  expect(await doctor("--world", "dockr")).toMatchObject({
    code: 2,
    stdout: "",
    stderr: expect.stringContaining("docker") as string,
  });
});
