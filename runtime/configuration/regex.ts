/**
 * Regular expressions that can't take long: a set of states goes over the text once (Thompson 1968,
 * https://swtch.com/~rsc/regexp/regexp1.html), so a match costs at most text × pattern, where a backtracking engine may need years
 * for `(a+)+$`. The whole text must match, as by Java's `matches()`. As in RE2 there are no back-references and no look-around.
 *
 * Known: literals, `.`, `\d \w \s` and their opposites, `[a-z]`, `[^…]`, groups, `|`, `* + ? {n} {n,} {n,m}` (lazy or not makes no
 * difference), `^` and `$`.
 */
export function linearRegex(source: string): (text: string) => boolean {
  const program = new Compiler(source).compile();
  return (text) => run(program, text);
}

type CharTest = (code: number) => boolean;

type State =
  | { readonly kind: "char"; readonly test: CharTest; readonly next: number }
  | { kind: "split"; next: number; other: number }
  | { readonly kind: "begin" | "end"; readonly next: number }
  | { readonly kind: "match" };

type Node =
  | { readonly kind: "char"; readonly test: CharTest }
  | { readonly kind: "begin" | "end" }
  | { readonly kind: "sequence" | "choice"; readonly parts: readonly Node[] }
  | { readonly kind: "repeat"; readonly inner: Node; readonly min: number; readonly max: number };

/** States of a pattern: bounds what one character of a text costs. */
const statesMax = 2_000;
const depthMax = 50;

class Compiler {
  readonly #chars: readonly string[];
  #at = 0;
  #depth = 0;
  readonly #states: State[] = [{ kind: "match" }];

  constructor(source: string) {
    this.#chars = [...source];
  }

