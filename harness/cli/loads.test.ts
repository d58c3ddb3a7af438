import { spawn } from "node:child_process";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { expect, test } from "vitest";

test("a k6 ends with the command line that started it, however that ended", async () => {
  const directory = await mkdtemp(join(tmpdir(), "k6-"));
  try {
    const k6 = `#!/bin/sh\n[ "$1" = version ] && exit 0\ncat > /dev/null; echo $$ > ${directory}/pid; exec sleep 60\n`;
    await writeFile(join(directory, "k6"), k6);
    await chmod(join(directory, "k6"), 0o755);
    const at = (path: string): string => JSON.stringify(new URL(path, import.meta.url).href);
    const program = `
      const [{ openLoad }, { k6Plan }, { systemClock }] = await Promise.all([
        import(${at("loads.ts")}), import(${at("../load/k6/fixture.ts")}), import(${at("../../runtime/node/clock.ts")}),
      ]);
      const load = await openLoad("k6");
      const plan = k6Plan();
      const addresses = new Map(plan.drives.map(({ node }) => [node, "127.0.0.1:1"]));
      const signal = new AbortController().signal;
      await load.prepare(plan, { clock: systemClock(), addresses, leadUs: 60_000_000, signal });`;
    const env = { ...process.env, PATH: `${directory}:/usr/bin:/bin`, FLYBALL_IMAGE_K6: undefined };
    const cli = spawn(process.execPath, ["--input-type=module", "--eval", program], { stdio: "ignore", env });
    const pid = Number(await until(() => readFile(join(directory, "pid"), "utf8").then((text) => text.trim())));
    expect(isAlive(pid)).toBe(true);
    cli.kill("SIGKILL");
    expect(await until(async () => (isAlive(pid) ? "" : "gone"))).toBe("gone");
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}, 30_000);

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** Asks until there is an answer; the test's own time is the bound. */
async function until(ask: () => Promise<string>): Promise<string> {
  for (;;) {
    const answer = await ask().catch(() => "");
    if (answer !== "") return answer;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
