import type { Field } from "./document.ts";
import { linearRegex } from "./regex.ts";

/** Decides about a text; undefined stands for "there is none". */
export type TextMatch = (value: string | undefined) => boolean;

/**
 * Dubbo's StringMatch: exactly one of `exact`, `prefix`, `regex` (matches the whole value; see `linearRegex`), `wildcard` (`*` stands for
 * any characters), `empty: true`, `noempty: true`.
 */
export function textMatch(field: Field): TextMatch {
  const kinds = field.fields("exact", "prefix", "regex", "wildcard", "empty", "noempty");
  const given = Object.values(kinds);
  if (given.length !== 1) {
    throw field.error(
      "WRONG_VALUE",
      "a match has one condition",
      "one of: exact, prefix, regex, wildcard, empty, noempty",
    );
  }
  const { exact, prefix, regex, wildcard, empty, noempty } = kinds;
  if (exact !== undefined) {
    const text = exact.label();
    return (value) => value === text;
  }
  if (prefix !== undefined) {
    const text = prefix.label();
    return (value) => value?.startsWith(text) ?? false;
  }
  if (wildcard !== undefined) {
    const matches = glob(wildcard.label());
    return (value) => value !== undefined && matches(value);
  }
  if (regex !== undefined) {
    const pattern = wholeRegex(regex);
    return (value) => value !== undefined && pattern(value);
  }
  const isEmptyWanted = empty !== undefined ? empty.boolean() : !noempty!.boolean();
  return (value) => (value === undefined || value === "") === isEmptyWanted;
}

function wholeRegex(field: Field): (text: string) => boolean {
  const source = field.text();
  try {
    return linearRegex(source);
  } catch (error) {
    throw field.error("WRONG_VALUE", `"${source}" is no regular expression: ${(error as Error).message}`);
  }
}

/** Whether a text is `pattern`, in which each `*` stands for any characters, none included. Linear in the text, unlike a regex. */
export function glob(pattern: string): (text: string) => boolean {
  const parts = pattern.split("*");
  if (parts.length === 1) return (text) => text === pattern;
  const first = parts[0]!;
  const last = parts.at(-1)!;
  const middle = parts.slice(1, -1);
  return (text) => {
    if (text.length < first.length + last.length || !text.startsWith(first) || !text.endsWith(last)) return false;
    let from = first.length;
    const to = text.length - last.length;
    for (const part of middle) {
      const at = text.indexOf(part, from);
      if (at < 0 || at + part.length > to) return false;
      from = at + part.length;
    }
    return true;
  };
}

/**
 * An address as Dubbo's rules write it: "10.0.0.3:20880", with `*` for any characters ("10.0.1.*:*"); without a port, or with
 * port 0, any port; with the host 0.0.0.0 any host.
 */
export function addressMatch(field: Field): (address: string) => boolean {
  const pattern = field.text();
  if (pattern.includes("/")) {
    throw field.error(
      "WRONG_VALUE",
      `"${pattern}" is no address`,
      'host:port, with * for any characters: "10.0.1.*:*"',
    );
  }
  const { host, port } = split(pattern);
  const isHost = host === "0.0.0.0" ? () => true : glob(host);
  const isPort = port === "" || port === "0" ? () => true : glob(port);
  return (address) => {
    const parts = split(address);
    return isHost(parts.host) && isPort(parts.port);
  };
}

/** A network of IPv4 addresses (RFC 4632): "10.1.0.0/16". A host that is a name is in none. */
export function networkMatch(field: Field): (address: string) => boolean {
  const text = field.text();
  const [network = "", length = ""] = text.split("/");
  const base = ipv4(network);
  const bits = /^\d{1,2}$/.test(length) ? Number(length) : NaN;
  if (base === undefined || !(bits <= 32)) {
    throw field.error("WRONG_VALUE", `"${text}" is no network of IPv4 addresses`, "10.1.0.0/16");
  }
  return (address) => {
    const own = ipv4(split(address).host);
    // A shift by 32 shifts by nothing.
    return own !== undefined && (bits === 0 || (own ^ base) >>> (32 - bits) === 0);
  };
}

/** As a number. */
function ipv4(text: string): number | undefined {
  const bytes = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text)?.slice(1).map(Number);
  if (bytes === undefined || bytes.some((byte) => byte > 255)) return undefined;
  return bytes.reduce((number, byte) => number * 256 + byte, 0);
}

/** Host and port at the last colon; "[::1]:80" keeps its brackets. */
function split(address: string): { readonly host: string; readonly port: string } {
  const colon = address.lastIndexOf(":");
  if (colon < 0 || address.endsWith("]")) return { host: address, port: "" };
  return { host: address.slice(0, colon), port: address.slice(colon + 1) };
}
