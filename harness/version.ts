import packageJson from "../package.json" with { type: "json" };

/** Flyball's own version. */
export const flyballVersion = (): string => packageJson.version;
