import { fileURLToPath } from "node:url";

/** Where Node.js keeps what it has compiled of this checkout: for the harness, and for every process that it starts. */
export const compileCache = fileURLToPath(new URL("../.flyball/cache", import.meta.url));
