import type { CallRecord, History } from "../../history/history.ts";
import { loadCalls } from "../../judge/summary.ts";
import { seconds, short } from "./charts.ts";
import { both, markup, type Markup } from "./markup.ts";
import { isFailed } from "./timeline.ts";
import { words } from "./words.ts";

/** How many calls of each sort are shown. */
const callsMax = 10;
/** Attempts of one call: whoever makes more shows it by these. */
const attemptsMax = 12;

/** The slowest calls, and of each kind of failure the first, each with its attempts on one axis. */
export function waterfalls(history: History): Markup {
  const calls = loadCalls(history);
  const slowest = slowestOf(calls);
  const failed = firstOfEachKind(calls.filter(isFailed));
  return markup`${
    failed.length === 0
      ? undefined
      : markup`<h4>${both(words.failedCalls)} <small>${both(words.ofFailed)}</small></h4>${failed.map((call, index) => waterfall(call, index === 0))}`
  }${slowest.length === 0 ? undefined : markup`<h4>${both(words.slowest)}</h4>${slowest.map((call, index) => waterfall(call, index === 0))}`}`;
}

const tookUs = ({ dueUs, endUs }: CallRecord): number => endUs - dueUs;

/** One pass that keeps the few: a run may have many. */
export function slowestOf(calls: readonly CallRecord[]): readonly CallRecord[] {
  const kept: CallRecord[] = [];
  for (const call of calls) {
    if (call.endUs < 0) continue;
    const last = kept.at(-1);
    if (kept.length === callsMax && tookUs(call) <= tookUs(last!)) continue;
    const at = kept.findIndex((other) => tookUs(other) < tookUs(call));
    kept.splice(at < 0 ? kept.length : at, 0, call);
    if (kept.length > callsMax) kept.pop();
  }
  return kept;
}

/** A hundred failures of one kind say what one of them says. */
export function firstOfEachKind(calls: readonly CallRecord[]): readonly CallRecord[] {
  const kinds = new Map<string, CallRecord[]>();
  for (const call of calls) {
    const codes = call.attempts.map(({ code }) => code).join(",");
    const kind = `${call.service} ${call.code} ${call.rejectedBy ?? ""} ${codes}`;
    const same = kinds.get(kind);
    if (same === undefined) kinds.set(kind, [call]);
    else if (same.length < callsMax) same.push(call);
  }
  const chosen: CallRecord[] = [];
  for (let round = 0; chosen.length < callsMax; round++) {
    const next = [...kinds.values()].flatMap((same) => same.slice(round, round + 1));
    if (next.length === 0) break;
    chosen.push(...next.slice(0, callsMax - chosen.length));
  }
  return chosen;
}

function waterfall(call: CallRecord, isOpen: boolean): Markup {
  const { dueUs, beginUs, endUs, attempts, node, service, code, message, rejectedBy } = call;
  const lengthUs = Math.max(1, endUs - dueUs);
  const place = (fromUs: number, toUs: number): string => {
    const left = Math.min(100, Math.max(0, ((fromUs - dueUs) / lengthUs) * 100));
    const right = Math.min(100, Math.max(left, ((toUs - dueUs) / lengthUs) * 100));
    return `left:${left.toFixed(1)}%;width:${(right - left).toFixed(1)}%`;
  };
  const row = (kind: string, name: string | Markup, fromUs: number, toUs: number, note: string | Markup): Markup =>
    markup`<div class="row"><span>${name}</span><div class="track"><i class="${kind}" style="${place(fromUs, toUs)}"></i></div><span>${note}</span></div>`;
  const rows = attempts
    .slice(0, attemptsMax)
    .map(({ instance, beginUs: from, endUs: to, code: ended }) =>
      to < 0
        ? row("open", instance, from, endUs, both(words.unfinished))
        : row(ended === "OK" ? "ok" : "bad", instance, from, to, `${ended} ${ms(to - from)}`),
    );
  const more = attempts.length > attemptsMax ? markup`<p>+ ${attempts.length - attemptsMax}</p>` : undefined;
  return markup`<details class="call"${isOpen ? markup` open` : undefined}><summary><b>${ms(endUs - dueUs)}</b> ${node} → ${service} <span class="${code === "OK" ? "ok" : "bad"}">${code ?? "?"}</span> <small>@ ${seconds(dueUs)}</small></summary>
${beginUs > dueUs ? row("wait", both(words.waiting), dueUs, beginUs, ms(beginUs - dueUs)) : undefined}${rows}${more}${attempts.length === 0 ? markup`<p>${both(words.noAttempt)}${rejectedBy === undefined ? undefined : `: ${rejectedBy}`}</p>` : undefined}${message === undefined ? undefined : markup`<p class="why">${message.slice(0, 500)}</p>`}</details>
`;
}

const ms = (us: number): string => `${short(us / 1000)} ms`;
