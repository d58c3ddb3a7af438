import type { Disk } from "./ports/disk.ts";

/**
 * Replaces a file so that a crash leaves the old content or the new one, never a part: written under another name, synced,
 * renamed. One writer a name. `content`: all of it, or its parts in order, of which each is written before the next is asked for.
 */
export async function replaceFile(disk: Disk, name: string, content: string | Iterable<Uint8Array>): Promise<void> {
  const unfinished = `${name}.new`;
  await disk.remove(unfinished);
  const parts = typeof content === "string" ? [new TextEncoder().encode(content)] : content;
  for (const part of parts) await disk.append(unfinished, part);
  await disk.sync(unfinished);
  await disk.rename(unfinished, name);
}

/** A file's JSON value; undefined when there is no such file or it holds no JSON: it is then as good as absent. */
export async function readJson(disk: Disk, name: string): Promise<unknown> {
  const bytes = await disk.read(name);
  if (bytes === undefined) return undefined;
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    return undefined;
  }
}

/** Whether a value from outside is an object with keys, and not an array. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
