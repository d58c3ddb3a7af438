import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";

import { expect, test } from "vitest";

import { directoryOf, orphanDirectories, removeOrphanDirectories } from "./directories.ts";

/** The name that a process which has ended gave its directory. */
async function nameOfTheDead(): Promise<string> {
  const module = new URL("directories.ts", import.meta.url).href;
  const script = `import { directoryOf } from ${JSON.stringify(module)}; console.log(directoryOf("0a1b2c"));`;
  const child = spawn(process.execPath, ["--input-type=module", "--eval", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let printed = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (printed += text));
  await once(child, "close");
  return basename(printed.trim());
}

test("of directories for nodes' disks those go whose invocation is dead, and nobody else's", async () => {
  const temporary = await mkdtemp(join(tmpdir(), "directories-"));
  const dead = await nameOfTheDead();
  const kept = [
    basename(directoryOf("0a1b2c")),
    // On a machine that shares the place: nothing is known of its processes.
    dead.replace(/^(flyball-0a1b2c-)[0-9a-f]{8}/, "$100000000"),
    "flyball-wire-0a1b2c",
    `${dead}-mine`,
    `my-${dead}`,
  ];
  for (const name of [dead, ...kept]) await mkdir(join(temporary, name, "run-1-orders-0"), { recursive: true });
  await writeFile(join(temporary, dead, "run-1-orders-0", "wal"), "rows");
  expect(orphanDirectories(temporary)).toEqual([join(temporary, dead)]);
  expect(await removeOrphanDirectories(temporary)).toEqual([join(temporary, dead)]);
  expect((await readdir(temporary)).toSorted()).toEqual(kept.toSorted());
  expect(orphanDirectories(temporary)).toEqual([]);
  await rm(temporary, { recursive: true });
  expect(orphanDirectories(temporary)).toEqual([]);
});
