import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { builtInPolicies } from "../runtime/call/client.ts";
import { ipcChannel, stdioChannel, type Channel } from "../runtime/node/channel.ts";
import { systemClock } from "../runtime/node/clock.ts";
import { directoryDisk } from "../runtime/node/disk.ts";
import { readIdentity } from "../runtime/node/identity-files.ts";
import { nodeHttp } from "../runtime/node/http.ts";
import { importModule } from "../runtime/node/modules.ts";
import { realInfrastructure } from "../runtime/node/infrastructure.ts";
import type { NodeMetrics } from "../runtime/node/telemetry/metrics.ts";
import { onDemand } from "../runtime/node/on-demand.ts";
import { otlpExporter } from "../runtime/node/telemetry/otlp.ts";
import { otherTransports } from "../runtime/node/transports.ts";
import { tripleTransport } from "../runtime/node/triple.ts";
import { toRpcError } from "../runtime/call/status.ts";
import type { TlsIdentity } from "../runtime/security/tls-identity.ts";
import { createRandom } from "../runtime/random.ts";
import { CallLog } from "../runtime/telemetry/call-log.ts";
import type { CallEnd, RuntimeEvent } from "../runtime/telemetry/events.ts";
import { isAddress, isInfrastructureAddress } from "./config.ts";
import { controlVersion, type DialMap, type FromNode, type ToNode } from "./control.ts";
import { didYouMean, nearest } from "./nearest.ts";
import { timedDisk } from "./lag.ts";
import type { Machine } from "./machine.ts";
import { createNode, type ControlledNode, type StartMessage } from "./node.ts";
import type { FromPack, ToPack } from "./pack.ts";
import { programs } from "./programs.ts";
import { ConfigError, type NodeContext, type ServiceProgram } from "./service.ts";

/**
 * Starts any one program of the fleet as a process. By hand: `node services/main.ts --help`. Under a harness
 * (FLYBALL_CONTROL=ipc or stdio) it speaks the protocol of `control.ts`; FLYBALL_DISK then names the directory of the node's disk. With
 * FLYBALL_CONTROL=pack several nodes share the process (`pack.ts`), and have their disks under that directory.
 * Such a process ends with its channel, so it never outlives its harness.
 */

const exitCode = { ok: 0, failed: 1, usage: 2, bug: 70, interrupted: 130 } as const;

const clock = systemClock();

function runUnderHarness({ send, onMessage }: Channel<ToNode, FromNode>): void {
  const node = harnessed({ disk: process.env["FLYBALL_DISK"], send, onEnd: (code) => process.exit(code) });
  onMessage((message) => node.hear(message));
  ignoreInterrupts();
  process.on("uncaughtException", (error) => node.fail(new Error(error.stack ?? error.message)));
  process.on("SIGTERM", () => node.terminate());
}

/** Several nodes in this process, each with ports of its own: only the thread and the memory are shared. */
function runPack({ send, onMessage }: Channel<ToPack, FromPack>): void {
  const nodes = new Map<string, HarnessedNode>();
  let isTerminating = false;
  const nodeOf = (id: string): HarnessedNode => {
    const node = nodes.get(id);
    if (node !== undefined) return node;
    const disk = join(process.env["FLYBALL_DISK"] ?? tmpdir(), id.replaceAll("/", "-"));
    const made = harnessed({
      disk,
      send: (message, then) => send({ node: id, message }, then),
      // The next life of this node begins anew; the process ends with its channel.
      onEnd: () => {
        nodes.delete(id);
        if (isTerminating && nodes.size === 0) process.exit();
      },
    });
    nodes.set(id, made);
    return made;
  };
  onMessage(({ node, message }) => nodeOf(node).hear(message));
  ignoreInterrupts();
  process.on("uncaughtException", (error) => {
    let left = nodes.size;
    const gone = (): void => {
      if (--left <= 0) process.exit(exitCode.bug);
    };
    if (left === 0) gone();
    const why = `the process that it shares died: ${error.stack ?? error.message}`;
    for (const id of nodes.keys()) send({ node: id, message: { type: "failed", message: why } }, gone);
  });
  process.on("SIGTERM", () => {
    isTerminating = true;
    if (nodes.size === 0) process.exit();
    for (const node of nodes.values()) node.terminate();
  });
}

