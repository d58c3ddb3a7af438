import { execFile } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";

const sources = join(import.meta.dirname, "go");
const out = join(import.meta.dirname, "../../.flyball/bench");

/**
 * Builds the peers that are written in Go, grpc-go's and dubbo-go's: their programs by name, or why there are none. The first build takes
 * minutes, a later one a second.
 */
export async function goPeers(): Promise<Readonly<Record<"grpc" | "dubbo", string>> | string> {
  mkdirSync(out, { recursive: true });
  // One package at a time: this machine may have other things to do.
  const env = { ...process.env, CGO_ENABLED: "0", GOFLAGS: "-p=1" };
  try {
    await promisify(execFile)("go", ["build", "-trimpath", "-ldflags=-s -w", "-o", `${out}/`, "./grpc", "./dubbo"], {
      ...{ cwd: sources, env, maxBuffer: 64 << 20 },
    });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return code === "ENOENT"
      ? "Go isn't installed: https://go.dev/dl"
      : `go build: ${message.trim().split("\n").at(-1)}`;
  }
  return { grpc: join(out, "grpc"), dubbo: join(out, "dubbo") };
}
