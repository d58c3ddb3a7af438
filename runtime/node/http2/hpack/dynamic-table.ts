import { entryOverheadBytes } from "./static-table.ts";

/** RFC 7541 sections 2.3.2 and 4: entries of earlier blocks, by which later ones refer to them. The newest is number 1. */
export class DynamicTable {
  /** Counts the changes. */
  version = 0;
  /** Oldest first. */
  readonly #names: string[] = [];
  readonly #values: string[] = [];
  /** Of each entry: it is a field's text (section 8.2.1 of RFC 9113), looked at once and not each time that it is sent. */
  readonly #areSound: boolean[] = [];
  #bytes = 0;
  #bytesMax: number;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get size(): number {
    return this.#names.length;
  }

  /** By section 4.1. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Of an entry from 1 to `size`, as are the following. */
  name(index: number): string {
    return this.#names[this.#names.length - index]!;
  }

  value(index: number): string {
    return this.#values[this.#values.length - index]!;
  }

  isSound(index: number): boolean {
    return this.#areSound[this.#areSound.length - index]!;
  }

  /** Section 4.3. */
  resize(bytesMax: number): void {
    this.version++;
    this.#bytesMax = bytesMax;
    this.#evict(bytesMax);
  }

  /** Section 4.4: an entry that is larger than the table empties it. */
  insert(name: string, value: string, isSound: boolean): void {
    this.version++;
    const bytes = name.length + value.length + entryOverheadBytes;
    this.#evict(this.#bytesMax - bytes);
    if (bytes > this.#bytesMax) return;
    this.#names.push(name);
    this.#values.push(value);
    this.#areSound.push(isSound);
    this.#bytes += bytes;
  }

  #evict(bytesMax: number): void {
    while (this.#bytes > bytesMax && this.#names.length > 0) {
      this.#bytes -= this.#names.shift()!.length + this.#values.shift()!.length + entryOverheadBytes;
      this.#areSound.shift();
    }
  }
}
