import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { systemClock } from "../../../runtime/node/clock.ts";
import { LoadError, type LoadSite } from "../driver.ts";
import { k6Plan } from "./fixture.ts";
import { k6Load } from "./k6.ts";
import { parseK6Summary } from "./summary.ts";

const clock = systemClock();
const plan = k6Plan();
let directory: string;
let path: string | undefined;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "k6-"));
  path = process.env["PATH"];
});
afterEach(async () => {
  process.env["PATH"] = path;
  await rm(directory, { recursive: true, force: true });
});

/** A program called k6, alone on the PATH beside the shell's own. */
async function k6Is(script: string): Promise<void> {
  const file = join(directory, "k6");
  await writeFile(file, `#!/bin/sh\n[ "$1" = version ] && exit 0\n${script}\n`);
  await chmod(file, 0o755);
  process.env["PATH"] = `${directory}:/usr/bin:/bin`;
}

const site = (more: Partial<LoadSite> = {}): LoadSite => ({
  clock,
  addresses: new Map(plan.drives.map(({ node }) => [node, "127.0.0.1:1"])),
  leadUs: 0,
  signal: new AbortController().signal,
  ...more,
});
const driver = () => k6Load({ env: {} });

const summary = {
  state: { testRunDurationMs: 3000 },
  metrics: {
    http_reqs: { type: "counter", contains: "default", values: { count: 300, rate: 100 } },
    http_req_failed: {
      type: "rate",
      values: { rate: 0.02, passes: 6, fails: 294 },
      thresholds: { "rate<0.05": { ok: true } },
    },
    "http_req_duration{c0:in}": {
      type: "trend",
      values: { "p(93.1)": 301.5 },
      thresholds: { "p(93.1)<=300": { ok: false } },
    },
  },
};

test("a summary says how many requests were made, failed, and which thresholds were held", () => {
  expect(parseK6Summary(JSON.stringify(summary))).toEqual({
    type: "load.report",
    by: "k6",
    calls: 300,
    failed: 6,
    thresholds: [
      { metric: "http_req_failed", expression: "rate<0.05", ok: true, observed: 0.02 },
      { metric: "http_req_duration{c0:in}", expression: "p(93.1)<=300", ok: false, observed: 301.5 },
    ],
  });
});

test.each(["", "no JSON", "{}", '{"metrics": {"http_reqs": 3}}', "[]"])("%j is no summary", (text) => {
  expect(() => parseK6Summary(text)).toThrow(LoadError);
});

test("without a k6 it says where to get one", async () => {
  process.env["PATH"] = directory;
  expect(await driver().missing()).toMatchObject({
    message: "k6 can't be had: there is no k6 on the PATH, and Docker doesn't answer",
    hint: expect.stringContaining("grafana.com/docs/k6") as string,
  });
  await expect(driver().prepare(plan, site())).rejects.toMatchObject({ code: "UNAVAILABLE" });
});

test("an image that can't be had is named", async () => {
  const reason = await k6Load({ env: { FLYBALL_IMAGE_K6: "127.0.0.1:1/none/k6:0" } }).missing();
  // Where there is a k6 on the PATH, that one is taken.
  if (reason !== undefined)
    expect(reason.message).toMatch(/127\.0\.0\.1:1\/none\/k6:0 can't be pulled|Docker doesn't answer/);
});

const summaryText = JSON.stringify(summary);
const users = `echo flyball: ready >&2; echo flyball: ready >&2`;

test("it is given the script and the moment, and what it printed is its result, thresholds crossed or not", async () => {
  for (const code of [0, 99]) {
    await k6Is(`cat > ${directory}/script.js; ${users}; echo $FLYBALL_START_MS > ${directory}/start; sleep 2
      echo '${summaryText}'; exit ${code}`);
    const askedMs = Date.now();
    const load = await driver().prepare(plan, site({ out: directory }));
    const leadMs = (load.originUs - clock.nowUs()) / 1000;
    expect(leadMs).toBeGreaterThan(0);
    expect((await load.done).calls).toBe(300);
    const script = await readFile(join(directory, "script.js"), "utf8");
    expect(script).toBe(await readFile(join(directory, "k6.js"), "utf8"));
    expect(Number(await readFile(join(directory, "start"), "utf8"))).toBeGreaterThanOrEqual(askedMs + 2_000);
    await load.close();
  }
});

describe("it is an error, with its last words,", () => {
  test("when it ends before its load begins", async () => {
    await k6Is("cat > /dev/null; echo 'no such option' >&2; exit 107");
    await expect(driver().prepare(plan, site())).rejects.toMatchObject({
      code: "CRASHED",
      message: "k6 ended with exit code 107; the last that it said:\nno such option",
    });
  });

  test("when it ends in the middle", async () => {
    await k6Is(`cat > /dev/null; ${users}; sleep 1; echo 'out of memory' >&2; kill -9 $$`);
    const load = await driver().prepare(plan, site());
    await expect(load.done).rejects.toMatchObject({ code: "CRASHED", message: /SIGKILL[^]*out of memory/ });
  });

  test("when it ends well and says nothing", async () => {
    await k6Is(`cat > /dev/null; ${users}; sleep 1`);
    const load = await driver().prepare(plan, site());
    await expect(load.done).rejects.toMatchObject({ code: "CRASHED", message: /printed nothing/ });
  });
});

test("one that isn't ready in time is ended, and the next one gets twice as long", async () => {
  await k6Is(`cat > /dev/null
    if [ -e ${directory}/again ]; then ${users}; sleep 10; else touch ${directory}/again; echo $$ > ${directory}/pid; exec sleep 60; fi`);
  const fromUs = clock.nowUs();
  const load = await driver().prepare(plan, site());
  expect(load.originUs - fromUs).toBeGreaterThan(1_800_000 + 4_000_000 - 1);
  const pid = Number(await readFile(join(directory, "pid"), "utf8"));
  expect(() => process.kill(pid, 0)).toThrow("ESRCH");
  await load.close();
  await expect(load.done).rejects.toThrow(/SIGKILL/);
});

test("an abort ends it, before its load and in the middle", async () => {
  await k6Is(`cat > /dev/null; exec sleep 60`);
  const early = new AbortController();
  const preparing = driver().prepare(plan, site({ signal: early.signal }));
  await clock.sleep(300_000);
  early.abort(new Error("enough"));
  await expect(preparing).rejects.toThrow("enough");

  await k6Is(`cat > /dev/null; ${users}; exec sleep 60`);
  const late = new AbortController();
  const load = await driver().prepare(plan, site({ signal: late.signal }));
  late.abort(new Error("enough"));
  await expect(load.done).rejects.toThrow(/SIGKILL/);
});

test("a k6 on this host can't reach a fleet in a Docker network, and says what can", async () => {
  await k6Is("");
  await expect(driver().prepare(plan, site({ network: "flyball-1" }))).rejects.toMatchObject({
    code: "UNAVAILABLE",
    hint: expect.stringContaining("FLYBALL_IMAGE_K6") as string,
  });
});
