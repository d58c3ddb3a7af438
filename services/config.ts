import type { Distribution } from "./distribution.ts";
import { didYouMean } from "./nearest.ts";
import { ConfigError } from "./service.ts";

/** A program's configuration as it came from outside, read key by key; a `ConfigError` names the key that is wrong. */
export class ConfigReader {
  readonly #entries: Readonly<Record<string, unknown>>;
  readonly #path: string;
  readonly #known = new Set<string>();

  constructor(value: unknown, path = "") {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw new ConfigError(`${path === "" ? "the configuration" : path} is not an object`);
    }
    this.#entries = value as Readonly<Record<string, unknown>>;
    this.#path = path;
  }

  /** The keys that are there. */
  keys(): readonly string[] {
    return Object.keys(this.#entries).filter((key) => this.#entries[key] !== undefined);
  }

  /** A value as it is; undefined when absent. */
  raw(key: string): unknown {
    this.#known.add(key);
    return this.#entries[key];
  }

  text(key: string): string | undefined;
  text(key: string, fallback: string): string;
  text(key: string, fallback?: string): string | undefined {
    const value = this.raw(key) ?? fallback;
    if (value === undefined) return undefined;
    if (typeof value !== "string" || value === "") throw this.wrong(key, "a text that isn't empty");
    return value;
  }

  /** One of some texts. */
  boolean(key: string): boolean | undefined {
    const value = this.raw(key);
    if (value === undefined || typeof value === "boolean") return value;
    throw this.wrong(key, "true or false");
  }

  choice<T extends string>(key: string, choices: readonly T[]): T | undefined {
    const value = this.text(key);
    if (value === undefined || choices.includes(value as T)) return value as T | undefined;
    throw this.wrong(key, `one of ${choices.join(", ")}`);
  }

  requiredText(key: string): string {
    const value = this.text(key);
    if (value === undefined) throw this.#missing(key);
    return value;
  }

  /** A number between `min` and `max`, both allowed. */
  number(key: string, range: Range): number | undefined;
  number(key: string, range: Range, fallback: number): number;
  number(key: string, { min, max = Infinity, isInteger = false }: Range, fallback?: number): number | undefined {
    const value = this.raw(key) ?? fallback;
    if (value === undefined) return undefined;
    const isRight =
      typeof value === "number" && value >= min && value <= max && (!isInteger || Number.isSafeInteger(value));
    if (!isRight) {
      const kind = isInteger ? "an integer" : "a number";
      throw this.wrong(key, max === Infinity ? `${kind} ≥ ${min}` : `${kind} from ${min} to ${max}`);
    }
    return value;
  }

  /** Where a registry or config centre is: "host:port" for an embedded one, a URL such as "zookeeper://host:port" for another. */
  infrastructure(key: string): string | undefined {
    const value = this.text(key);
    if (value !== undefined && !isInfrastructureAddress(value)) {
      throw this.wrong(key, 'an address such as "127.0.0.1:2181" or "zookeeper://127.0.0.1:2181"');
    }
    return value;
  }

  requiredInfrastructure(key: string): string {
    const value = this.infrastructure(key);
    if (value === undefined) throw this.#missing(key);
    return value;
  }

  texts(key: string): readonly string[] | undefined {
    const value = this.raw(key);
    if (value === undefined) return undefined;
    if (!Array.isArray(value) || !value.every((item) => typeof item === "string")) {
      throw this.wrong(key, "a list of texts");
    }
    return value;
  }

  /** Texts by name. */
  labels(key: string): Readonly<Record<string, string>> {
    const value = this.raw(key) ?? {};
    const isRight =
      typeof value === "object" &&
      !Array.isArray(value) &&
      Object.values(value).every((text) => typeof text === "string");
    if (!isRight) throw this.wrong(key, "an object of texts");
    return value as Readonly<Record<string, string>>;
  }

  distribution(key: string, fallback: Distribution): Distribution {
    const reader = this.object(key);
    if (reader === undefined) return fallback;
    const distribution = reader.#distribution();
    reader.end();
    return distribution;
  }

  /** A nested object; undefined when absent. */
  object(key: string): ConfigReader | undefined {
    const value = this.raw(key);
    return value === undefined ? undefined : new ConfigReader(value, this.#name(key));
  }

  /** Refuses keys that nobody has asked for. */
  end(): void {
    for (const key of Object.keys(this.#entries)) {
      if (this.#entries[key] === undefined || this.#known.has(key)) continue;
      const known = [...this.#known];
      throw new ConfigError(
        `there is no key ${this.#name(key)}`,
        didYouMean(key, known) ?? `the keys are ${known.join(", ")}`,
      );
    }
  }

  /** A list of nested objects; empty when absent. */
  objects(key: string): readonly ConfigReader[] {
    const value = this.raw(key) ?? [];
    if (!Array.isArray(value)) throw this.wrong(key, "a list of objects");
    return value.map((item, index) => new ConfigReader(item, `${this.#name(key)}.${index}`));
  }

  #name(key: string): string {
    return this.#path === "" ? key : `${this.#path}.${key}`;
  }

  #missing(key: string): ConfigError {
    return new ConfigError(`${this.#name(key)} is missing`);
  }

  #distribution(): Distribution {
    const time = (name: string): number => this.requiredNumber(name, { min: 0, max: 3_600_000_000 });
    const kind = this.requiredText("kind");
    switch (kind) {
      case "constant":
        return { kind, us: time("us") };
      case "uniform":
        return { kind, fromUs: time("fromUs"), toUs: time("toUs") };
      case "normal":
        return { kind, meanUs: time("meanUs"), sdUs: time("sdUs") };
      case "exponential":
        return { kind, meanUs: time("meanUs") };
      case "pareto":
        return { kind, minUs: time("minUs"), shape: this.requiredNumber("shape", { min: 0.001 }) };
      default:
        throw this.wrong("kind", "constant, uniform, normal, exponential or pareto");
    }
  }

  requiredNumber(key: string, range: Range): number {
    const value = this.number(key, range);
    if (value === undefined) throw this.#missing(key);
    return value;
  }

  /** The error of a value that isn't `wanted`. */
  wrong(key: string, wanted: string): ConfigError {
    const value = this.#entries[key];
    const shown = typeof value === "string" || typeof value === "number" ? ` and not ${JSON.stringify(value)}` : "";
    return new ConfigError(`${this.#name(key)} must be ${wanted}${shown}`);
  }
}

/** A nested object, read whole; undefined when absent. */
export function nested<T>(reader: ConfigReader, key: string, read: (own: ConfigReader) => T): T | undefined {
  const own = reader.object(key);
  if (own === undefined) return undefined;
  const settings = read(own);
  own.end();
  return settings;
}

interface Range {
  readonly min: number;
  readonly max?: number;
  readonly isInteger?: boolean;
}

/** "host:port", the port from 0 to 65535. */
export function isAddress(text: string): boolean {
  const colon = text.lastIndexOf(":");
  const port = text.slice(colon + 1);
  return colon > 0 && text.length <= 256 && /^\d{1,5}$/.test(port) && Number(port) <= 65_535 && !/\s/.test(text);
}

/**
 * The address under which others find a node that listens at `listening`. Throws a `ConfigError` for one that nobody can dial:
 * who listens everywhere says where he is.
 */
export function advertised(listening: string, advertise: string | undefined): string {
  const port = listening.slice(listening.lastIndexOf(":"));
  if (advertise !== undefined && !isAddress(advertise)) {
    throw new ConfigError(`${advertise} is no address to advertise`, `write "HOST${port}"`);
  }
  const address = advertise?.replace(/:0+$/, port) ?? listening;
  if (!/^(0\.0\.0\.0|\[::0?\]):/.test(address)) return address;
  throw new ConfigError(
    `it listens everywhere, and nobody can dial ${address}`,
    `say where others find it: --advertise HOST${port}`,
  );
}

/** The scheme of an infrastructure URL: "zookeeper" of "zookeeper://127.0.0.1:2181"; undefined for "host:port". */
export function schemeOf(address: string): string | undefined {
  return /^([a-z][a-z0-9+.-]*):\/\//.exec(address)?.[1];
}

/** "host:port", or a URL with a scheme. What comes after the scheme is its client's business. */
export function isInfrastructureAddress(text: string): boolean {
  return schemeOf(text) === undefined ? isAddress(text) : text.length <= 1024 && !/\s/.test(text);
}
