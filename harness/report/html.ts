import { formatDuration } from "../scenario/durations.ts";
import { falseAlarm as alarmText } from "./block.ts";
import { charts, brokenId, seconds } from "./html/charts.ts";
import { both, markup, Markup } from "./html/markup.ts";
import { style } from "./html/style.ts";
import { waterfalls } from "./html/waterfall.ts";
import { verdicts, words } from "./html/words.ts";
import type { FinishedRun, Reporter } from "./reporter.ts";
import type { AgreementResult, CheckResult, FaultResult, InvocationResult, RunResult, Verdict } from "./verdict.ts";

/** Of more runs than this, those that passed have no charts: a page stays one that a browser opens at once. */
const chartedRunsMax = 40;

/**
 * An invocation as one page in a file of its own, in English and Chinese: it asks for nothing from anywhere and has no script, so it
 * can be mailed, archived and opened without trust. Histories are let go as soon as they are drawn.
 */
export function htmlReporter(): Reporter & { page(result: InvocationResult, language: "en" | "zh"): string } {
  const sections: Markup[] = [];
  let isBrief = false;
  return {
    onStart: ({ runs }) => {
      isBrief = runs.length > chartedRunsMax;
    },
    onScenario: (runs, agreement) => {
      for (const run of runs) sections.push(section(run, isBrief));
      if (agreement !== undefined) sections.push(agreementSection(agreement));
    },
    page: (result, language) => pageOf(result, sections, language),
  };
}

function pageOf(
  { verdict, runs, falseAlarm }: InvocationResult,
  sections: readonly Markup[],
  language: "en" | "zh",
): string {
  const passed = runs.filter((run) => run.verdict === "pass").length;
  const choice = (id: "en" | "zh", name: string): Markup =>
    markup`<input type="radio" name="language" id="${id}"${id === language ? markup` checked` : undefined}><label for="${id}">${name}</label>`;
  return markup`<!doctype html>
<html><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${verdicts[verdict].sign} ${words.title.en}: ${passed}/${runs.length}</title><style>${new Markup(style)}</style></head>
<body><header><h1>${both(words.title)} ${badge(verdict)}</h1><span>${passed} / ${runs.length} ${both(words.passed)}</span>
<fieldset class="languages" aria-label="Language, 语言">${choice("en", "English")}${choice("zh", "中文")}</fieldset></header>
${runs.length > 1 ? overview(runs) : undefined}
${sections}
<p class="faint">${both(words.bounded)} ${falseAlarm.toExponential(1)}.</p>
</body></html>
`.text;
}

const runId = ({ scenario, world, seed }: RunResult): string =>
  `run-${encodeURIComponent(scenario)}-${world}-${seed}`.replaceAll(/[^\w-]/g, "_");

function badge(verdict: Verdict): Markup {
  return markup`<span class="badge ${verdict}">${verdicts[verdict].sign} ${both(verdicts[verdict])}</span>`;
}

function overview(runs: readonly RunResult[]): Markup {
  const titles = [words.verdict, words.run, words.world, words.seed, words.calls, words.failed].map(both);
  return table(
    [...titles, markup`p50`, markup`p99`, both(words.checks)],
    runs.map((run) => [
      badge(run.verdict),
      markup`<a href="#${runId(run)}">${run.scenario}</a>`,
      ...[run.world, run.seed, run.calls.total, run.calls.failed].map((value) => markup`${value}`),
      ...[run.latencyMs.p50, run.latencyMs.p99].map((value) => markup`${formatDuration(value * 1000)}`),
      markup`${run.checks.filter(({ verdict }) => verdict === "pass").length} / ${run.checks.length}`,
    ]),
  );
}

/** On a narrow screen a row is a paragraph, and its cells bring their titles with them. */
function table(titles: readonly Markup[], rows: readonly (readonly Markup[])[]): Markup {
  return markup`<div class="wide"><table><thead><tr>${titles.map((title) => markup`<th>${title}</th>`)}</tr></thead><tbody>${rows.map(
    (cells) =>
      markup`<tr>${cells.map((cell, index) => markup`<td class="number">${titleOf(titles[index])}${cell}</td>`)}</tr>`,
  )}</tbody></table></div>`;
}

const titleOf = (title: Markup | undefined): Markup =>
  title === undefined ? markup`` : markup`<small class="title">${title}</small> `;

