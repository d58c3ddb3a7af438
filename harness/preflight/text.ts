import { table, type Paint } from "../report/text.ts";
import type { Preflight } from "./analyse.ts";
import type { Finding, FindingRequest } from "./findings.ts";

/** Routes that people are shown of each service; `--json` has them all. */
const routesShown = 12;

/** Characters that are shown of a value: rules may ask for words of any length. */
const shownMax = 100;
const shown = (text: string): string => (text.length > shownMax ? `${text.slice(0, shownMax)}…` : text);

/** A preflight as people read it. */
export function preflightText({ documents, services, findings, requests }: Preflight, paint: Paint): string {
  const lines: string[] = [
    `${paint("bold", "preflight")}  ${count(documents.length, "document")}, ${count(services.length, "service")}, ${count(
      services.reduce((sum, { instances }) => sum + instances, 0),
      "instance",
    )}; ${count(requests, "request")} tried, none sent`,
  ];
  for (const { service, instances, routes } of services) {
    lines.push("", `${paint("bold", service)}  ${count(instances, "instance")}`);
    const rows = routes
      .slice(0, routesShown)
      .map(({ why, request }) => [
        "",
        shown(request.text),
        paint("dim", "▸"),
        destinations(request),
        paint("dim", shown(why)),
      ]);
    lines.push(...table([{}, {}, {}, {}, { spare: 1 }], rows).map((line) => ` ${line}`));
    if (routes.length > routesShown)
      lines.push(paint("dim", `   … ${routes.length - routesShown} more (--json has them)`));
  }
  const errors = findings.filter(({ level }) => level === "error");
  const warnings = findings.filter(({ level }) => level === "warning");
  for (const finding of [...errors, ...warnings]) lines.push("", ...findingLines(finding, paint));
  lines.push("", summary(errors.length, warnings.length, paint));
  return `${lines.join("\n")}\n`;
}

function findingLines(
  { kind, level, key, source, line, message, hint, request }: Finding,
  paint: Paint,
): readonly string[] {
  const mark = level === "error" ? paint("red", `✗ ${kind}`) : paint("yellow", `! ${kind}`);
  const place =
    source === undefined
      ? ""
      : `  ${source}${line === undefined ? "" : `:${line}`}${source.includes(key ?? "") ? "" : ` (${key})`}`;
  return [
    `${mark}${paint("dim", place)}`,
    `    ${message}`,
    ...(request === undefined
      ? []
      : [`    ${paint("dim", "for example")}  ${shown(request.text)}  ${paint("dim", "▸")} ${destinations(request)}`]),
    ...(hint === undefined ? [] : [paint("dim", `    ${hint}`)]),
  ];
}

function destinations({ to }: FindingRequest): string {
  return to
    .map(({ share, count: found, instances }) => {
      const part = share < 0.9999 ? `${Math.round(share * 1000) / 10} % ` : "";
      if (found === 0) return `${part}nobody`;
      const names = instances.slice(0, 4).join(", ");
      return `${part}${found > 4 ? `${found} instances: ${names}, …` : names}`;
    })
    .join(" · ");
}

function summary(errors: number, warnings: number, paint: Paint): string {
  const rest = warnings === 0 ? "" : `, ${count(warnings, "warning")}`;
  if (errors > 0) return ` ${paint("red", "FINDINGS")}  ${errors}${rest}`;
  return ` ${paint("green", "CLEAR")}  nothing found${rest}`;
}

const count = (number: number, what: string): string => `${number} ${what}${number === 1 ? "" : "s"}`;