/** Ctrl-C reaches the whole process group: what becomes of the fleet is the harness's decision. */
function ignoreInterrupts(): void {
  process.on("SIGINT", () => undefined);
}

/** A node that obeys a harness. */
interface HarnessedNode {
  hear(message: ToNode): void;
  /** Ends it in order, as SIGTERM asks. */
  terminate(): void;
  /** Ends it with what can't be handled. */
  fail(error: Error): void;
}

/** `onEnd` hears of its end, with what a process that is this node alone ends with. */
function harnessed({
  disk,
  send,
  onEnd,
}: {
  readonly disk: string | undefined;
  readonly send: Channel<ToNode, FromNode>["send"];
  readonly onEnd: (code: number) => void;
}): HarnessedNode {
  const dial = new DialTable();
  let node: ControlledNode | undefined;
  let isTerminating = false;
  const answer = (message: FromNode): void => {
    if (message.type === "stopped") return send(message, () => onEnd(exitCode.ok));
    if (message.type === "failed") return send(message, () => onEnd(exitCode.failed));
    send(message);
    if (message.type === "drained" && isTerminating) node?.handle({ type: "stop" });
  };
  return {
    hear: (message) => {
      if (message.type === "dial") dial.replace(message.dial);
      if (message.type === "start") {
        dial.replace(message.dial);
        const program = programs.get(message.program);
        if (program === undefined) {
          const { message: text, hint } = unknownProgram(message.program);
          return answer({ type: "failed", message: text, ...(hint !== undefined && { hint }) });
        }
        node ??= createNode(program, contextMaker(dial, disk), answer);
      }
      node?.handle(message);
    },
    terminate: () => {
      isTerminating = true;
      if (node === undefined) return onEnd(exitCode.ok);
      node.handle({ type: "drain" });
    },
    fail: ({ message }) => send({ type: "failed", message }, () => onEnd(exitCode.bug)),
  };
}

function contextMaker(dial: DialTable, diskPath: string | undefined, onMetrics?: (url: string) => void) {
  return async (start: StartMessage, own: NodeContext["telemetry"], machine: Machine): Promise<NodeContext> => {
    const seen = machine.clock(clock);
    const { node, program, config, seed, listen, advertise, isExposed = false, tracing, tls } = start;
    const wire = { clock: seen, dial: (address: string) => dial.resolve(address), isLoopbackOnly: !isExposed, tls };
    const metrics = start.metrics === undefined ? undefined : await openMetrics(start, start.metrics, onMetrics);
    const telemetry = metrics?.counting(own) ?? own;
    const directory = diskPath ?? join(tmpdir(), `flyball-${process.pid}`);
    return {
      node,
      listen,
      advertise,
      clock: seen,
      random: createRandom(seed),
      transport: tripleTransport(wire),
      transports: otherTransports(wire),
      http: nodeHttp({ clock: seen, isLoopbackOnly: !isExposed }),
      disk: machine.disk(timedDisk(directoryDisk(directory), { clock: seen, telemetry }), seen),
      telemetry,
      calls: new CallLog({ clock: seen, telemetry }),
      policies: metrics?.watched(builtInPolicies) ?? builtInPolicies,
      infrastructure: realInfrastructure({ dial: (address) => dial.resolve(address) }),
      ...(tracing?.otlp !== undefined && {
        spanExporter: otlpExporter({
          clock,
          url: tracing.otlp,
          application: applicationOf(program, config),
          node,
          run: tracing.run,
        }),
      }),
      load: (file) => importModule(file),
      work: (us) => (us <= 0 ? Promise.resolve() : clock.sleep(us)),
      // The thread stands still, and the machine's processors stay free for the others.
      block: (us) => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, us / 1000),
    };
  };
}

