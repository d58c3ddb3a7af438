import type { Dashboard } from "./parts.ts";

/** A query of a dashboard: of one of its panels, or of its annotations. */
export interface Expression {
  readonly dashboard: string;
  readonly panel: string;
  /** PromQL with the dashboard's variables in it. */
  readonly expr: string;
}

/** Every PromQL expression of a dashboard. */
export function expressionsOf(dashboard: Dashboard): readonly Expression[] {
  const title = dashboard.title ?? "";
  const ofPanels = (dashboard.panels ?? []).flatMap((panel) =>
    panel.type === "row" || !("targets" in panel)
      ? []
      : (panel.targets ?? []).map((target) => ({
          dashboard: title,
          panel: panel.title ?? "",
          expr: (target as unknown as { readonly expr: string }).expr,
        })),
  );
  const ofAnnotations = (dashboard.annotations?.list ?? []).map(({ name, expr }) => ({
    dashboard: title,
    panel: `annotation ${name}`,
    expr: expr ?? "",
  }));
  return [...ofPanels, ...ofAnnotations];
}
