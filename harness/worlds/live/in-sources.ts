import { readFileSync } from "node:fs";
import { SourceMap, type SourceMapPayload } from "node:module";
import { join, resolve } from "node:path";

/**
 * What a program made of one piece has printed, with the places in its sources instead of those in the pieces of `directory`, which the
 * program may know as `knownAs`, too. With Node's own `--enable-source-maps` each process would read the maps when it starts, which takes a
 * third of its time; here one does who has an error to tell.
 */
export function inSources(text: string, directory: string, knownAs = directory): string {
  const roots = [directory, knownAs].map((root) => root.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|");
  // The column is missing above the line that Node.js quotes.
  const places = new RegExp(`(?:${roots})/([\\w.-]+\\.cjs):(\\d+)(?::(\\d+))?`, "g");
  const maps = new Map<string, SourceMap | undefined>();
  return text.replace(places, (place, piece: string, line: string, column: string | undefined) => {
    if (!maps.has(piece)) maps.set(piece, mapOf(join(directory, piece)));
    const found = maps.get(piece)?.findOrigin(Number(line), Number(column ?? 1));
    if (found === undefined || !("fileName" in found)) return place;
    const source = resolve(directory, found.fileName);
    return [source, found.lineNumber, ...(column === undefined ? [] : [found.columnNumber])].join(":");
  });
}

function mapOf(piece: string): SourceMap | undefined {
  try {
    return new SourceMap(JSON.parse(readFileSync(`${piece}.map`, "utf8")) as SourceMapPayload);
  } catch {
    // It has been tidied away.
    return undefined;
  }
}
