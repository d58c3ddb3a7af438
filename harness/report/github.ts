import type { InvocationResult } from "./verdict.ts";

/**
 * Annotations for GitHub Actions, a line each
 * (https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands): what failed or broke is an error, what is
 * inconclusive a warning. The page of the step's summary is `markdownReport`.
 */
export function githubAnnotations({ runs, agreements }: InvocationResult): string {
  const lines = [
    ...runs.flatMap(({ scenario, world, seed, verdict, reason, checks, replay }) => {
      const title = `${scenario} in ${world}, seed ${seed}`;
      const broken = checks.filter((check) => check.verdict !== "pass" && check.verdict !== "unsupported");
      if (broken.length === 0 && verdict !== "pass" && verdict !== "unsupported")
        return [annotation(verdict, title, `${reason ?? verdict}\n${replay}`)];
      return broken.map((check) => annotation(check.verdict, title, `${check.name}: ${check.message}\n${replay}`));
    }),
    ...agreements
      .filter(({ verdict }) => verdict !== "pass")
      .map(({ scenario, seed, reference, worlds, verdict, rows }) => {
        const off = rows.filter(({ measured }) => measured.some(({ agrees }) => !agrees));
        const text = off.map(({ quantity }) => quantity).join(", ");
        return annotation(
          verdict,
          `${scenario}, seed ${seed}`,
          `${reference} and ${worlds.join(", ")} differ: ${text}`,
        );
      }),
  ];
  return lines.map((line) => `${line}\n`).join("");
}

const annotation = (verdict: string, title: string, message: string): string =>
  `::${verdict === "inconclusive" ? "warning" : "error"} title=${property(title)}::${data(message)}`;

const data = (text: string): string => text.replaceAll("%", "%25").replaceAll("\r", "%0D").replaceAll("\n", "%0A");

const property = (text: string): string => data(text).replaceAll(":", "%3A").replaceAll(",", "%2C");