function section({ result, plan, history }: FinishedRun, isBrief: boolean): Markup {
  const id = runId(result);
  const { scenario, world, seed, verdict, reason, calls, latencyMs, checks, faults, replay, out } = result;
  const hasCharts = history !== undefined && !(isBrief && verdict === "pass");
  return markup`<section id="${id}">
<h2>${badge(verdict)} ${scenario} <small>${world} · ${both(words.seed)} ${seed} · ${seconds(result.durationMs * 1000)}</small></h2>
<p><b>${both(plan.scenario.title)}</b><br><span class="faint">${both(plan.scenario.explanation)}</span></p>
${reason === undefined ? undefined : markup`<p class="why">${reason}</p>`}
<p>${calls.total} ${both(words.calls)} · ${calls.failed} ${both(words.failed)} · ${(["p50", "p90", "p99"] as const).map((name) => `${name} ${formatDuration(latencyMs[name] * 1000)}`).join(" · ")}</p>
${checks.length === 0 ? undefined : checksOf(checks, hasCharts ? id : undefined)}
${faults.length === 0 ? undefined : faultsOf(faults)}
${
  hasCharts
    ? markup`<h3>${both(words.overTime)}</h3>${charts(history, checks, id)}${waterfalls(history)}`
    : history === undefined
      ? undefined
      : markup`<p class="faint">${both(words.brief)}</p>`
}
<h3>${both(words.replay)}</h3><pre>${replay}</pre>
${out === "" ? undefined : markup`<p class="faint">${both(words.records)}: ${out}</p>`}
</section>
`;
}

/** Each expectation; one that broke leads to where the charts show the moment. */
function checksOf(checks: readonly CheckResult[], run: string | undefined): Markup {
  const titles = [
    words.verdict,
    words.check,
    words.bound,
    words.observed,
    words.detects,
    words.trials,
    words.falseAlarm,
  ];
  return markup`<h3>${both(words.checks)}</h3>${table(
    titles.map(both),
    checks.map((check, index) => [
      badge(check.verdict),
      markup`${check.name}${check.message === "" || check.verdict === "pass" ? undefined : markup`<div class="why">${check.message}</div>`}${brokeAt(check, index, run)}`,
      markup`${check.bound}`,
      markup`<b>${check.observed}</b>`,
      markup`${check.detects}`,
      markup`${check.trials}`,
      check.falseAlarm === null ? both(words.timing) : markup`${alarmText(check.falseAlarm)}`,
    ]),
  )}`;
}

function brokeAt({ brokenAtMs }: CheckResult, index: number, run: string | undefined): Markup | undefined {
  if (brokenAtMs === undefined) return undefined;
  const text = markup`${both(words.broke)} ${seconds(brokenAtMs * 1000)}`;
  return run === undefined ? markup`<div>${text}</div>` : markup`<a href="#${brokenId(run, index)}">${text} ↓</a>`;
}

function faultsOf(faults: readonly FaultResult[]): Markup {
  return markup`<h3>${both(words.faults)}</h3>${table(
    [],
    faults.map(({ kind, target, atMs, forMs, effect, evidence }) => [
      markup`<b>${kind}</b> ${target}`,
      markup`<span class="whole">${seconds(atMs * 1000)}${forMs === null ? undefined : ` – ${seconds((atMs + forMs) * 1000)}`}</span>`,
      markup`<span class="whole ${effect}">${both(words[effect])}</span>`,
      markup`${evidence}`,
    ]),
  )}`;
}

function agreementSection({ scenario, seed, reference, worlds, verdict, rows }: AgreementResult): Markup {
  const titles = [
    both(words.quantity),
    ...[reference, ...worlds].map((name) => markup`${name}`),
    both(words.tolerance),
  ];
  return markup`<section><h2>${badge(verdict)} ${scenario} <small>${both(words.seed)} ${seed}</small></h2><p>${both(words.agreement)}</p>${table(
    titles,
    rows.map(({ quantity, expected, tolerance, measured }) => [
      markup`${quantity}`,
      markup`${expected}`,
      ...worlds.map((world) => {
        const one = measured.find((each) => each.world === world);
        if (one === undefined) return markup``;
        const sign = one.agrees ? "pass" : one.doubt === undefined ? "fail" : "inconclusive";
        return markup`<span class="${sign}">${verdicts[sign].sign}</span> ${one.value}${one.doubt === undefined ? undefined : markup` <small>${one.doubt}</small>`}`;
      }),
      markup`${tolerance}`,
    ]),
  )}</section>
`;
}
