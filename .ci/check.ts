import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/**
 * `npm run check`: every part, each with its time, going on after a failure so that one run shows them all.
 * Leaves `.flyball/check/summary.json` for .ci/run. In CI (CI=true) a skipped test is a failure.
 */
const root = join(import.meta.dirname, "..");
const out = join(root, ".flyball/check");
const testsFile = join(out, "tests.json");

const parts: readonly { name: string; command: readonly string[] }[] = [
  { name: "format", command: ["run", "-s", "format:check"] },
  { name: "lint", command: ["run", "-s", "lint"] },
  { name: "types", command: ["run", "-s", "types"] },
  { name: "dependencies", command: ["run", "-s", "depcruise"] },
  { name: "generated", command: ["run", "-s", "generate", "--", "--check"] },
  {
    name: "tests",
    command: ["test", "-s", "--", "--reporter=default", "--reporter=json", `--outputFile=${testsFile}`],
  },
];

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });

const failed = parts.filter((part) => !succeeds(part)).map(({ name }) => name);
const tests = readTests();
const isSkipForbidden = process.env["CI"] === "true";
if (isSkipForbidden && tests.skipped.length > 0) {
  console.error(`A skipped test proves nothing, so CI forbids it:\n  ${tests.skipped.join("\n  ")}`);
  failed.push("skipped tests");
}

const summary = {
  passed: parts.filter(({ name }) => !failed.includes(name)).length + tests.passed,
  failed: failed.length + tests.failed,
};
writeFileSync(join(out, "summary.json"), `${JSON.stringify(summary)}\n`);
console.log(failed.length === 0 ? "check: green" : `check: red (${failed.join(", ")})`);
process.exitCode = failed.length === 0 ? 0 : 1;

function succeeds({ name, command }: (typeof parts)[number]): boolean {
  const start = performance.now();
  const { status } = spawnSync("npm", command, { cwd: root, stdio: "inherit" });
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  console.log(`== ${name}: ${seconds} s${status === 0 ? "" : " FAILED"}`);
  return status === 0;
}

/** What vitest counted; nothing when it didn't get as far as a report. */
function readTests(): { passed: number; failed: number; skipped: readonly string[] } {
  let report: VitestReport;
  try {
    report = JSON.parse(readFileSync(testsFile, "utf8")) as VitestReport;
  } catch {
    return { passed: 0, failed: 0, skipped: [] };
  }
  const tests = report.testResults.flatMap(({ assertionResults }) => assertionResults);
  return {
    passed: tests.filter(({ status }) => status === "passed").length,
    failed: tests.filter(({ status }) => status === "failed").length,
    skipped: tests.filter(({ status }) => status !== "passed" && status !== "failed").map(({ fullName }) => fullName),
  };
}

interface VitestReport {
  readonly testResults: readonly {
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[];
  }[];
}
