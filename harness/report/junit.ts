import type { CheckResult, InvocationResult, RunResult, Verdict } from "./verdict.ts";

/**
 * JUnit's XML, as Jenkins, GitLab and most CI servers read it (the common subset: https://github.com/testmoapp/junitxml). A run is
 * a test suite and a check a test case; a run without checks is one case, and so is every comparison of worlds. What failed is a
 * failure, what broke an error; inconclusive and unsupported are "skipped", because they never count as passed.
 */
export function junitXml({ runs, agreements }: InvocationResult): string {
  const suites = [
    ...runs.map((run) => ({ name: nameOf(run), seconds: run.wallMs / 1000, cases: casesOf(run) })),
    ...agreements.map(({ scenario, seed, reference, worlds, verdict, rows }) => ({
      name: `${scenario} seed ${seed}: ${reference} beside ${worlds.join(", ")}`,
      seconds: 0,
      cases: rows.map(({ quantity, expected, tolerance, measured }): Case => {
        const isOff = measured.some(({ agrees }) => !agrees);
        const values = measured.map(({ world, value }) => `${world} ${value}`).join(", ");
        return {
          name: quantity,
          verdict: isOff ? verdict : "pass",
          message: `${reference} ${expected} (${tolerance}), ${values}`,
        };
      }),
    })),
  ];
  const all = suites.flatMap(({ cases }) => cases);
  return [
    `<?xml version="1.0" encoding="UTF-8"?>`,
    `<testsuites name="flyball"${counts(all)}>`,
    ...suites.flatMap(({ name, seconds, cases }) => [
      `  <testsuite name="${escaped(name)}"${counts(cases)} time="${seconds.toFixed(3)}">`,
      ...cases.flatMap((one) => caseLines(name, one)),
      `  </testsuite>`,
    ]),
    `</testsuites>`,
    "",
  ].join("\n");
}

interface Case {
  readonly name: string;
  readonly verdict: Verdict;
  readonly message: string;
  /** How to see it again. */
  readonly details?: string;
}

const nameOf = ({ scenario, world, seed }: RunResult): string => `${scenario} in ${world}, seed ${seed}`;

function casesOf({ checks, verdict, reason, replay, out }: RunResult): readonly Case[] {
  const details = out === "" ? replay : `${replay}\n${out}`;
  const cases = checks.map((check) => ({ name: check.name, verdict: check.verdict, message: said(check), details }));
  // What makes a run worse than its checks is none of them.
  const isWorse = verdict !== "pass" && !checks.some((check) => check.verdict === verdict);
  if (cases.length > 0 && !isWorse) return cases;
  return [...cases, { name: "run", verdict, message: reason ?? verdict, details }];
}

const said = ({ message, observed, bound }: CheckResult): string =>
  message === "" ? `${observed}, bound ${bound}` : message;

function caseLines(suite: string, { name, verdict, message, details = "" }: Case): readonly string[] {
  const head = `    <testcase classname="${escaped(suite)}" name="${escaped(name)}"`;
  const kind = elements[verdict];
  if (kind === undefined) return [`${head}/>`];
  const text = kind === "skipped" ? `${verdict}: ${message}` : message;
  return [`${head}>`, `      <${kind} message="${escaped(text)}">${escaped(details)}</${kind}>`, `    </testcase>`];
}

const elements: Readonly<Record<Verdict, "failure" | "error" | "skipped" | undefined>> = {
  pass: undefined,
  fail: "failure",
  error: "error",
  inconclusive: "skipped",
  unsupported: "skipped",
};

function counts(cases: readonly Case[]): string {
  const of = (kind: string): number => cases.filter(({ verdict }) => elements[verdict] === kind).length;
  return ` tests="${cases.length}" failures="${of("failure")}" errors="${of("error")}" skipped="${of("skipped")}"`;
}

/** For an attribute or an element. XML 1.0 has no place for most control characters, not even escaped. */
function escaped(text: string): string {
  return text
    .replaceAll(/[^\t\n\r\u{20}-\u{d7ff}\u{e000}-\u{fffd}\u{10000}-\u{10ffff}]/gu, "\ufffd")
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")
    .replaceAll("\n", "&#10;");
}