/** Counts, and serves what it counted until the process ends: its last scrape comes after its last call. */
async function openMetrics(
  start: StartMessage,
  address: string,
  onServed?: (url: string) => void,
): Promise<NodeMetrics> {
  // Loaded by those who want it: nobody else's start pays for it.
  const { createMetrics } = await import("../runtime/node/telemetry/metrics.ts");
  const { serveMetrics } = await import("../runtime/node/telemetry/exposition.ts");
  const metrics = createMetrics({ clock, node: start.node });
  const { contentType } = metrics;
  const isLoopbackOnly = start.isExposed !== true;
  const served = await serveMetrics({ address, isLoopbackOnly, contentType, render: () => metrics.render() });
  onServed?.(`http://${served.address}/metrics`);
  return metrics;
}

/** The application's name, as the program's configuration has it: a provider's is its service's, unless it says otherwise. */
function applicationOf(program: string, config: unknown): string {
  const { application, service } = (config ?? {}) as { readonly application?: unknown; readonly service?: unknown };
  return [application, service].find((name): name is string => typeof name === "string") ?? program;
}

/** Where each address is really dialled; every address that isn't listed is dialled itself. */
class DialTable {
  #ways: DialMap = {};

  replace(ways: DialMap): void {
    this.#ways = ways;
  }

  resolve(address: string): string {
    return this.#ways[address] ?? address;
  }
}

const unknownProgram = (name: string): ConfigError =>
  new ConfigError(
    `there is no program "${name}"`,
    didYouMean(name, programs.keys()) ?? `the programs are ${[...programs.keys()].join(", ")}`,
  );

// By hand

const options = {
  listen: { type: "string" },
  advertise: { type: "string" },
  expose: { type: "boolean" },
  metrics: { type: "string" },
  registry: { type: "string" },
  "config-center": { type: "string" },
  coordinator: { type: "string" },
  database: { type: "string" },
  service: { type: "string", default: "orders" },
  rate: { type: "string" },
  config: { type: "string", default: "{}" },
  node: { type: "string" },
  seed: { type: "string", default: "1" },
  disk: { type: "string" },
  otlp: { type: "string" },
  "trace-sample": { type: "string" },
  tls: { type: "string" },
  help: { type: "boolean", short: "h" },
} as const;

type Values = ReturnType<typeof parseArgs<{ options: typeof options; allowPositionals: true }>>["values"];

const help = `node services/main.ts PROGRAM [options]    runs one program of a fleet until Ctrl-C, then drains it

  registry        who runs where              --listen 127.0.0.1:2181
  config-center   rule documents              --listen 127.0.0.1:8848
  coordinator     global transactions         --listen 127.0.0.1:8091
  provider        does work                   --listen 127.0.0.1:20880 --registry 127.0.0.1:2181
  consumer        calls a service             --registry 127.0.0.1:2181 --rate 20/s
  gateway         calls it for HTTP clients   --listen 127.0.0.1:8080 --registry 127.0.0.1:2181
  rules           publishes rule documents    --config-center 127.0.0.1:8848 --config '{"documents": [{"key": …, "content": …}]}'
  order           the bank: global transactions over account and stock, which reserve what an order wants
  account, stock                              --registry 127.0.0.1:2181 --coordinator 127.0.0.1:8091

  --listen HOST:PORT         where it listens, on loopback; port 0 takes a free one (default 127.0.0.1:0)
  --expose                   let it listen beyond loopback, for containers: --listen 0.0.0.0:20880 --expose
  --advertise HOST:PORT      what it registers instead, where others reach it by another address (provider)
  --metrics HOST:PORT        where it serves /metrics to Prometheus, for example 127.0.0.1:9464 (default: nowhere)
  --registry WHERE           the registry to join (who provides or calls a service): HOST:PORT of an embedded one, or a URL
  --config-center WHERE      where its rules come from, or go to (likewise; default: no rules)
  --coordinator WHERE        the transaction coordinator (order, account, stock): HOST:PORT, or seata://HOST:8091
  --database URL             where account and stock keep their rows (default: on the node's own disk)
  --service NAME             the service to provide or to call (default orders)
  --rate N/s                 calls to make each second (consumer: default 20/s; gateway: default none)
  --config JSON              the program's configuration; what the options above say comes on top
  --node NAME                its name in the registry (default PROGRAM/<process id>)
  --seed N                   of its random streams (default 1)
  --disk PATH                where it keeps files (default .flyball/disk/NAME)
  --otlp URL                 sends traces of its calls to a store: http://127.0.0.1:4318 (default: none)
  --trace-sample N           of which share of them, 0 to 1, where a trace begins here (default 1)
  --tls DIR                  talks to other nodes over mutual TLS only: DIR/ca.pem, cert.pem and key.pem (default: without TLS)
  --help
`;

