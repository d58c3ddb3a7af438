import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { CodeGeneratorRequestSchema, CodeGeneratorResponseSchema } from "@bufbuild/protobuf/wkt";

import { file_worker } from "../../../services/proto/worker_pb.ts";

/**
 * Builds the dubbo-go provider, the consumer and what speaks streams into .flyball/foreign: static binaries, which run in any Linux
 * container and as processes. Go's own cache makes a second build take a second; the first takes minutes. `--check` only compares the
 * generated worker.pb.go with what the fleet's own description of the service says.
 */
const sources = import.meta.dirname;
const out = join(sources, "../../../.flyball/foreign");
const generated = join(sources, "worker/worker.pb.go");
/** dubbo-go 3.3.2 needs it. */
const goMinimum = [1, 25] as const;

const obstacle = whatIsMissing();
if (obstacle !== undefined) {
  console.error(
    `error: ${obstacle}\nhint: https://go.dev/dl, or leave the foreign scenarios out: nothing else needs Go`,
  );
  process.exit(3);
}

const code = generate();
if (process.argv.includes("--check")) {
  if (code !== readFileSync(generated, "utf8")) {
    console.error("worker.pb.go isn't what services/proto/worker.proto generates: run npm run foreign");
    process.exit(1);
  }
} else {
  writeFileSync(generated, code);
  build();
}

function whatIsMissing(): string | undefined {
  const needed = `Go ${goMinimum.join(".")} or newer`;
  const { status, stdout } = spawnSync("go", ["env", "GOVERSION"], { cwd: sources, encoding: "utf8" });
  if (status !== 0) return `${needed} isn't installed`;
  const [major = 0, minor = 0] = stdout.trim().replace(/^go/, "").split(".").map(Number);
  const isOld = major < goMinimum[0] || (major === goMinimum[0] && minor < goMinimum[1]);
  return isOld ? `${needed} is needed; here is ${stdout.trim()}` : undefined;
}

/** The messages in Go, by protoc-gen-go of the version that the module names; protoc itself isn't needed. */
function generate(): string {
  const request = create(CodeGeneratorRequestSchema, {
    fileToGenerate: [file_worker.proto.name],
    parameter: `paths=source_relative,M${file_worker.proto.name}=flyball/foreign/worker`,
    protoFile: [file_worker.proto],
  });
  const answer = go(
    ["run", "google.golang.org/protobuf/cmd/protoc-gen-go"],
    toBinary(CodeGeneratorRequestSchema, request),
  );
  const { file, error } = fromBinary(CodeGeneratorResponseSchema, answer);
  if (error !== "") throw new Error(error);
  return file[0]!.content;
}

function build(): void {
  mkdirSync(out, { recursive: true });
  go(["build", "-trimpath", "-ldflags=-s -w", "-o", `${out}/`, "./provider", "./consumer", "./streams"]);
}

/** One package at a time: a build shares its machine with what is being measured. */
function go(args: readonly string[], input?: Uint8Array): Buffer {
  return execFileSync("go", args, {
    cwd: sources,
    env: { ...process.env, CGO_ENABLED: "0", GOFLAGS: "-p=1" },
    stdio: [input === undefined ? "ignore" : "pipe", "pipe", "inherit"],
    ...(input !== undefined && { input }),
    maxBuffer: 64 << 20,
  });
}
