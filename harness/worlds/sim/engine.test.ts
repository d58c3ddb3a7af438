import { execFileSync } from "node:child_process";

import { expect, test } from "vitest";

import { nodeHost } from "../../cli/host.ts";
import { Engine } from "./engine.ts";
import type { Host } from "./host.ts";
import { SimClock, SimProcess } from "./process.ts";
import { firstDifference, Recording } from "./recording.ts";

const host = await nodeHost((message) => expect.fail(message));
const slowHost: Host = { enter: host.enter, nowMs: host.nowMs };

function setUp(options: { readonly host?: Host; readonly recorder?: Recording } = {}) {
  const engine = new Engine({ host: options.host ?? host, seed: 1, recorder: options.recorder });
  const process = new SimProcess(engine, 0);
  return { engine, process, clock: new SimClock(process) };
}

test("virtual time moves from event to event, not with the real clock", async () => {
  const { engine, clock } = setUp();
  const times = await engine.run(async () => {
    const before = clock.nowUs();
    await clock.sleep(3_600_000_000);
    return [before, clock.nowUs()];
  });
  expect(times).toEqual([0, 3_600_000_000]);
});

test.each([
  ["an event", (loop: () => void): void => loop()],
  ["what it causes in microtasks", (loop: () => void): void => void Promise.resolve().then(loop)],
])("code without an end in %s is cut off, and the run ends with an error that names the node", async (_, call) => {
  // The same host in less patience.
  const impatient: Host = { ...host, within: (_ms, fn) => host.within!(200, fn) };
  const onBlocked = (node: number): Error => new Error(`node ${node} doesn't come back`);
  const engine = new Engine({ host: impatient, seed: 1, onBlocked });
  const run = engine.run(
    () =>
      new Promise(() => {
        new SimProcess(engine, 7).after(10, () => {
          call(() => {
            for (;;);
          });
        });
      }),
  );
  await expect(run).rejects.toThrow("node 7 doesn't come back");
});

test("everything that an event causes in microtasks happens before the next event, even of the same tick", async () => {
  const { engine, clock } = setUp();
  const order: string[] = [];
  await engine.run(async () => {
    clock.after(10, () => {
      order.push("first");
      void (async () => {
        for (let depth = 0; depth < 50; depth++) await Promise.resolve();
        order.push("first's continuation");
      })();
    });
    clock.after(10, () => order.push("second"));
    await clock.sleep(20);
  });
  expect(order).toEqual(["first", "first's continuation", "second"]);
});

test("a host that can't drain microtasks gets the same results", async () => {
  const digest = async (on: Host): Promise<string> => {
    const { engine, clock } = setUp({ host: on });
    await engine.run(async () => {
      for (let round = 0; round < 20; round++) {
        clock.after(round % 3, () => void Promise.resolve().then(() => clock.after(1, () => undefined)));
        await clock.sleep(1);
      }
    });
    return engine.digest();
  };
  expect(await digest(slowHost)).toBe(await digest(host));
});

test("the digest is 16 digits and changes when two events of one tick change places", async () => {
  const digest = async (delays: readonly number[]): Promise<string> => {
    const { engine } = setUp();
    const nodes = [0, 1].map((node) => new SimProcess(engine, node));
    const clock = new SimClock(nodes[0]!);
    await engine.run(async () => {
      for (const node of delays) nodes[node]!.after(5, () => undefined);
      await clock.sleep(10);
    });
    return engine.digest();
  };
  expect(await digest([0, 1])).toMatch(/^[0-9a-f]{16}$/);
  expect(await digest([0, 1])).toBe(await digest([0, 1]));
  expect(await digest([0, 1])).not.toBe(await digest([1, 0]));
});

test("says so when nothing is left to happen but main still waits", async () => {
  const { engine, clock } = setUp();
  const run = engine.run(async () => {
    await clock.sleep(2_500_000);
    await new Promise(() => undefined);
  });
  await expect(run).rejects.toMatchObject({ code: "STUCK", message: expect.stringContaining("2.500 s") as string });
});