function runByHand(args: readonly string[]): void {
  try {
    startByHand(args);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    complain(error.message, error.hint ?? "see --help");
    process.exitCode = exitCode.usage;
  }
}

function startByHand(args: readonly string[]): void {
  const { values, positionals } = parsed(args);
  const [name, ...rest] = positionals;
  if (values.help === true || name === undefined) {
    (values.help === true ? process.stdout : process.stderr).write(help);
    if (values.help !== true) process.exitCode = exitCode.usage;
    return;
  }
  if (rest.length > 0) throw new ConfigError(`"${rest[0]}" is too much`, "one process runs one program");
  const program = programs.get(name);
  if (program === undefined) throw unknownProgram(name);
  const start: StartMessage = {
    type: "start",
    version: controlVersion,
    node: values.node ?? `${name}/${process.pid}`,
    program: name,
    config: configOf(program, values),
    seed: numberOf("seed", values.seed),
    listen: addressOf("listen", values.listen) ?? "127.0.0.1:0",
    advertise: addressOf("advertise", values.advertise),
    isExposed: values.expose ?? false,
    metrics: addressOf("metrics", values.metrics),
    dial: {},
    ...tracingOf(values),
    ...(values.tls !== undefined && { tls: identityIn(values.tls) }),
  };
  // Fails before anything has started.
  program.parse(start.config);
  if (!isCaller(name) && values.rate !== undefined) throw new ConfigError("--rate is for the consumer and the gateway");
  const rateText = values.rate ?? (name === "consumer" ? "20/s" : undefined);
  const rate = rateText === undefined ? undefined : rateOf(rateText);

  const diskPath = values.disk ?? join(".flyball", "disk", start.node.replaceAll("/", "-"));
  const onMetrics = (url: string): void => say(`${start.node} serves metrics at ${url}`);
  const node = createNode(program, contextMaker(new DialTable(), diskPath, onMetrics), (message) => hear(message));
  let load: Load | undefined;
  const hear = (message: FromNode): void => {
    switch (message.type) {
      case "listening":
        if (message.address !== undefined) say(`${start.node} listens at ${message.address}`);
        node.handle({ type: "go" });
        break;
      case "ready":
        say(`${start.node} is ready; Ctrl-C drains it`);
        if (rate !== undefined) load = new Load(node, rate);
        break;
      case "records":
        for (const event of message.events) {
          if (event.type === "call.end") load?.count(event);
          else if (event.type === "call.begin") load?.begin(event);
          else describe(event);
        }
        break;
      case "drained":
        node.handle({ type: "stop" });
        break;
      case "stopped":
        process.exit(exitCode.ok);
        break;
      case "failed":
        complain(message.message, message.hint);
        process.exit(exitCode.failed);
        break;
      case "driven":
      case "audited":
      case "collected":
      case "disturbed":
      case "settled":
      case "machine.set":
        break;
    }
  };
  let isStopping = false;
  const stop = (): void => {
    if (isStopping) process.exit(exitCode.interrupted);
    isStopping = true;
    load?.stop();
    say(`${start.node} drains; once more ends it at once`);
    node.handle({ type: "drain" });
  };
  process.on("SIGINT", stop);
  process.on("SIGTERM", stop);
  process.on("uncaughtException", (error) => {
    complain(error.stack ?? error.message);
    process.exit(exitCode.bug);
  });
  node.handle(start);
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true });
  } catch (error) {
    const unknown = /Unknown option '(-+)([^']*)'/.exec((error as Error).message);
    if (unknown === null) throw new ConfigError((error as Error).message);
    const [, dashes, name] = unknown;
    const near = nearest(name!, Object.keys(options));
    throw new ConfigError(
      `there is no option ${dashes}${name}`,
      near === undefined ? "see --help" : `did you mean --${near}?`,
    );
  }
}

