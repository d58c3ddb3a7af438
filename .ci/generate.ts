import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

import { generatedFiles } from "../dashboards/table.ts";
import { scenarioPages } from "./scenario-page.ts";

/**
 * Generates Grafana's dashboards (`dashboards/generated/*.json`) from `dashboards/*.ts`, the page of the scenarios, and `*_pb.ts` beside
 * every `.proto` with protoc (Debian: protobuf-compiler) and protoc-gen-es. With `--check` it writes nothing and fails when a committed
 * file differs from what would be generated; where protoc is absent it says so and passes, except in CI.
 */
const root = join(import.meta.dirname, "..");
const isCheck = process.argv.includes("--check");

generateDashboards();
for (const [file, text] of await scenarioPages()) generatePage(file, text);

const hasProtoc = spawnSync("protoc", ["--version"]).status === 0;
if (!hasProtoc) {
  const isForgiven = isCheck && process.env["CI"] !== "true";
  console.log(`${isForgiven ? "skipped: " : ""}protoc is not installed (Debian: apt-get install protobuf-compiler)`);
  process.exit(isForgiven ? (process.exitCode ?? 0) : 3);
}

const protos = globSync(["runtime/**/*.proto", "services/**/*.proto", "proof/**/*.proto"], { cwd: root }).sort();
const out = isCheck ? mkdtempSync(join(tmpdir(), "flyball-generate-")) : root;
try {
  for (const proto of protos) generate(proto);
  if (isCheck) compare();
} finally {
  if (isCheck) rmSync(out, { recursive: true });
}

function generateDashboards(): void {
  const room = join(root, "dashboards/generated");
  const wanted = generatedFiles();
  const present = globSync("*.json", { cwd: room });
  const read = (file: string): string | undefined =>
    present.includes(file) ? readFileSync(join(room, file), "utf8") : undefined;
  const stale = [...wanted].filter(([file, text]) => read(file) !== text);
  const orphaned = present.filter((file) => !wanted.has(file));
  if (!isCheck) {
    mkdirSync(room, { recursive: true });
    for (const [file, text] of stale) writeFileSync(join(room, file), text);
    for (const file of orphaned) rmSync(join(room, file));
    return;
  }
  for (const [file] of stale) console.error(`dashboards/generated/${file} is stale: run npm run generate`);
  for (const file of orphaned) console.error(`dashboards/generated/${file} is nobody's any more: run npm run generate`);
  if (stale.length + orphaned.length > 0) process.exitCode = 1;
}

function generatePage(file: string, text: string): void {
  const path = join(root, file);
  if (!isCheck) writeFileSync(path, text);
  else if (!existsSync(path) || readFileSync(path, "utf8") !== text) {
    console.error(`${file} is stale: run npm run generate`);
    process.exitCode = 1;
  }
}

/** Each directory is a root of its own, so that a generated file doesn't depend on where the room lies. */
function generate(proto: string): void {
  const room = dirname(proto);
  mkdirSync(join(out, room), { recursive: true });
  const plugin = join(root, "node_modules/.bin/protoc-gen-es");
  execFileSync(
    "protoc",
    [
      `--plugin=protoc-gen-es=${plugin}`,
      `--proto_path=${room}`,
      `--es_out=${join(out, room)}`,
      "--es_opt=target=ts,import_extension=ts,erasable_syntax=true",
      proto,
    ],
    { cwd: root, stdio: "inherit" },
  );
}

function compare(): void {
  const wanted = globSync("**/*_pb.ts", { cwd: out }).sort();
  const present = globSync(["runtime/**/*_pb.ts", "services/**/*_pb.ts", "proof/**/*_pb.ts"], { cwd: root });
  const stale = wanted.filter(
    (file) =>
      !present.includes(file) || readFileSync(join(root, file), "utf8") !== readFileSync(join(out, file), "utf8"),
  );
  const orphaned = present.filter((file) => !wanted.includes(file));
  for (const file of stale) console.error(`${file} is not what its .proto generates: run npm run generate`);
  for (const file of orphaned) console.error(`${file} has no .proto any more: delete it`);
  if (stale.length + orphaned.length > 0) process.exitCode = 1;
}
