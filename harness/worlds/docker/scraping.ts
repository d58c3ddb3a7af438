import { copyFile, mkdir, chmod } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import type { Clock } from "../../../runtime/ports/clock.ts";
import type { HistoryRecord, MetricsRecord } from "../../history/record.ts";
import { settled } from "../../parallel.ts";
import { isScrapedSince, prometheusAt, readMetrics, type Prometheus } from "../../telemetry/prometheus.ts";
import { targetsFile, type TargetsFile } from "../../telemetry/targets.ts";
import type { FleetNode } from "../world.ts";
import { startFaultMetrics, type FaultMetrics } from "./fault-metrics.ts";
import type { Invocation } from "./invocation.ts";
import { prometheus as server } from "./servers.ts";

/** Where every node serves its metrics, to the network of its fleet alone. */
export const metricsPort = 9_464;

/** The project's own configuration of Prometheus: what a fleet is watched with everywhere. */
const configuration = fileURLToPath(new URL("../../../dashboards/prometheus/", import.meta.url));

/** The Prometheus that watches one run's nodes. */
export class Scraping {
  readonly #prometheus: Prometheus;
  readonly #targets: TargetsFile;
  readonly #faultTargets: TargetsFile;
  readonly #faults: FaultMetrics;
  readonly #clock: Clock;
  readonly #run: string;
  readonly #startedMs = Date.now();
  /** Nodes of whose present life all was seen. */
  readonly #seen = new Set<string>();
  /** Nodes of which something wasn't. */
  readonly #lost = new Set<string>();

  private constructor(parts: {
    prometheus: Prometheus;
    targets: TargetsFile;
    faultTargets: TargetsFile;
    faults: FaultMetrics;
    clock: Clock;
    run: string;
  }) {
    this.#prometheus = parts.prometheus;
    this.#targets = parts.targets;
    this.#faultTargets = parts.faultTargets;
    this.#faults = parts.faults;
    this.#clock = parts.clock;
    this.#run = parts.run;
  }

  /** Starts the invocation's Prometheus, or takes the one that is there. */
  static async start(
    invocation: Invocation,
    options: { readonly clock: Clock; readonly run: string; readonly onProgress: (message: string) => void },
  ): Promise<Scraping> {
    const { clock, onProgress } = options;
    const directory = join(invocation.directory, "prometheus");
    await mkdir(join(directory, "targets/faults"), { recursive: true });
    for (const file of ["prometheus.yml", "rules.yml"])
      await copyFile(join(configuration, file), join(directory, file));
    // Prometheus runs as somebody else.
    for (const path of [".", "targets", "targets/faults"]) await chmod(join(directory, path), 0o755);
    const mounts = [{ from: directory, to: "/etc/prometheus" }];
    const served = invocation.helper("harness/worlds/docker/fault-metrics-main.ts", {
      role: `faults of ${options.run}`,
      commandAt: (ip) => [options.run, `${ip}:${metricsPort}`],
    });
    const [running, faults] = await Promise.all([
      invocation.sharedServer(server, onProgress, { mounts }),
      served.then(({ container }) => startFaultMetrics(container)),
    ]);
    const { ip } = await served;
    // Runs of several invocations never share a Prometheus, so a run's own name is enough.
    const targets = targetsFile(join(directory, "targets", `${options.run}.json`));
    const faultTargets = targetsFile(join(directory, "targets/faults", `${options.run}.json`));
    await faultTargets.add({ address: `${ip}:${metricsPort}`, run: options.run, node: "faults" });
    const prometheus = prometheusAt(`http://${running.addressOf(server.ports[0]!)}`);
    return new Scraping({ prometheus, targets, faultTargets, faults, clock, run: options.run });
  }

  /** From now on the node is scraped, every second. */
  async add(node: string, ip: string): Promise<void> {
    await this.#targets.add({ address: `${ip}:${metricsPort}`, run: this.#run, node });
  }

  /** What happens to the fleet: dashboards show when which fault was there. */
  hear(record: HistoryRecord): void {
    this.#faults.hear(record);
  }

  /** The node's work is done: waits for a scrape that has seen all of it. */
  async untilScraped(node: string): Promise<void> {
    if (await isScrapedSince(this.#prometheus, { run: this.#run, node }, Date.now())) this.#seen.add(node);
  }

  /** A life of the node has ended; unless `untilScraped` came before, what it did last was never seen. */
  ended(node: string): void {
    if (!this.#seen.delete(node)) this.#lost.add(node);
  }

  /** What Prometheus has counted of each of the nodes, with times on the fleet's clock. */
  async read(nodes: readonly FleetNode[]): Promise<readonly MetricsRecord[]> {
    const running = nodes.filter(({ state }) => state === "running");
    await Promise.all(running.map(({ id }) => this.untilScraped(id)));
    const atUs = this.#clock.nowUs();
    const epochMs = Date.now() - atUs / 1000;
    return Promise.all(
      nodes.map(({ id: node, state }) =>
        readMetrics(this.#prometheus, {
          run: this.#run,
          node,
          windowMs: Date.now() - this.#startedMs + 10_000,
          isWhole: !this.#lost.has(node) && (state === "stopped" || this.#seen.has(node)),
          atUs,
          runUsAt: (wallMs) => Math.round((wallMs - epochMs) * 1000),
        }),
      ),
    );
  }

  async close(): Promise<void> {
    await settled([this.#targets.close(), this.#faultTargets.close(), this.#faults.container.remove()]);
  }
}