/** The program's configuration: the JSON, and what the options say on top. */
function configOf(program: ServiceProgram, values: Values): unknown {
  let given: unknown;
  try {
    given = JSON.parse(values.config);
  } catch (error) {
    throw new ConfigError(`--config is no JSON: ${(error as Error).message}`, `write '{"weight": 50}'`);
  }
  if (typeof given !== "object" || given === null) throw new ConfigError("--config is no JSON object");
  const registry = addressOf("registry", values.registry, isInfrastructureAddress);
  const configCenter = addressOf("config-center", values["config-center"], isInfrastructureAddress);
  const infrastructure = { ...(registry && { registry }), ...(configCenter && { configCenter }) };
  if (program.name === "rules") {
    if (registry !== undefined) throw new ConfigError("rules joins no registry");
    return { ...given, ...infrastructure };
  }
  const transactions = {
    ...(values.coordinator && { coordinator: addressOf("coordinator", values.coordinator, isInfrastructureAddress) }),
    ...(values.database && { database: addressOf("database", values.database, isInfrastructureAddress) }),
  };
  if (isBank(program.name)) {
    const calls = program.name === "order" ? { account: { service: "account" }, stock: { service: "stock" } } : {};
    return { ...calls, ...given, ...infrastructure, ...transactions };
  }
  if (Object.keys(transactions).length > 0) {
    throw new ConfigError(`the ${program.name} takes part in no transaction`, "the bank does: order, account, stock");
  }
  if (program.name === "provider") return { service: values.service, ...given, ...infrastructure };
  if (!isCaller(program.name)) {
    if (registry ?? configCenter) throw new ConfigError(`the ${program.name} joins no registry`);
    return given;
  }
  return { application: "by-hand", calls: { service: values.service }, ...given, ...infrastructure };
}

const isBank = (program: string): boolean => ["order", "account", "stock"].includes(program);

const isCaller = (program: string): boolean => program === "consumer" || program === "gateway";

function addressOf(option: string, value: string | undefined, isRight = isAddress): string | undefined {
  if (value === undefined || isRight(value)) return value;
  throw new ConfigError(`--${option} ${value} is no address`, 'write "127.0.0.1:2181"');
}

function tracingOf(values: Values): Pick<StartMessage, "tracing"> {
  const { otlp, "trace-sample": share } = values;
  if (otlp === undefined) {
    if (share !== undefined) throw new ConfigError("--trace-sample needs a place for the traces", "add --otlp URL");
    return {};
  }
  if (!/^https?:$/.test(URL.parse(otlp)?.protocol ?? "")) {
    throw new ConfigError(`--otlp ${otlp} is no URL of a trace store`, 'write "http://127.0.0.1:4318"');
  }
  const sample = Number(share ?? 1);
  if (!(sample >= 0 && sample <= 1))
    throw new ConfigError(`--trace-sample ${share} is no share`, "write 0.1, or 1 for all");
  // Two runs with one seed must not be one in the store.
  return { tracing: { sample, otlp, run: onDemand.crypto().randomUUID() } };
}

function identityIn(directory: string): TlsIdentity {
  try {
    return readIdentity(directory, clock.wallMs());
  } catch (error) {
    const { message, hint } = toRpcError(error);
    throw new ConfigError(`--tls ${directory}: ${message}`, hint);
  }
}

function numberOf(option: string, value: string): number {
  const number = Number(value);
  if (Number.isSafeInteger(number)) return number;
  throw new ConfigError(`--${option} ${value} is no integer`);
}

function rateOf(value: string): number {
  const rate = Number(/^(\d+(?:\.\d+)?)\/s$/.exec(value)?.[1]);
  if (rate > 0 && rate <= 100_000) return rate;
  throw new ConfigError(`--rate ${value} is no rate`, 'write "20/s"');
}

