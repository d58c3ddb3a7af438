import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";

/**
 * Brings the other implementations that can't be had from Debian into .flyball/peers: grpc-go's interop programs, one of ours on grpc-go,
 * and connectconformance from Go's module proxy (go.mod, go.sum), h2 from PyPI (h2/requirements.txt). Checksums of all of them are committed.
 */
const sources = import.meta.dirname;
const out = join(sources, "../../.flyball/peers");
/** grpc-go 1.85 needs it. */
const goMinimum = [1, 26] as const;

const programs = {
  "grpc-go-client": "google.golang.org/grpc/interop/client",
  "grpc-go-server": "google.golang.org/grpc/interop/server",
  "grpc-go-streams": "./grpc-go/streams",
  connectconformance: "connectrpc.com/conformance/cmd/connectconformance",
};

mkdirSync(out, { recursive: true });
const obstacles = [buildGo(), installPython()].filter((obstacle) => obstacle !== undefined);
for (const obstacle of obstacles) console.error(`error: ${obstacle}`);
if (obstacles.length > 0) process.exitCode = 3;

/** Go's own cache makes a second build take a second. */
function buildGo(): string | undefined {
  const version = output("go", ["env", "GOVERSION"]);
  const [major = 0, minor = 0] = version.replace(/^go/, "").split(".").map(Number);
  if (major < goMinimum[0] || (major === goMinimum[0] && minor < goMinimum[1])) {
    return `Go ${goMinimum.join(".")} or newer is needed; here is ${version || "none"} (https://go.dev/dl)`;
  }
  for (const [name, path] of Object.entries(programs)) {
    execFileSync("go", ["build", "-trimpath", "-ldflags=-s -w", "-o", join(out, name), path], {
      cwd: sources,
      // One package at a time: a build shares its machine with what is being measured.
      env: { ...process.env, CGO_ENABLED: "0", GOFLAGS: "-p=1 -buildvcs=false" },
      stdio: ["ignore", "inherit", "inherit"],
    });
  }
  return undefined;
}

function installPython(): string | undefined {
  if (output("python3", ["-m", "pip", "--version"]) === "") return "python3 with pip is needed (Debian: python3-pip)";
  const wanted = ["--require-hashes", "--no-deps", "-r", join(sources, "h2/requirements.txt")];
  const quietly = ["--quiet", "--disable-pip-version-check", "--no-warn-script-location", "--root-user-action=ignore"];
  execFileSync(
    "python3",
    ["-m", "pip", "install", ...quietly, "--upgrade", "--target", join(out, "python"), ...wanted],
    {
      stdio: "inherit",
    },
  );
  return undefined;
}

function output(program: string, args: readonly string[]): string {
  const { status, stdout } = spawnSync(program, args, { cwd: sources, encoding: "utf8" });
  return status === 0 ? stdout.trim() : "";
}
