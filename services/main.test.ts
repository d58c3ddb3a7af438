import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, expect, test } from "vitest";

import { controlVersion, type FromNode, type ToNode } from "./control.ts";

const main = join(import.meta.dirname, "main.ts");
/** A module that, imported before all others, has each one that is loaded printed. */
const modulesPrinted = `data:text/javascript,${encodeURIComponent(`
  import { writeSync } from "node:fs";
  import { registerHooks } from "node:module";
  registerHooks({ load: (url, context, next) => (writeSync(2, \`loads \${url}\\n\`), next(url, context)) });
`)}`;
/** Nothing else of whoever runs the tests reaches a node; what was compiled before is read again instead of compiled. */
const { PATH, NODE_COMPILE_CACHE } = process.env;
const inherited = { PATH, NODE_COMPILE_CACHE };
const children: ChildProcess[] = [];
let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "main-"));
});
afterEach(async () => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
  await rm(directory, { recursive: true, force: true });
});

test("under a harness a node goes through its life as it is told, and ends", async () => {
  const node = underHarness();
  node.send(start("registry", {}));
  expect(await node.next("listening")).toMatchObject({
    address: expect.stringMatching(/^127\.0\.0\.1:\d+$/) as string,
  });
  node.send({ type: "go" });
  await node.next("ready");
  node.send({ type: "drain" });
  await node.next("drained");
  node.send({ type: "stop" });
  await node.next("stopped");
  expect(await node.exit).toBe("0");
});

test("under a harness a node's metrics can be read until it stops", async () => {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  const node = underHarness();
  node.send({ ...start("registry", {}), metrics: `127.0.0.1:${port}` } as ToNode);
  node.send({ type: "go" });
  await node.next("ready");
  node.send({ type: "drain" });
  await node.next("drained");
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  expect(text).toContain('flyball_node_phase{phase="draining"} 0\n');
  expect(text).toContain('flyball_node_phase{phase="ready"} 1\n');
  node.send({ type: "stop" });
  expect(await node.exit).toBe("0");
});

test("under a harness the end of the channel is the end of the node", async () => {
  const node = underHarness();
  node.send(start("registry", {}));
  await node.next("listening");
  node.child.disconnect();
  expect(await node.exit).toBe("0");
});

test("under a harness SIGINT means nothing, and SIGTERM drains and stops", async () => {
  const node = underHarness();
  node.send(start("registry", {}));
  await node.next("listening");
  node.child.kill("SIGINT");
  node.send({ type: "go" });
  await node.next("ready");
  node.child.kill("SIGTERM");
  await node.next("stopped");
  expect(await node.exit).toBe("0");
});

test("under a harness what a node can't run with is reported, and ends it", async () => {
  const nodes = [
    [start("provider", { service: "orders", registry: "127.0.0.1:1", wieght: 1 }), /wieght/, /weight/],
    [start("providr", {}), /providr/, /provider/],
    [{ ...start("registry", {}), listen: "0.0.0.0:0" }, /0\.0\.0\.0/, /127\.0\.0\.1/],
  ] as const;
  await Promise.all(
    nodes.map(async ([message, says, hints]) => {
      const node = underHarness();
      node.send(message);
      const failed = await node.next("failed");
      expect(failed.message).toMatch(says);
      expect(failed.hint).toMatch(hints);
      expect(await node.exit).toBe("1");
    }),
  );
});

test("by hand it prints where it listens, and drains at a signal", async () => {
  const child = byHand("registry", "--listen", "127.0.0.1:0");
  expect(await child.prints(/registry\/\d+ listens at (127\.0\.0\.1:\d+)/)).toBeTruthy();
  await child.prints(/is ready/);
  child.child.kill("SIGINT");
  expect(await child.exit).toBe("0");
});

test("by hand a fleet of four makes calls", async () => {
  const registry = byHand("registry");
  const center = byHand("config-center");
  const registryAddress = (await registry.prints(/listens at (\S+)/))[1]!;
  const centerAddress = (await center.prints(/listens at (\S+)/))[1]!;
  const infrastructure = ["--registry", registryAddress, "--config-center", centerAddress];
  const provider = byHand("provider", "--node", "orders/0", ...infrastructure);
  await provider.prints(/is ready/);
  const consumer = byHand("consumer", "--rate", "20/s", ...infrastructure);
  await consumer.prints(/\d+ calls: OK \d+ .*orders\/0 \d+/);
  consumer.child.kill("SIGTERM");
  expect(await consumer.exit).toBe("0");
});

test("by hand a trace store that is away changes nothing for the calls, and is told of", async () => {
  const registry = byHand("registry");
  const infrastructure = [
    "--registry",
    (await registry.prints(/listens at (\S+)/))[1]!,
    "--otlp",
    "http://127.0.0.1:1",
  ];
  const provider = byHand("provider", "--node", "orders/0", ...infrastructure);
  await provider.prints(/is ready/);
  const consumer = byHand("consumer", "--rate", "50/s", ...infrastructure);
  await consumer.prints(/\d+ calls: OK (\d+) · [^]*\d+ calls: OK (\d+) · /);
  consumer.child.kill("SIGTERM");
  expect(await consumer.exit).toBe("0");
  // Two a call: itself and its attempt.
  expect(Number(/spans: 0 sent, (\d+) dropped\n$/.exec(consumer.printed())?.[1])).toBeGreaterThan(100);
});

test("by hand a node that is told to serves metrics of the calls that it makes", async () => {
  const registry = byHand("registry", "--metrics", "127.0.0.1:0");
  const registryAddress = (await registry.prints(/listens at (\S+)/))[1]!;
  const provider = byHand("provider", "--node", "orders/0", "--registry", registryAddress, "--metrics", "127.0.0.1:0");
  const served = (await provider.prints(/metrics at (\S+)/))[1]!;
  await provider.prints(/is ready/);
  const consumer = byHand("consumer", "--rate", "20/s", "--registry", registryAddress, "--metrics", "127.0.0.1:0");
  const made = (await consumer.prints(/metrics at (\S+)/))[1]!;
  await consumer.prints(/\d+ calls: OK \d+ /);
  const read = async (url: string): Promise<string> => (await fetch(url)).text();
  expect(await read(served)).toMatch(/^rpc_server_call_duration_seconds_count\{.*rpc_status_code="OK"\} [1-9]/m);
  expect(await read(made)).toMatch(/^rpc_client_call_duration_seconds_count\{.*peer_service="orders".*\} [1-9]/m);
  expect(await read(made)).toMatch(/^flyball_instance_weight\{.*peer_instance="orders\/0".*\} 100$/m);
  expect(await read((await registry.prints(/metrics at (\S+)/))[1]!)).toMatch(/rpc_server_call_duration_seconds_count/);
});

test("by hand metrics stay on loopback unless the node is exposed", async () => {
  const open = byHand("registry", "--metrics", "0.0.0.0:0");
  expect(await open.exit).toBe("1");
  expect(open.printed()).toMatch(/0\.0\.0\.0:0 can be reached from other machines[^]*--expose/);
});

test("by hand a node in a container listens everywhere, and registers where others reach it", async () => {
  const registry = byHand("registry");
  const registryAddress = (await registry.prints(/listens at (\S+)/))[1]!;
  const provider = byHand(
    ...["provider", "--node", "orders/0", "--registry", registryAddress],
    ...["--listen", "0.0.0.0:0", "--expose", "--advertise", "localhost:0"],
  );
  await provider.prints(/listens at 0\.0\.0\.0:\d+/);
  await provider.prints(/is ready/);
  const consumer = byHand("consumer", "--rate", "20/s", "--registry", registryAddress);
  await consumer.prints(/\d+ calls: OK \d+ .*orders\/0 \d+/);
});

test("by hand nothing listens beyond loopback unless it is told to, nor everywhere without saying where it is", async () => {
  const open = byHand("registry", "--listen", "0.0.0.0:0");
  expect(await open.exit).toBe("1");
  expect(open.printed()).toMatch(/0\.0\.0\.0:0 can be reached from other machines[^]*--expose/);
  const nowhere = byHand("provider", "--registry", "127.0.0.1:1", "--listen", "0.0.0.0:0", "--expose");
  expect(await nowhere.exit).toBe("1");
  expect(nowhere.printed()).toMatch(/listens everywhere[^]*--advertise HOST:\d+/);
});

test.each([
  ["a registry", ["registry"], /is ready/],
  [
    "a provider that registers in Nacos over gRPC",
    ["provider", "--registry", "nacos://127.0.0.1:1?protocol=grpc"],
    /loads \S+\/nacos\/grpc-connection\.ts/,
  ],
])("%s starts on our own HTTP/2, and loads nothing of @grpc/grpc-js", async (_, args, isUnderWay) => {
  const child = printing("--import", modulesPrinted, main, ...args, "--listen", "127.0.0.1:0");
  await child.prints(isUnderWay);
  await child.prints(/listens at/);
  const loaded = child.printed().match(/(?<=^loads )\S+/gm);
  expect(loaded).toContainEqual(expect.stringMatching(/\/runtime\/node\/http2\/session\.ts$/));
  expect(loaded?.filter((url) => url.includes("@grpc"))).toEqual([]);
});

test("by hand every mistake is named, with the way out, and ends with 2", async () => {
  const mistakes: readonly (readonly [readonly string[], RegExp])[] = [
    [["provder"], /no program "provder"[^]*did you mean "provider"/],
    [["registry", "--lisen", "x"], /no option --lisen[^]*did you mean --listen/],
    [["registry", "--listen", "there"], /--listen there is no address/],
    [["registry", "--metrics", "9464"], /--metrics 9464 is no address/],
    [["provider", "--advertise", "here", "--registry", "127.0.0.1:1"], /--advertise here is no address/],
    [["consumer", "--registry", "127.0.0.1:1", "--rate", "fast"], /--rate fast is no rate[^]*20\/s/],
    [["provider", "--registry", "127.0.0.1:1", "--config", "{"], /--config is no JSON/],
    [["provider", "--registry", "127.0.0.1:1", "--config", '{"wieght":1}'], /wieght[^]*weight/],
    [["provider", "--registry", "127.0.0.1:1", "--otlp", "there"], /--otlp there is no URL[^]*4318/],
    [["registry", "--trace-sample", "1"], /--trace-sample needs a place[^]*--otlp/],
    [["registry", "--otlp", "http://127.0.0.1:1", "--trace-sample", "2"], /--trace-sample 2 is no share/],
    [["provider"], /registry/],
    [[], /PROGRAM/],
  ];
  await Promise.all(
    mistakes.map(async ([args, says]) => {
      const child = byHand(...args);
      expect(await child.exit).toBe("2");
      expect(child.printed()).toMatch(says);
    }),
  );
});

test("by hand --help says what there is", async () => {
  const child = byHand("--help");
  expect(await child.exit).toBe("0");
  for (const word of ["registry", "config-center", "provider", "consumer", "gateway", "--rate"]) {
    expect(child.printed()).toContain(word);
  }
});

function start(program: string, config: unknown): ToNode {
  return {
    type: "start",
    version: controlVersion,
    node: "node/0",
    program,
    config,
    seed: 1,
    listen: "127.0.0.1:0",
    dial: {},
  };
}

function underHarness() {
  const child = spawn(process.execPath, [main], {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
    env: { ...inherited, FLYBALL_CONTROL: "ipc", FLYBALL_DISK: join(directory, "disk") },
  });
  children.push(child);
  const heard: FromNode[] = [];
  let wake: () => void = () => undefined;
  child.on("message", (message: FromNode) => {
    heard.push(message);
    wake();
  });
  return {
    child,
    exit: exitOf(child),
    send: (message: ToNode) => child.send(message),
    next: async <Type extends FromNode["type"]>(type: Type): Promise<Extract<FromNode, { readonly type: Type }>> => {
      for (;;) {
        const found = heard.find((message) => message.type === type);
        if (found !== undefined) return found as Extract<FromNode, { readonly type: Type }>;
        await new Promise<void>((resolve) => (wake = resolve));
      }
    },
  };
}

const byHand = (...args: readonly string[]) => printing(main, ...args);

function printing(...args: readonly string[]) {
  const child = spawn(process.execPath, args, {
    cwd: directory,
    stdio: ["ignore", "pipe", "pipe"],
    env: inherited,
  });
  children.push(child);
  let printed = "";
  let wake: () => void = () => undefined;
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      printed += text;
      wake();
    });
  }
  return {
    child,
    exit: exitOf(child),
    printed: () => printed,
    prints: async (pattern: RegExp): Promise<RegExpExecArray> => {
      for (;;) {
        const found = pattern.exec(printed);
        if (found !== null) return found;
        await new Promise<void>((resolve) => (wake = resolve));
      }
    },
  };
}

/** The exit code, or the signal, once everything that was printed has been read. */
const exitOf = (child: ChildProcess): Promise<string> =>
  new Promise((resolve) => {
    const settle = (code: number | null, signal: NodeJS.Signals | null): void => resolve(String(code ?? signal));
    // Node emits no "close" for a child from which this side has disconnected.
    if (child.stdout === null) child.once("exit", settle);
    else child.once("close", settle);
  });
