import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";

/** Something that Prometheus scrapes. */
export interface Target {
  /** "host:port", as Prometheus reaches it. */
  readonly address: string;
  /** Tells apart the fleets that one Prometheus watches. */
  readonly run: string;
  /** "orders/0" */
  readonly node: string;
}

/** What Prometheus is to scrape, as a file that it watches. */
export interface TargetsFile {
  add(target: Target): Promise<void>;
  /** Prometheus stops scraping it; what it has stays. */
  remove(node: string): Promise<void>;
  /** Removes the file, and with it all its targets. */
  close(): Promise<void>;
}

/**
 * File-based service discovery (https://prometheus.io/docs/prometheus/latest/configuration/configuration/#file_sd_config): one
 * file for each run, in a directory that Prometheus watches (`targets/` of dashboards/prometheus/prometheus.yml). It is replaced
 * as a whole, so that nobody reads half of it, and changes are written in the order in which they were asked for. Labels:
 * `run`, `service` ("orders"), `instance` ("orders/0").
 */
export function targetsFile(path: string): TargetsFile {
  const targets = new Map<string, Target>();
  let written = Promise.resolve();
  const write = (): Promise<void> => {
    const text = `${JSON.stringify([...targets.values()].map(groupOf), null, 2)}\n`;
    const next = written.then(async () => {
      await mkdir(dirname(path), { recursive: true });
      // Prometheus looks for *.json only.
      await writeFile(`${path}.new`, text);
      await rename(`${path}.new`, path);
    });
    // Who asked hears of a failure; who asks next has his own try.
    written = next.catch(() => undefined);
    return next;
  };
  return {
    add: (target) => {
      targets.set(target.node, target);
      return write();
    },
    remove: (node) => {
      targets.delete(node);
      return write();
    },
    close: async () => {
      await written;
      await rm(path, { force: true });
    },
  };
}

function groupOf({ address, run, node }: Target) {
  return { targets: [address], labels: { run, service: serviceOf(node), instance: node } };
}

const serviceOf = (node: string): string => node.slice(0, node.includes("/") ? node.lastIndexOf("/") : undefined);
