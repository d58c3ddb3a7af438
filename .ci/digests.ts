import { execFileSync } from "node:child_process";

/** The same command in two processes gives the same digests: a simulated run depends on nothing but scenario, seed and code. */
const digests = (): string[] => {
  const out = execFileSync("npm", ["run", "-s", "scenario", "--", "--world", "sim", "--seed", "7", "--json"], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
  const { runs } = JSON.parse(out) as {
    readonly runs: readonly { readonly scenario: string; readonly digest?: string }[];
  };
  return runs.map(({ scenario, digest }) => `${scenario} ${digest ?? "without a digest"}`);
};

const [first, second] = [digests(), digests()];
process.stdout.write(`${first.join("\n")}\n`);
if (first.length === 0 || first.some((line) => line.endsWith("digest")) || first.join() !== second.join()) {
  process.stderr.write(`the second process says:\n${second.join("\n")}\n`);
  process.exit(1);
}
