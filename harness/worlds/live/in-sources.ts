import { readFileSync } from "node:fs";
import { SourceMap, type SourceMapPayload } from "node:module";
import { basename, dirname, join, resolve } from "node:path";

/** …/main-1a2b.cjs:12:34, and without a column above the line that Node.js quotes. */
const places = /([^\s()"']+\.cjs):(\d+)(?::(\d+))?/g;

/**
 * What a program made of one piece has printed, with the places in its sources instead of those in the piece. With Node's own
 * `--enable-source-maps` each process would read the maps when it starts, which takes a third of its time; here one does who has an error to
 * tell. `directory` has the maps, too, where a container knows the pieces by other paths.
 */
export function inSources(text: string, directory?: string): string {
  const maps = new Map<string, SourceMap | undefined>();
  return text.replace(places, (place, path: string, line: string, column: string | undefined) => {
    const piece = directory === undefined ? path : join(directory, basename(path));
    if (!maps.has(piece)) maps.set(piece, mapOf(piece));
    const found = maps.get(piece)?.findOrigin(Number(line), Number(column ?? 1));
    if (found === undefined || !("fileName" in found)) return place;
    const source = resolve(dirname(piece), found.fileName);
    return [source, found.lineNumber, ...(column === undefined ? [] : [found.columnNumber])].join(":");
  });
}

function mapOf(piece: string): SourceMap | undefined {
  try {
    return new SourceMap(JSON.parse(readFileSync(`${piece}.map`, "utf8")) as SourceMapPayload);
  } catch {
    // No piece of ours: a library's file, or one that has been tidied away.
    return undefined;
  }
}
