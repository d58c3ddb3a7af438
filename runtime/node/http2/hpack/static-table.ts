/** RFC 7541 appendix A: names and values, in turn; the first pair has index 1. */
const entries = [
  [":authority", ""],
  [":method", "GET"],
  [":method", "POST"],
  [":path", "/"],
  [":path", "/index.html"],
  [":scheme", "http"],
  [":scheme", "https"],
  [":status", "200"],
  [":status", "204"],
  [":status", "206"],
  [":status", "304"],
  [":status", "400"],
  [":status", "404"],
  [":status", "500"],
  ["accept-charset", ""],
  ["accept-encoding", "gzip, deflate"],
  ["accept-language", ""],
  ["accept-ranges", ""],
  ["accept", ""],
  ["access-control-allow-origin", ""],
  ["age", ""],
  ["allow", ""],
  ["authorization", ""],
  ["cache-control", ""],
  ["content-disposition", ""],
  ["content-encoding", ""],
  ["content-language", ""],
  ["content-length", ""],
  ["content-location", ""],
  ["content-range", ""],
  ["content-type", ""],
  ["cookie", ""],
  ["date", ""],
  ["etag", ""],
  ["expect", ""],
  ["expires", ""],
  ["from", ""],
  ["host", ""],
  ["if-match", ""],
  ["if-modified-since", ""],
  ["if-none-match", ""],
  ["if-range", ""],
  ["if-unmodified-since", ""],
  ["last-modified", ""],
  ["link", ""],
  ["location", ""],
  ["max-forwards", ""],
  ["proxy-authenticate", ""],
  ["proxy-authorization", ""],
  ["range", ""],
  ["referer", ""],
  ["refresh", ""],
  ["retry-after", ""],
  ["server", ""],
  ["set-cookie", ""],
  ["strict-transport-security", ""],
  ["transfer-encoding", ""],
  ["user-agent", ""],
  ["vary", ""],
  ["via", ""],
  ["www-authenticate", ""],
] as const;

export const staticEntries = entries.length;

/** By index, from 1 on. */
export const staticNames: readonly string[] = ["", ...entries.map(([name]) => name)];
export const staticValues: readonly string[] = ["", ...entries.map(([, value]) => value)];

/** RFC 7541 section 4.1: what an entry costs besides its texts, in either table or in a list of fields. */
export const entryOverheadBytes = 32;

/** The lowest index of a name. */
export const staticNameIndexes: ReadonlyMap<string, number> = new Map(
  entries.map(([name], at): [string, number] => [name, at + 1]).reverse(),
);

/** The index of a name with its value, as "name\0value". */
export const staticPairIndexes: ReadonlyMap<string, number> = new Map(
  entries.map(([name, value], at) => [`${name}\0${value}`, at + 1]),
);
