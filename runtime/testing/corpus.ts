/**
 * Bad input that is kept: each of these once froze, confused or filled something, here or in a system that was like ours. Fuzz tests begin
 * with all of it and go on with what is near it. Who finds another adds it, with a word about what it does.
 */

/** Patterns that take a backtracking engine for ever. */
export const regexes: readonly string[] = [
  "(a+)+$",
  "(a|a)*b",
  "(a|aa)+$",
  "(.*)*x",
  "([a-zA-Z]+)*$",
  "^(([a-z])+.)+[A-Z]([a-z])+$",
  "(x+x+)+y",
  "((a{0,50}){0,50}){0,50}",
  "(?=(a+))a*b",
  "(a)\\1",
];

/** Rule documents: bombs, what YAML has and a rule hasn't, and sizes. */
export const documents: readonly string[] = [
  "a: &a [x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: [*c, *c]",
  `${"[".repeat(5000)}${"]".repeat(5000)}`,
  `${"{a: ".repeat(5000)}`,
  "? ".repeat(2000),
  "<<: *a",
  "--- a\n--- b",
  "%YAML 9.9\n---\na: 1",
  "!!js/function 'x'",
  "__proto__: { weight: 1 }",
  `conditions: ["${"a".repeat(20_000)} => b"]`,
  `key: ${"x".repeat(1_000_000)}`,
  "configs: [{ parameters: { weight: -1 } }]",
  "configs: [{ parameters: { weight: 1e309 } }]",
  "configs: [{ parameters: { timeout: .nan } }]",
  "a: 1\na: 2\n".repeat(2000),
  "\u0000",
  "\ud800: \ud800",
];

/** JSON-RPC: batches that are too large, too deep, or no requests at all. */
export const jsonRpcTexts: readonly string[] = [
  `[${"1,".repeat(99_999)}1]`,
  `[${'{"jsonrpc":"2.0","method":"Do","id":1},'.repeat(2000)}1]`,
  "[".repeat(50_000),
  '{"jsonrpc":"2.0","method":"__proto__","id":1}',
  '{"jsonrpc":"2.0","method":"constructor","params":{"__proto__":{"x":1}},"id":{}}',
  '{"jsonrpc":"2.0","method":"Do","id":1e400}',
  '{"jsonrpc":"2.0","method":"Do","id":1}{"jsonrpc":"2.0","method":"Do","id":2}',
  '{"jsonrpc":"2.0","method":"Do","params":[',
];

/** HTTP requests of which two readers might make different things, or that never end. */
export const httpRequests: readonly string[] = [
  "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n",
  "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
  "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
  "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
  "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
  "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
  "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
  "GET / HTTP/1.1\nHost: x\n\n",
  "GET / HTTP/1.1\r\nHost: x\r\nA",
  `GET /${"a".repeat(100_000)} HTTP/1.1\r\nHost: x\r\n\r\n`,
  `GET / HTTP/1.1\r\n${"A: b\r\n".repeat(10_000)}`,
  "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
];

const http2 = `${hexOf("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")}000000040000000000`;
/** A request of that field section alone, on stream 1. */
const headersOf = (fields: string): string =>
  `${(fields.length / 2).toString(16).padStart(6, "0")}010500000001${fields}`;
/** A request of `:method: GET`, and its end. */
const resetOf = (id: number): string => `0000010105${u32Of(id)}82` + `0000040300${u32Of(id)}00000008`;

/** Bytes by which binary protocols are told lengths that aren't true, or half of something. */
export const bytes: readonly string[] = [
  // Framed TCP and gRPC: four bytes of length, all ones.
  "ffffffff00000000",
  "00ffffffff",
  // An HTTP/2 preface, then a SETTINGS frame that says 16 MiB.
  `${hexOf("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")}ffffff040000000000`,
  // The same, then a HEADERS frame on stream 0, and a CONTINUATION of nothing.
  `${hexOf("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")}000000040000000000000000010400000000000000090400000001`,
  // The same, then an empty SETTINGS frame, and what HPACK forbids: index 0, an index that no table has, a number without end, a table of
  // 1 GiB.
  ...["80", "ff00", "ffffffffffffffffffff", "3fe1ffffff03"].map((field) => `${http2}${headersOf(field)}`),
  // A string that says 4 GiB, Huffman's end of text in its middle, and padding that is longer than its frame.
  ...["007fffffffff0f", "0084ffffffff00", "0000"].map((field) => `${http2}${headersOf(field)}`),
  `${http2}000002000d0000000163ff`,
  // Fields that go on for ever: a CONTINUATION after another, none of them the last.
  `${http2}000001010000000001 82 ${"000001090000000001 84 ".repeat(200)}`.replaceAll(" ", ""),
  // A window that grows by nothing, or by too much; frames no longer than 1 byte; a stream that depends on itself.
  ...["00000408000000000000000000", "0000040800000000007fffffff".repeat(2), "000006040000000000000500000001"].map(
    (frame) => `${http2}${frame}`,
  ),
  `${http2}0000050200000000010000000110`,
  // Streams that are reset as soon as they begin, and pings that nobody asked for.
  `${http2}${Array.from({ length: 300 }, (_, index) => resetOf(2 * index + 1)).join("")}`,
  `${http2}${"0000080600000000000000000000000000".repeat(500)}`,
  // A TLS record that says 64 KiB, and half a ClientHello.
  "160301ffff01",
  "16030100050100000100",
  "",
  "00",
];

function u32Of(value: number): string {
  return value.toString(16).padStart(8, "0");
}

/** Bytes of ASCII text in hexadecimal. */
function hexOf(text: string): string {
  return Array.from(text, (character) => character.charCodeAt(0).toString(16).padStart(2, "0")).join("");
}
