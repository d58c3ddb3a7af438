import { execFile, spawn, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { promisify } from "node:util";

import { LoadError } from "../driver.ts";
import { readyMark, startVariable } from "./script.ts";

const exec = promisify(execFile);

/** How k6 is had here. */
export type K6Source =
  | { readonly kind: "binary"; readonly path: string }
  | {
      readonly kind: "image";
      readonly image: string;
      /** On the container, so that it is removed with what else its invocation left behind. */
      readonly labels: Readonly<Record<string, string>>;
    };

/** Ends a child with its whole process group, and its container where it is one, when this process ends; the answer lets go of it. */
export type Guard = (child: { readonly pid: number; readonly isContainer: boolean }) => () => Promise<void>;

export interface K6Run {
  readonly script: string;
  readonly startMs: number;
  /** Users that must wait for the start before it counts as ready. */
  readonly users: number;
  /** A Docker network; absent: this host's own. */
  readonly network: string | undefined;
  readonly guard?: Guard | undefined;
}

/** The last of what k6 said that is kept for the message of its failure. */
const lastWordsMax = 4_000;
/** Every threshold is held or crossed: anything else is no result (https://grafana.com/docs/k6/latest/using-k6/thresholds/). */
const crossed = 99;

/** One run of k6, as a child process or in a container. */
export class K6Process {
  /** Resolves when every user waits for the start. Rejects with a `LoadError` when it ends before. */
  readonly ready: Promise<void>;
  /** Resolves with what it printed, thresholds held or crossed. Rejects with a `LoadError` when it ended otherwise. */
  readonly done: Promise<string>;
  readonly #child: ChildProcess;
  readonly #container: string | undefined;
  readonly #release: (() => Promise<void>) | undefined;
  #isEnded = false;

  constructor(source: K6Source, { script, startMs, users, network, guard }: K6Run) {
    const options = ["run", "--quiet", "--no-color", "--no-usage-report", "--address", "", "-"];
    const variable = `${startVariable}=${startMs}`;
    const stdio = ["pipe", "pipe", "pipe"] as const;
    if (source.kind === "binary") {
      this.#container = undefined;
      const env = { PATH: process.env["PATH"], HOME: process.env["HOME"], [startVariable]: String(startMs) };
      this.#child = spawn(source.path, options, { stdio: [...stdio], env, detached: true });
    } else {
      this.#container = `flyball-k6-${randomBytes(4).toString("hex")}`;
      const labels = Object.entries(source.labels).flatMap(([key, value]) => ["--label", `${key}=${value}`]);
      const args = [
        ...["run", "--rm", "--interactive", "--name", this.#container, "--network", network ?? "host"],
        ...[...labels, "--env", variable, source.image, ...options],
      ];
      this.#child = spawn("docker", args, { stdio: [...stdio], detached: true });
    }
    const { pid } = this.#child;
    if (pid !== undefined) this.#release = guard?.({ pid, isContainer: source.kind === "image" });
    let printed = "";
    let said = "";
    let waiting = 0;
    let beReady: () => void = () => undefined;
    const isReady = new Promise<void>((resolve) => (beReady = resolve));
    const child = this.#child;
    child.stdout!.setEncoding("utf8").on("data", (text: string) => (printed += text));
    let rest = "";
    child.stderr!.setEncoding("utf8").on("data", (text: string) => {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      for (const line of lines) {
        if (!line.includes(readyMark)) said = `${said}${line}\n`.slice(-lastWordsMax);
        else if (++waiting === users) beReady();
      }
    });
    // One that ends early takes no script.
    child.stdin!.on("error", () => undefined);
    child.stdin!.end(script);
    this.done = ended(child).then(({ code, why }) => {
      this.#isEnded = true;
      if (code === 0 || code === crossed) return printed;
      const lines = `${said}${rest}`.trimEnd().split("\n").slice(-12).join("\n");
      throw new LoadError(`k6 ${why}${lines === "" ? "" : `; the last that it said:\n${lines}`}`, { code: "CRASHED" });
    });
    const tooSoon = this.done.then(() => {
      throw new LoadError("k6 ended before its load began", { code: "CRASHED" });
    });
    this.ready = Promise.race([isReady, tooSoon]);
    // Whoever waits hears of it; who doesn't, must not count as unhandled.
    for (const promise of [this.done, this.ready, tooSoon]) promise.catch(() => undefined);
  }

  /** Ends it now, and resolves when it is gone. */
  async close(): Promise<void> {
    if (!this.#isEnded) await this.#end();
    await this.#release?.();
  }

  async #end(): Promise<void> {
    if (this.#container !== undefined) {
      await exec("docker", ["rm", "--force", "--volumes", this.#container]).catch(() => undefined);
    }
    // It leads a process group of its own.
    if (this.#child.pid !== undefined) killGroup(this.#child.pid);
    await this.done.catch(() => undefined);
    // One that was only being created when it was removed is there now.
    if (this.#container !== undefined) {
      await exec("docker", ["rm", "--force", "--volumes", this.#container]).catch(() => undefined);
    }
  }
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // It has ended by itself.
  }
}

function ended(child: ChildProcess): Promise<{ readonly code: number | null; readonly why: string }> {
  return new Promise((resolve) => {
    child.once("error", (error) => resolve({ code: null, why: `couldn't be started: ${error.message}` }));
    child.once("close", (code, signal) =>
      resolve({ code, why: signal === null ? `ended with exit code ${code}` : `was ended by ${signal}` }),
    );
  });
}

/**
 * How k6 can be had: the binary on the PATH, else the image (the other way round where the environment names one), which is pulled
 * when it isn't there. Answers what is missing otherwise.
 */
export async function findK6(
  image: string,
  { isImageNamed, labels }: { readonly isImageNamed: boolean; readonly labels: Readonly<Record<string, string>> },
): Promise<K6Source | { readonly kind: "missing"; readonly message: string; readonly hint: string }> {
  const viaImage = async (): Promise<K6Source | string> => {
    const reason = await whyNoImage(image);
    return reason ?? { kind: "image", image, labels };
  };
  const viaBinary = async (): Promise<K6Source | string> => {
    try {
      await exec("k6", ["version"]);
      return { kind: "binary", path: "k6" };
    } catch {
      return "there is no k6 on the PATH";
    }
  };
  const reasons: string[] = [];
  for (const way of isImageNamed ? [viaImage, viaBinary] : [viaBinary, viaImage]) {
    const found = await way();
    if (typeof found !== "string") return found;
    reasons.push(found);
  }
  return {
    kind: "missing",
    message: `k6 can't be had: ${reasons.join(", and ")}`,
    hint: `install it (https://grafana.com/docs/k6/latest/set-up/install-k6/), or start Docker and \`docker pull ${image}\`, or name an image in FLYBALL_IMAGE_K6`,
  };
}

async function whyNoImage(image: string): Promise<string | undefined> {
  try {
    await exec("docker", ["version", "--format", "{{.Server.Version}}"], { timeout: 10_000 });
  } catch {
    return "Docker doesn't answer";
  }
  try {
    await exec("docker", ["image", "inspect", image]);
    return undefined;
  } catch {
    // Not there: it may be had.
  }
  try {
    await exec("docker", ["pull", "--quiet", image], { timeout: 300_000 });
    return undefined;
  } catch (error) {
    const { stderr } = error as { readonly stderr?: string };
    const last = stderr?.trim().split("\n").at(-1) ?? "";
    return `the image ${image} can't be pulled${last === "" ? "" : ` (${last})`}`;
  }
}
