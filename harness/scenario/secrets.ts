/** The place of a secret in a node's configuration. A plan names secrets and has none: the world makes them when the fleet is started. */
export interface SecretPlace {
  readonly secretNamed: string;
}

export const secretNamed = (name: string): SecretPlace => ({ secretNamed: name });

/** A secret by its name: the same name, in one run, is the same secret. */
export type SecretOf = (name: string) => string;

/** What every secret of a fleet begins with, so that one that got where it doesn't belong is found. */
export const secretMark = "flyball-secret-";

/** The secrets of one run, made when they are first asked for; `digits` makes one's own part. */
export function secretsOf(digits: (name: string) => string): SecretOf {
  const made = new Map<string, string>();
  return (name) => {
    let secret = made.get(name);
    if (secret === undefined) made.set(name, (secret = `${secretMark}${digits(name)}`));
    return secret;
  };
}

/** A node's configuration with the secrets in their places: for the node alone. */
export function withSecrets(
  config: Readonly<Record<string, unknown>>,
  secretOf: SecretOf,
): Readonly<Record<string, unknown>> {
  const filled = (value: unknown): unknown => {
    if (typeof value !== "object" || value === null) return value;
    if (Array.isArray(value)) return value.map(filled);
    if (isPlace(value)) return secretOf(value.secretNamed);
    return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, filled(part)]));
  };
  return filled(config) as Readonly<Record<string, unknown>>;
}

const isPlace = (value: object): value is SecretPlace =>
  "secretNamed" in value && typeof value.secretNamed === "string" && Object.keys(value).length === 1;
