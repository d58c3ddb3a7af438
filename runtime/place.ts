/**
 * Where in a file, named as its module's URL or by its path, an error was thrown: "2:7", or "2". Undefined: elsewhere, or it isn't known.
 */
export function placeIn(file: string, error: unknown): string | undefined {
  const stack = error instanceof Error ? (error.stack ?? "") : "";
  return stack.split(`${file}:`)[1]?.match(/^\d+(:\d+)?/)?.[0];
}
