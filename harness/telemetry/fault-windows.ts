import type { HistoryRecord } from "../history/record.ts";

/** The gauge of active faults, for docs, dashboards and their tests. */
export const faultActive = {
  name: "flyball_fault_active",
  labels: ["run", "kind", "target"],
  help: "1 while a fault is there, 0 once it has been lifted.",
} as const;

/** Which faults are there now, as Prometheus reads it: dashboards show them as annotations. */
export interface FaultWindows {
  /** Hears the history's records; steps of the timeline are what it is about. */
  hear(record: HistoryRecord): void;
  /** The text to serve at /metrics (`serveMetrics` of runtime/node/telemetry/exposition.ts does). */
  render(): Promise<string>;
  readonly contentType: string;
}

/**
 * Follows the faults of one run. A fault is there from `applied` to `lifted`. One that can't be had again (a reset) is there for
 * `momentMs`, so that a scrape meets it. Default 2000.
 */
export function faultWindows(
  run: string,
  { now = () => performance.now(), momentMs = 2_000 }: { readonly now?: () => number; readonly momentMs?: number } = {},
): FaultWindows {
  const faults = new Map<number, { readonly kind: string; readonly target: string; untilMs: number }>();
  return {
    hear: (record) => {
      if (record.type !== "step" || record.what.kind !== "fault") return;
      const { kind } = record.what.fault;
      if (record.phase === "applied") {
        const links = record.what.links.map(({ from, to }) => `${from} → ${to}`);
        const target = [...record.what.nodes, ...links].join(", ");
        faults.set(record.index, { kind, target, untilMs: kind === "reset" ? now() + momentMs : Infinity });
      } else if (record.phase === "lifted") {
        const fault = faults.get(record.index);
        if (fault !== undefined) fault.untilMs = now();
      }
    },
    render: () => {
      const nowMs = now();
      // Two faults of one kind may follow each other on one target: the series is theirs together.
      const active = new Map<string, boolean>();
      for (const { kind, target, untilMs } of faults.values()) {
        const labels = `run=${quoted(run)},kind=${quoted(kind)},target=${quoted(target)}`;
        active.set(labels, (active.get(labels) ?? false) || nowMs < untilMs);
      }
      const { name, help } = faultActive;
      const lines = [...active].map(([labels, isActive]) => `${name}{${labels}} ${isActive ? 1 : 0}`);
      return Promise.resolve([`# HELP ${name} ${help}`, `# TYPE ${name} gauge`, ...lines, ""].join("\n"));
    },
    contentType: "text/plain; version=0.0.4; charset=utf-8",
  };
}

/** A label's value as the text format has it. */
const quoted = (value: string): string =>
  `"${value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n")}"`;
