/** The name that was probably meant, when one is near enough to `wrong`; the first of equally near ones. */
export function nearest(wrong: string, names: Iterable<string>): string | undefined {
  let found: string | undefined;
  // A third of the letters may differ: "ordres" is near "orders", "db" is not near "mq".
  let least = Math.max(1, Math.floor(wrong.length / 3)) + 1;
  for (const name of names) {
    const distance = name.toLowerCase() === wrong.toLowerCase() ? 0 : edits(wrong, name);
    if (distance < least) {
      found = name;
      least = distance;
    }
  }
  return found ?? onlyOneThatStartsWith(wrong, names);
}

/** `did you mean "orders"?`, or undefined when nothing is near. */
export function didYouMean(wrong: string, names: Iterable<string>): string | undefined {
  const name = nearest(wrong, names);
  return name === undefined ? undefined : `did you mean "${name}"?`;
}

function onlyOneThatStartsWith(wrong: string, names: Iterable<string>): string | undefined {
  const all = wrong.length < 2 ? [] : [...names].filter((name) => name.startsWith(wrong));
  return all.length === 1 ? all[0] : undefined;
}

/**
 * Letters to insert, delete, replace, or swap with their neighbour (Damerau 1964, in the "optimal string alignment" form:
 * nothing is edited twice).
 */
function edits(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const isSame = a[i - 1] === b[j - 1];
      let least = Math.min(row[j - 1]! + 1, last[j]! + 1, last[j - 1]! + (isSame ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        least = Math.min(least, beforeLast[j - 2]! + 1);
      row.push(least);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length]!;
}
