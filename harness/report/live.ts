/** Lines at the end of a terminal that are written again and again, under lines that stay. */
export class LiveRegion {
  readonly #stream: NodeJS.WriteStream;
  #lines: readonly string[] = [];

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
  }

  /** Replaces the region. Lines must be narrower than the terminal. */
  show(lines: readonly string[]): void {
    if (lines.length === this.#lines.length && lines.every((line, index) => line === this.#lines[index])) return;
    const isFirst = this.#lines.length === 0;
    // One write: a terminal never shows half of it.
    this.#stream.write(
      `${isFirst && lines.length > 0 ? hideCursor : ""}${this.#erase()}${lines.map((line) => `${line}\n`).join("")}`,
    );
    this.#lines = lines;
  }

  /** Writes lines that stay, above the region. */
  print(lines: readonly string[]): void {
    const region = this.#lines;
    this.#stream.write(`${this.#erase()}${[...lines, ...region].map((line) => `${line}\n`).join("")}`);
  }

  /** Takes the region away. */
  clear(): void {
    this.#stream.write(this.#erase() + showCursor);
    this.#lines = [];
  }

  #erase(): string {
    const { length } = this.#lines;
    return length === 0 ? "" : `\u001b[${length}A\r\u001b[J`;
  }
}

const hideCursor = "\u001b[?25l";
const showCursor = "\u001b[?25h";
