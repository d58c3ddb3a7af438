import { vi } from "vitest";

import { commandLine, report } from "./program.ts";

/** What a command line said, and how it ended. */
export interface Said {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * The command line in the tests' own process, in a directory, one after the other: for what doesn't outlive its command. It spares the half
 * second in which a process of its own reads the program.
 */
export async function inProcess(directory: string, args: readonly string[]): Promise<Said> {
  const written = { stdout: "", stderr: "" };
  const spies = (["stdout", "stderr"] as const).map((name) =>
    vi.spyOn(process[name], "write").mockImplementation((text) => {
      written[name] += String(text);
      return true;
    }),
  );
  const before = process.cwd();
  process.chdir(directory);
  let code: number | null = null;
  try {
    const end = (told: number): Promise<void> => Promise.resolve(void (code = told));
    await commandLine(end).parseAsync(args, { from: "user" });
  } catch (error) {
    code = report(error);
  } finally {
    process.chdir(before);
    for (const spy of spies) spy.mockRestore();
  }
  return { code, ...written };
}
