/** Calls `onLine` for each line of a stream of text, without its end; what isn't complete when the stream ends is dropped. */
export function readLines(stream: NodeJS.ReadableStream, onLine: (line: string) => void): void {
  let rest = "";
  stream.setEncoding("utf8");
  stream.on("data", (text: string) => {
    const lines = text.split("\n");
    lines[0] = rest + lines[0]!;
    rest = lines.pop() ?? "";
    for (const line of lines) onLine(line);
  });
}
