import type { Value } from "../../ports/data-source.ts";
import type { Slice } from "./statement.ts";

/** SQL that is put together, with its parameters numbered anew: PostgreSQL refuses those that nothing uses. */
export class SqlText {
  readonly #given: readonly unknown[];
  readonly #numbers = new Map<number, number>();
  readonly values: unknown[] = [];
  text = "";

  /** `given` are the values that the parameters of slices stand for. */
  constructor(given: readonly unknown[]) {
    this.#given = given;
  }

  add(text: string): this {
    this.text += text;
    return this;
  }

  slice({ pieces, parameters }: Slice): this {
    for (const [index, piece] of pieces.entries()) {
      this.text += piece;
      const number = parameters[index];
      if (number !== undefined) this.text += `$${this.#numberOf(number)}`;
    }
    return this;
  }

  value(value: Value): this {
    this.values.push(value instanceof Uint8Array ? Buffer.from(value) : value);
    this.text += `$${this.values.length}`;
    return this;
  }

  #numberOf(given: number): number {
    const known = this.#numbers.get(given);
    if (known !== undefined) return known;
    this.values.push(this.#given[given - 1]);
    this.#numbers.set(given, this.values.length);
    return this.values.length;
  }
}
