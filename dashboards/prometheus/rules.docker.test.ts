import { globSync } from "node:fs";
import { chmod, cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll, beforeAll, expect, test } from "vitest";

import { prometheus } from "../../harness/worlds/docker/servers.ts";
import { describeReal, startTestServer } from "../../harness/worlds/docker/testing.ts";

const here = import.meta.dirname;

describeReal("promtool", () => {
  let broken: string;
  let promtool: (...args: readonly string[]) => Promise<{ readonly code: number; readonly output: string }>;

  beforeAll(async () => {
    broken = await mkdtemp(join(tmpdir(), "rules-"));
    await cp(here, broken, { recursive: true });
    const rules = await readFile(join(broken, "rules.yml"), "utf8");
    await writeFile(join(broken, "rules.yml"), rules.replace("directory_instances == 0", "directory_instances < 0"));
    await chmod(broken, 0o755);
    const mounts = [
      { from: here, to: "/right" },
      { from: broken, to: "/broken" },
    ];
    const { container } = await startTestServer(prometheus, { mounts });
    promtool = (...args) => container.run("promtool", ...args);
  }, 60_000);
  afterAll(() => rm(broken, { recursive: true }));

  test("finds the configuration and its rules right", async () => {
    const { code, output } = await promtool("check", "config", "/right/prometheus.yml");
    expect(output).toMatch(/SUCCESS: 1 rule files found[^]*SUCCESS: \d+ rules found/);
    expect(code).toBe(0);
  });

  test.each(globSync("*.test.yml", { cwd: here }))("finds every fact of %s true", async (file) => {
    const { code, output } = await promtool("test", "rules", `/right/${file}`);
    expect(output).toMatch(/SUCCESS/);
    expect(code).toBe(0);
  });

  test("would tell if an alert didn't fire", async () => {
    const { code, output } = await promtool("test", "rules", "/broken/rules.test.yml");
    expect(output).toMatch(/FAILED[^]*FlyballNoProvider/);
    expect(code).toBe(1);
  });
});
