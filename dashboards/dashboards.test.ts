import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { describe, expect, test } from "vitest";
import { parse } from "yaml";

import { faultActive } from "../harness/telemetry/fault-windows.ts";
import { catalogue } from "../runtime/node/telemetry/catalogue.ts";
import { expressionsOf } from "./expressions.ts";
import { dashboards, generatedFiles } from "./table.ts";

const here = import.meta.dirname;
const yamlOf = <T>(file: string): T => parse(readFileSync(join(here, file), "utf8")) as T;

interface Rules {
  readonly groups: readonly {
    readonly rules: readonly { readonly record?: string; readonly alert?: string; readonly expr: string }[];
  }[];
}
const rules = yamlOf<Rules>("prometheus/rules.yml").groups.flatMap((group) => group.rules);

/** Every series that can be asked for: what nodes and the harness export, what rules record, what Prometheus itself adds. */
const known: ReadonlySet<string> = new Set([
  ...Object.values(catalogue).flatMap(({ name, type }) =>
    type === "histogram" ? [`${name}_bucket`, `${name}_count`, `${name}_sum`] : [name],
  ),
  faultActive.name,
  ...rules.flatMap(({ record }) => record ?? []),
  "up",
  // Seata's own (its `metrics-exporter-prometheus`).
  "seata_transaction",
]);
/** The names in an expression that could be a series': what is neither quoted, nor a list of labels, nor a label in braces. */
const metricsIn = (expr: string): readonly string[] =>
  (
    expr
      .replaceAll(/\{[^}]*\}/g, "{}")
      .replaceAll(/\b(by|on|group_left)\s*\([^)]*\)/g, "")
      .match(/\b(\w+:[\w:]+|(rpc|flyball|process|seata)_\w+|up|target_info)/g) ?? []
  ).map(String);

test("what is committed is what is generated", () => {
  const committed = globSync("generated/*.json", { cwd: here }).map((file) => file.replace("generated/", ""));
  expect(committed.sort()).toEqual([...generatedFiles().keys()].sort());
  for (const [file, text] of generatedFiles()) expect(readFileSync(join(here, "generated", file), "utf8")).toBe(text);
});

describe.each(Object.entries(dashboards))("dashboard %s", (name, built) => {
  test("has an identity that links can rely on, and shows faults", () => {
    expect(built.uid).toBe(`flyball-${name}`);
    expect(built.annotations?.list?.map((annotation) => annotation.expr)).toEqual([
      'flyball_fault_active{run=~"$run"} == 1',
    ]);
  });

  test("has panels with titles of their own, a description, and queries", () => {
    const panels = built.panels ?? [];
    expect(panels.length).toBeGreaterThan(3);
    expect(new Set(panels.map(({ title }) => title)).size).toBe(panels.length);
    for (const panel of panels) {
      expect(panel).toMatchObject({ type: "timeseries", description: expect.stringMatching(/\.$/) as string });
    }
  });

  test("asks only for series that exist, and only of the chosen run", () => {
    for (const { expr } of expressionsOf(built)) {
      const asked = metricsIn(expr);
      expect(asked.length, expr).toBeGreaterThan(0);
      expect(asked.filter((metric) => !known.has(metric))).toEqual([]);
      expect(expr).toContain('run=~"$run"');
    }
  });
});

test("rules ask only for series that exist", () => {
  for (const { expr } of rules) {
    const asked = metricsIn(expr);
    expect(asked.length, expr).toBeGreaterThan(0);
    expect(asked.filter((metric) => !known.has(metric))).toEqual([]);
  }
});

test("every data source that a dashboard names is provisioned under that uid, and exemplars lead to traces", () => {
  const { datasources } = yamlOf<{
    readonly datasources: readonly {
      readonly uid: string;
      readonly type: string;
      readonly jsonData: { readonly exemplarTraceIdDestinations?: readonly { readonly datasourceUid: string }[] };
    }[];
  }>("grafana/provisioning/datasources/flyball.yaml");
  const uids = new Map(datasources.map(({ uid, type }) => [uid, type]));
  const named = [...JSON.stringify(dashboards).matchAll(/"type":"(\w+)","uid":"([^"]+)"/g)];
  expect(named.length).toBeGreaterThan(20);
  for (const [, type, uid] of named) expect(uids.get(uid!)).toBe(type);
  const destinations = datasources.flatMap(({ jsonData }) => jsonData.exemplarTraceIdDestinations ?? []);
  expect(destinations.map(({ datasourceUid }) => uids.get(datasourceUid))).toEqual(["jaeger"]);
});

describe.each(["metrics.md", "metrics.zh-CN.md"])("docs/%s", (page) => {
  const text = readFileSync(join(here, "../docs", page), "utf8");
  const rowOf = (name: string): string | undefined => text.split("\n").find((line) => line.startsWith(`| \`${name}\``));

  test.each([...Object.values(catalogue), { ...faultActive, type: "gauge" }])(
    "has a row for $name with its type and labels",
    ({ name, type, labels }) => {
      const [, , shownType, shownLabels] =
        rowOf(name)
          ?.split("|")
          .map((cell) => cell.trim()) ?? [];
      expect(shownType).toBe(type);
      expect(shownLabels).toBe(labels.map((label) => `\`${label}\``).join(", "));
    },
  );

  test("has a row for each alert, and for no other", () => {
    const alerts = new Set(rules.flatMap(({ alert }) => alert ?? []));
    const rows = text.match(/(?<=^\| `)Flyball\w+(?=`)/gm) ?? [];
    expect(rows.map(String).sort()).toEqual([...alerts].sort());
  });
});