test("lets the host breathe, and ends when the signal aborts, after main had time to clean up", async () => {
  const { engine, clock } = setUp();
  const abort = new AbortController();
  setTimeout(() => abort.abort(new Error("stop")), 50);
  let hasCleanedUp = false;
  const run = engine.run(async () => {
    try {
      while (!abort.signal.aborted) await clock.sleep(10);
    } finally {
      await clock.sleep(1_000_000);
      hasCleanedUp = true;
    }
    await clock.sleep(Number.MAX_SAFE_INTEGER / 2);
  }, abort.signal);
  await expect(run).rejects.toThrow("stop");
  expect(hasCleanedUp).toBe(true);
});

test("an exception that nobody catches in a timer ends the run with that error", async () => {
  const { engine, clock } = setUp();
  const run = engine.run(async () => {
    clock.after(5, () => {
      throw new Error("a defect");
    });
    await clock.sleep(10);
  });
  await expect(run).rejects.toThrow("a defect");
});

test("timers of a paused process wait for its resumption, in their order; those of a killed one never fire", async () => {
  const { engine, clock } = setUp();
  const paused = new SimProcess(engine, 1);
  const killed = new SimProcess(engine, 2);
  const fired: string[] = [];
  await engine.run(async () => {
    paused.after(30, () => fired.push(`later at ${engine.now}`));
    paused.after(10, () => fired.push(`sooner at ${engine.now}`));
    paused.after(100, () => fired.push(`at the same tick, ${engine.now}`));
    const cancelled = paused.after(20, () => fired.push("cancelled"));
    killed.after(10, () => fired.push("dead"));
    paused.pause();
    killed.kill();
    await clock.sleep(50);
    cancelled.cancel();
    await clock.sleep(50);
    paused.resume();
    await clock.sleep(50);
  });
  expect(fired).toEqual(["sooner at 100", "later at 100", "at the same tick, 100"]);
});

test("names the first event that differs between two runs", async () => {
  const record = async (delay: number): Promise<Recording> => {
    const recorder = new Recording();
    recorder.nodes = ["orders/0"];
    const { engine, clock } = setUp({ recorder });
    await engine.run(async () => {
      await clock.sleep(5);
      await clock.sleep(delay);
      await clock.sleep(100);
    });
    return recorder;
  };
  expect(firstDifference(await record(7), await record(7))).toBeUndefined();
  expect(firstDifference(await record(7), await record(8))).toEqual({
    index: 1,
    first: { atUs: 12, kind: "timer", node: "orders/0", payload: "00000001" },
    second: { atUs: 13, kind: "timer", node: "orders/0", payload: "00000001" },
  });
});

test("sleep gives up its timer when its signal aborts", async () => {
  const { engine, clock } = setUp();
  const abort = new AbortController();
  await engine.run(async () => {
    clock.after(5, () => abort.abort(new Error("enough")));
    await expect(clock.sleep(1_000, abort.signal)).rejects.toThrow("enough");
    expect(clock.nowUs()).toBe(5);
    await expect(clock.sleep(1_000, abort.signal)).rejects.toThrow("enough");
  });
});

test("the digest is the same in another process", async () => {
  const script = `
    import { nodeHost } from "./harness/cli/host.ts";
    import { Engine } from "./harness/worlds/sim/engine.ts";
    import { SimClock, SimProcess } from "./harness/worlds/sim/process.ts";
    const engine = new Engine({ host: await nodeHost(), seed: 1 });
    const clock = new SimClock(new SimProcess(engine, 0));
    await engine.run(async () => { for (let i = 0; i < 100; i++) await clock.sleep(i * 7919); });
    console.log(engine.digest());`;
  const { engine, clock } = setUp();
  await engine.run(async () => {
    for (let i = 0; i < 100; i++) await clock.sleep(i * 7919);
  });
  const other = execFileSync(process.execPath, ["--input-type=module-typescript", "-e", script], { encoding: "utf8" });
  expect(other.trim()).toBe(engine.digest());
});
