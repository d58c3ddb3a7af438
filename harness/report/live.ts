/** Lines at the end of a terminal that are written again and again, under lines that stay. */
export class LiveRegion {
  readonly #stream: NodeJS.WriteStream;
  #lines: readonly string[] = [];

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
  }

  /** Replaces the region. Lines must be narrower than the terminal; those that it is too low for are left out. */
  show(wanted: readonly string[]): void {
    // What has scrolled out of sight can't be taken back, and the cursor has a line of its own.
    const lines = wanted.slice(0, Math.max(0, (this.#stream.rows || Infinity) - 1));
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
