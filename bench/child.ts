import { execFile } from "node:child_process";

export interface Finished {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
  /** From the start of the process to its end. */
  readonly wallMs: number;
}

/** Runs a program to its end; rejects only when it can't be started. */
export function finish(command: string, args: readonly string[]): Promise<Finished> {
  const begunMs = performance.now();
  return new Promise((resolve, reject) => {
    execFile(command, args, { maxBuffer: 64 << 20 }, (error, stdout, stderr) => {
      const wallMs = performance.now() - begunMs;
      if (error !== null && typeof error.code !== "number") {
        reject(new Error(`${command} can't be started: ${error.message}`, { cause: error }));
      } else resolve({ exitCode: typeof error?.code === "number" ? error.code : 0, stdout, stderr, wallMs });
    });
  });
}

/** What a program that must succeed prints as JSON. */
export async function measured<T>(command: string, args: readonly string[]): Promise<T> {
  const { exitCode, stdout, stderr } = await finish(command, args);
  if (exitCode !== 0) throw new Error(`${command} ${args.join(" ")} ended with ${exitCode}: ${stderr.trim()}`);
  return JSON.parse(stdout) as T;
}