/** A constant load, second by second, and a line about each. */
class Load {
  readonly #node: ControlledNode;
  readonly #rate: number;
  readonly #dueUs = new Map<number, number>();
  #second: CallEnd[] = [];
  #startUs = clock.nowUs();
  #planned = 0;
  #disarm: () => void = () => undefined;

  constructor(node: ControlledNode, rate: number) {
    this.#node = node;
    this.#rate = rate;
    this.#turn();
  }

  stop(): void {
    this.#disarm();
  }

  begin({ call, dueUs, method }: Extract<RuntimeEvent, { readonly type: "call.begin" }>): void {
    if (method.startsWith("/flyball.worker.")) this.#dueUs.set(call, dueUs);
  }

  count(end: CallEnd): void {
    if (this.#dueUs.has(end.call)) this.#second.push(end);
  }

  #turn(): void {
    if (this.#second.length > 0) this.#print();
    // Whole calls so far, so that 0.5/s makes one every other second.
    const first = this.#planned;
    const seconds = (clock.nowUs() - this.#startUs) / 1e6;
    this.#planned = Math.max(first, Math.floor((seconds + 1) * this.#rate));
    const dueUs = Array.from({ length: this.#planned - first }, (_, index) =>
      Math.round(((first + index) / this.#rate) * 1e6),
    );
    if (dueUs.length > 0)
      this.#node.handle({ type: "drive", drive: { startUs: this.#startUs, dueUs, isWarmUp: false } });
    this.#disarm = clock.after(1_000_000, () => this.#turn());
  }

  #print(): void {
    const ends = this.#second;
    this.#second = [];
    const latencies = ends.map((end) => (end.atUs - this.#dueUs.get(end.call)!) / 1000).sort((a, b) => a - b);
    const at = (share: number): string => latencies[Math.floor(share * (latencies.length - 1))]!.toFixed(1);
    const codes = counts(ends.map((end) => end.code));
    const instances = counts(ends.flatMap((end) => end.attempts.slice(-1).map((attempt) => attempt.instance)).sort());
    for (const end of ends) this.#dueUs.delete(end.call);
    say(`${ends.length} calls: ${codes} · p50 ${at(0.5)} ms, p99 ${at(0.99)} ms · ${instances}`);
  }
}

/** "OK 18, UNAVAILABLE 2" */
function counts(names: readonly string[]): string {
  const times = new Map<string, number>();
  for (const name of names) times.set(name, (times.get(name) ?? 0) + 1);
  return [...times].map(([name, count]) => `${name} ${count}`).join(", ");
}

function describe(event: RuntimeEvent): void {
  if (event.type === "membership") {
    const list = event.instances.length === 0 ? "no instances" : event.instances.join(", ");
    say(`${event.service} has ${list} (${event.source})`);
  } else if (event.type === "rule") {
    say(`rule ${event.key} version ${event.version}: ${event.outcome}${event.reason ? `, ${event.reason}` : ""}`);
  } else if (event.type === "registry") {
    say(`registry: ${event.state}`);
  } else if (event.type === "policy") {
    const { policy, service, instance = service, state, value, reason } = event;
    say(`${policy} of ${instance}: ${state}${value === undefined ? "" : ` ${value}`}${reason ? `, ${reason}` : ""}`);
  } else if (event.type === "access") {
    say(event.line);
  } else if (event.type === "span.export") {
    say(`spans: ${event.sent} sent, ${event.dropped} dropped${event.waiting > 0 ? `, ${event.waiting} waiting` : ""}`);
  }
}

const say = (line: string): void => void process.stdout.write(`${line}\n`);

function complain(message: string, hint?: string): void {
  process.stderr.write(`error: ${message}\n${hint === undefined ? "" : `  hint: ${hint}\n`}`);
}

const control = process.env["FLYBALL_CONTROL"];
if (control === "ipc" && process.send !== undefined) runUnderHarness(ipcChannel());
else if (control === "pack" && process.send !== undefined) runPack(ipcChannel());
else if (control === "stdio") runUnderHarness(stdioChannel());
else runByHand(process.argv.slice(2));
