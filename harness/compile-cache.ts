import { fileURLToPath } from "node:url";

const directory = (name: string): string => fileURLToPath(new URL(`../.flyball/${name}`, import.meta.url));

/** Where Node.js keeps what it has compiled of this checkout: for the harness, and for every process that it starts. */
export const compileCache = directory("cache");

/** And for those in containers, which may write nowhere else in the checkout. */
export const containersCache = directory("cache-docker");