  compile(): { readonly states: readonly State[]; readonly start: number } {
    const node = this.#choice();
    if (this.#at < this.#chars.length) throw new Error(`there is a ")" too many`);
    return { start: this.#emit(node, 0), states: this.#states };
  }

  #choice(): Node {
    if (++this.#depth > depthMax) throw new Error(`groups are nested more than ${depthMax} deep`);
    const parts = [this.#sequence()];
    while (this.#peek() === "|") {
      this.#at++;
      parts.push(this.#sequence());
    }
    this.#depth--;
    return parts.length === 1 ? parts[0]! : { kind: "choice", parts };
  }

  #sequence(): Node {
    const parts: Node[] = [];
    for (let char = this.#peek(); char !== undefined && char !== "|" && char !== ")"; char = this.#peek()) {
      parts.push(this.#repeated(this.#atom()));
    }
    return { kind: "sequence", parts };
  }

  #repeated(atom: Node): Node {
    const range = this.#quantifier();
    if (range === undefined) return atom;
    if (this.#peek() === "?") this.#at++;
    else if (this.#peek() === "+") throw new Error("possessive repetitions aren't known");
    if (this.#quantifier() !== undefined) throw new Error("nothing to repeat");
    return { kind: "repeat", inner: atom, ...range };
  }

  #quantifier(): { readonly min: number; readonly max: number } | undefined {
    const char = this.#peek();
    if (char === "*" || char === "+" || char === "?") {
      this.#at++;
      return { min: char === "+" ? 1 : 0, max: char === "?" ? 1 : Infinity };
    }
    if (char !== "{") return undefined;
    const close = this.#chars.indexOf("}", this.#at);
    const match = /^(\d{1,4})(?:(,)(\d{1,4})?)?$/.exec(
      this.#chars.slice(this.#at + 1, close < 0 ? this.#at : close).join(""),
    );
    if (match === null) throw new Error(`"{" is no repetition; write "\\{" for the character`);
    const min = Number(match[1]);
    const max = match[2] === undefined ? min : match[3] === undefined ? Infinity : Number(match[3]);
    if (max < min) throw new Error("a repetition's bounds are out of order");
    this.#at = close + 1;
    return { min, max };
  }

  #atom(): Node {
    const char = this.#chars[this.#at++]!;
    switch (char) {
      case "(":
        return this.#group();
      case "[":
        return { kind: "char", test: this.#class() };
      case ".":
        return { kind: "char", test: (code) => code !== 10 && code !== 13 };
      case "^":
        return { kind: "begin" };
      case "$":
        return { kind: "end" };
      case "\\":
        return { kind: "char", test: this.#escape() };
      case "*":
      case "+":
      case "?":
      case "{":
        throw new Error(`nothing comes before "${char}"`);
      default:
        return { kind: "char", test: is(char) };
    }
  }

  #group(): Node {
    if (this.#peek() === "?") {
      if (this.#chars[this.#at + 1] !== ":") throw new Error("look-around, named and flagged groups aren't known");
      this.#at += 2;
    }
    const inner = this.#choice();
    if (this.#chars[this.#at++] !== ")") throw new Error(`a ")" is missing`);
    return inner;
  }

  #escape(): CharTest {
    const char = this.#chars[this.#at++];
    if (char === undefined) throw new Error(`nothing comes after "\\"`);
    const known = classes[char];
    if (known !== undefined) return known;
    const control = controls[char];
    if (control !== undefined) return (code) => code === control;
    if (/[A-Za-z0-9]/.test(char)) throw new Error(`"\\${char}" isn't known`);
    return is(char);
  }

  #class(): CharTest {
    const isNegated = this.#peek() === "^";
    if (isNegated) this.#at++;
    const tests: CharTest[] = [];
    for (let isFirst = true; ; isFirst = false) {
      const char = this.#chars[this.#at++];
      if (char === undefined) throw new Error(`a "]" is missing`);
      if (char === "]" && !isFirst) break;
      const test = char === "\\" ? this.#escape() : is(char);
      const isRange =
        this.#peek() === "-" && this.#chars[this.#at + 1] !== "]" && this.#chars[this.#at + 1] !== undefined;
      if (!isRange) {
        tests.push(test);
        continue;
      }
      this.#at++;
      const from = char === "\\" ? this.#chars[this.#at - 2]! : char;
      if (char === "\\" && classes[from] !== undefined) throw new Error("a class is no end of a range");
      const high = this.#chars[this.#at++]!;
      const to = high === "\\" ? this.#chars[this.#at++] : high;
      if (to === undefined || from.codePointAt(0)! > to.codePointAt(0)!) throw new Error("a range is out of order");
      const [low, top] = [from.codePointAt(0)!, to.codePointAt(0)!];
      tests.push((code) => code >= low && code <= top);
    }
    return (code) => tests.some((test) => test(code)) !== isNegated;
  }

  #peek(): string | undefined {
    return this.#chars[this.#at];
  }

  /** The state at which a node begins that goes on with `next`; built from the end. */
  #emit(node: Node, next: number): number {
    switch (node.kind) {
      case "char":
        return this.#add({ kind: "char", test: node.test, next });
      case "begin":
      case "end":
        return this.#add({ kind: node.kind, next });
      case "sequence":
        return node.parts.reduceRight((after, part) => this.#emit(part, after), next);
      case "choice":
        return node.parts
          .map((part) => this.#emit(part, next))
          .reduceRight((other, start) => this.#add({ kind: "split", next: start, other }));
      case "repeat":
        return this.#repeat(node, next);
    }
  }

  #repeat({ inner, min, max }: Node & { kind: "repeat" }, next: number): number {
    let start = next;
    if (max === Infinity) {
      const loop: State & { kind: "split" } = { kind: "split", next, other: next };
      start = this.#add(loop);
      loop.next = this.#emit(inner, start);
    } else {
      for (let count = min; count < max; count++) {
        start = this.#add({ kind: "split", next: this.#emit(inner, start), other: next });
      }
    }
    for (let count = 0; count < min; count++) start = this.#emit(inner, start);
    return start;
  }

  #add(state: State): number {
    if (this.#states.length >= statesMax) throw new Error(`it is too large: more than ${statesMax} states`);
    this.#states.push(state);
    return this.#states.length - 1;
  }
}

function is(char: string): CharTest {
  const wanted = char.codePointAt(0)!;
  return (code) => code === wanted;
}

const isDigit: CharTest = (code) => code >= 48 && code <= 57;
const isWord: CharTest = (code) =>
  isDigit(code) || (code >= 65 && code <= 90) || (code >= 97 && code <= 122) || code === 95;
const isSpace: CharTest = (code) => code === 32 || (code >= 9 && code <= 13);
const classes: Readonly<Record<string, CharTest>> = {
  d: isDigit,
  D: (code) => !isDigit(code),
  w: isWord,
  W: (code) => !isWord(code),
  s: isSpace,
  S: (code) => !isSpace(code),
};
const controls: Readonly<Record<string, number>> = { t: 9, n: 10, r: 13, f: 12, v: 11 };

function run({ states, start }: { readonly states: readonly State[]; readonly start: number }, text: string): boolean {
  const length = text.length;
  let current: number[] = [];
  const seen = new Uint32Array(states.length);
  let round = 1;
  const enter = (first: number, into: number[], at: number): void => {
    const open = [first];
    for (let index = open.pop(); index !== undefined; index = open.pop()) {
      if (seen[index] === round) continue;
      seen[index] = round;
      const state = states[index]!;
      if (state.kind === "split") open.push(state.other, state.next);
      else if (state.kind === "begin") {
        if (at === 0) open.push(state.next);
      } else if (state.kind === "end") {
        if (at === length) open.push(state.next);
      } else into.push(index);
    }
  };
  enter(start, current, 0);
  for (let at = 0; at < length;) {
    const code = text.codePointAt(at)!;
    at += code > 0xffff ? 2 : 1;
    const next: number[] = [];
    round++;
    for (const index of current) {
      const state = states[index]!;
      if (state.kind === "char" && state.test(code)) enter(state.next, next, at);
    }
    if (next.length === 0) return false;
    current = next;
  }
  return current.some((index) => states[index]!.kind === "match");
}
