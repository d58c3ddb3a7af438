/* eslint-disable @typescript-eslint/no-deprecated -- Grafana's older schema: every version from 10 on reads it from a file. */
import {
  GraphDrawStyle,
  LineInterpolation,
  LegendDisplayMode,
  LegendPlacement,
  StackingMode,
  VizLegendOptionsBuilder,
  StackingConfigBuilder,
  VisibilityMode,
} from "@grafana/grafana-foundation-sdk/common";
import {
  AnnotationQueryBuilder,
  DashboardBuilder,
  DashboardCursorSync,
  QueryVariableBuilder,
  VariableRefresh,
  VariableSort,
} from "@grafana/grafana-foundation-sdk/dashboard";
import { DataqueryBuilder } from "@grafana/grafana-foundation-sdk/prometheus";
import { PanelBuilder } from "@grafana/grafana-foundation-sdk/timeseries";

/** What dashboards are made of. Names of metrics are those of runtime/node/telemetry/catalogue.ts and prometheus/rules.yml. */

/** As grafana/provisioning/datasources/flyball.yaml defines it. */
const prometheus = { type: "prometheus", uid: "flyball-prometheus" };

/** Everybody's traffic but the infrastructure's own. */
export const fleet = 'run=~"$run",peer_service!~"registry|config-center|coordinator"';

export type Dashboard = ReturnType<DashboardBuilder["build"]>;

export interface DashboardSpec {
  /** Also the name of its file. */
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly panels: readonly PanelSpec[];
}

export interface PanelSpec {
  readonly title: string;
  /** What to look for. */
  readonly description: string;
  /** Grafana's name of a unit. Default "short". */
  readonly unit?: string;
  readonly max?: number;
  readonly isStacked?: boolean;
  /** What is drawn jumps from value to value: a state, a version. */
  readonly isState?: boolean;
  /** PromQL, with how its series are named. */
  readonly queries: readonly (readonly [expr: string, legend: string])[];
}

/** A dashboard with two panels a row, a choice of runs, and fault windows as annotations. */
export function dashboard({ name, title, description, panels }: DashboardSpec): Dashboard {
  const builder = new DashboardBuilder(title)
    .uid(`flyball-${name}`)
    .description(description)
    .tags(["flyball"])
    .timezone("browser")
    .time({ from: "now-5m", to: "now" })
    .refresh("5s")
    .tooltip(DashboardCursorSync.Crosshair)
    .withVariable(
      new QueryVariableBuilder("run")
        .label("Run")
        .query('label_values(up{job="flyball"}, run)')
        .datasource(prometheus)
        .refresh(VariableRefresh.OnTimeRangeChanged)
        .sort(VariableSort.AlphabeticalDesc)
        .includeAll(true)
        .allValue(".*")
        .current({ text: "All", value: "$__all" }),
    )
    .annotation(
      new AnnotationQueryBuilder()
        .name("Faults")
        .datasource(prometheus)
        .enable(true)
        .iconColor("red")
        .expr('flyball_fault_active{run=~"$run"} == 1')
        .step("1s")
        .titleFormat("{{kind}}")
        .textFormat("{{target}}"),
    );
  panels.forEach((panel, index) => builder.withPanel(graph(panel, index + 1)));
  return builder.build();
}

function graph(
  { title, description, unit = "short", max, isStacked, isState, queries }: PanelSpec,
  id: number,
): PanelBuilder {
  const builder = new PanelBuilder()
    .id(id)
    .title(title)
    .description(description)
    .datasource(prometheus)
    .unit(unit)
    .min(0)
    .span(12)
    .height(8)
    .lineWidth(isState === true ? 2 : 1)
    .fillOpacity(isStacked === true ? 40 : 5)
    .showPoints(VisibilityMode.Never)
    .drawStyle(GraphDrawStyle.Line)
    .legend(
      new VizLegendOptionsBuilder()
        .displayMode(LegendDisplayMode.List)
        .placement(LegendPlacement.Bottom)
        .showLegend(true),
    );
  if (max !== undefined) builder.max(max);
  if (isStacked === true) builder.stacking(new StackingConfigBuilder().mode(StackingMode.Normal).group("A"));
  if (isState === true) builder.lineInterpolation(LineInterpolation.StepAfter);
  queries.forEach(([expr, legend], index) => {
    builder.withTarget(
      new DataqueryBuilder()
        .refId(String.fromCharCode("A".charCodeAt(0) + index))
        .expr(expr)
        .legendFormat(legend)
        .range()
        .exemplar(expr.includes("_bucket")),
    );
  });
  return builder;
}
