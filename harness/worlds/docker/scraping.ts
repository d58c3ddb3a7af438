import { copyFile, mkdir, chmod } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import type { Clock } from "../../../runtime/ports/clock.ts";
import type { HistoryRecord, MetricsRecord } from "../../history/record.ts";
import { isScrapedSince, prometheusAt, readMetrics, type Prometheus } from "../../telemetry/prometheus.ts";
import { targetsFile, type TargetsFile } from "../../telemetry/targets.ts";
import type { FleetNode } from "../world.ts";
import type { FaultExposition } from "./fault-exposition.ts";
import { metricsPort, type Invocation } from "./invocation.ts";
import { prometheus as server } from "./servers.ts";

/** The project's own configuration of Prometheus: what a fleet is watched with everywhere. */
const configuration = fileURLToPath(new URL("../../../dashboards/prometheus/", import.meta.url));

/** The Prometheus that watches one run's nodes, and is told of its faults. */
export class Scraping {
  readonly #prometheus: Prometheus;
  readonly #targets: TargetsFile;
  readonly #faults: FaultExposition;
  readonly #faultTargets: TargetsFile;
  readonly #clock: Clock;
  readonly #run: string;
  readonly #startedMs = Date.now();
  /** Nodes of whose present life all was seen. */
  readonly #seen = new Set<string>();
  /** Nodes of which something wasn't. */
  readonly #lost = new Set<string>();

  private constructor(parts: {
    readonly prometheus: Prometheus;
    readonly targets: TargetsFile;
    readonly faults: FaultExposition;
    readonly faultTargets: TargetsFile;
    readonly clock: Clock;
    readonly run: string;
  }) {
    this.#prometheus = parts.prometheus;
    this.#targets = parts.targets;
    this.#faults = parts.faults;
    this.#faultTargets = parts.faultTargets;
    this.#clock = parts.clock;
    this.#run = parts.run;
  }

  /** Starts the invocation's Prometheus, or takes the one that is there. */
  static async start(
    invocation: Invocation,
    options: { readonly clock: Clock; readonly run: string; readonly onProgress: (message: string) => void },
  ): Promise<Scraping> {
    const { clock, run, onProgress } = options;
    const directory = join(invocation.directory, "prometheus");
    await mkdir(join(directory, "targets/faults"), { recursive: true });
    for (const file of ["prometheus.yml", "rules.yml"])
      await copyFile(join(configuration, file), join(directory, file));
    // Prometheus runs as somebody else.
    for (const path of [".", "targets", "targets/faults"]) await chmod(join(directory, path), 0o755);
    const mounts = [{ from: directory, to: "/etc/prometheus" }];
    const [running, faults] = await Promise.all([
      invocation.sharedServer(server, onProgress, { mounts }),
      invocation.faultExposition(),
    ]);
    faults.begin(run);
    // Runs of several invocations never share a Prometheus, so a run's own name is enough.
    const targets = targetsFile(join(directory, "targets", `${run}.json`));
    const faultTargets = targetsFile(join(directory, "targets/faults", `${run}.json`));
    await faultTargets.add({ address: faults.address, run, node: "faults" });
    const prometheus = prometheusAt(`http://${running.addressOf(server.ports[0]!)}`);
    return new Scraping({ prometheus, targets, faults, faultTargets, clock, run });
  }

  /** Follows the run's timeline: dashboards show its faults as annotations. */
  hear(record: HistoryRecord): void {
    this.#faults.hear(record);
  }

  /** From now on the node is scraped, every second. */
  async add(node: string, ip: string): Promise<void> {
    await this.#targets.add({ address: `${ip}:${metricsPort}`, run: this.#run, node });
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
    await Promise.all([this.#targets.close(), this.#faultTargets.close()]);
  }
}
