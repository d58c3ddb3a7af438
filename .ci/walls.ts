import { builtinModules } from "node:module";

/**
 * The walls between rooms (docs: "Rooms"), stated once: ESLint reads them as you type, dependency-cruiser on the
 * resolved graph. Paths are regular expressions on a file's path from the repository's root.
 */
export interface Wall {
  readonly name: string;
  readonly from: string;
  /** Files of `from` that the wall doesn't hold. */
  readonly fromNot?: string;
  /** What they may not import: a file, a module of Node.js, these packages, or any package but these. */
  readonly to:
    | { readonly path: string }
    | { readonly builtin: true }
    | { readonly packages: readonly string[] }
    | { readonly packagesExcept: readonly string[] };
  /** Printed with each violation, so it names the way that is right. */
  readonly why: string;
}

const tests = "\\.(test|fixture)\\.ts$";

/** Rooms that run in the simulator and in a browser as well: runtime, handlers, sim. */
export const portable = {
  from: "^(runtime|services|harness/worlds/sim)/",
  fromNot: `^runtime/node/|^services/main\\.ts$|${tests}`,
};

/** Rooms that need a host: Node.js, or a page. */
export const hostRooms = "^runtime/node/|^services/main\\.ts$|^harness/(cli|studio)/|^harness/worlds/(?!sim/)[^/]+/";

export const walls: readonly Wall[] = [
  {
    name: "runtime-is-the-bottom",
    from: "^runtime/",
    to: { path: "^(services|harness|scenarios|bench|dashboards|proof)/" },
    why: "Arrows point scenarios → harness → services → runtime: a service embeds the runtime without the testbed. Move what is shared down into runtime/.",
  },
  {
    name: "services-stand-on-the-runtime",
    from: "^services/",
    to: { path: "^(harness|scenarios|bench|dashboards|proof)/" },
    why: "Arrows point scenarios → harness → services → runtime: a service doesn't know that it is being tested. Move what is shared down into services/ or runtime/.",
  },
  {
    name: "harness-knows-no-scenario",
    from: "^harness/",
    to: { path: "^(scenarios|bench|dashboards|proof)/" },
    why: "Arrows point scenarios → harness → services → runtime: a scenario is data that the harness is given. Pass it in.",
  },
  {
    name: "scenarios-measure-nothing",
    from: "^scenarios/",
    to: { path: "^bench/" },
    why: "A scenario is data; what it needs comes from harness/.",
  },
  {
    name: "portable-rooms-import-no-node-module",
    ...portable,
    to: { builtin: true },
    why: "Portable room: it runs in the simulator and in a browser as well. Reach the host through a port (runtime/ports), which runtime/node implements.",
  },
  {
    name: "portable-rooms-import-no-host-room",
    ...portable,
    to: { path: hostRooms },
    why: "Portable room: it runs in the simulator and in a browser as well. Take a port through the constructor; runtime/node and the command line fill it.",
  },
  {
    name: "few-packages",
    from: "^(runtime|services|scenarios|harness/worlds/sim)/",
    fromNot: `^runtime/node/|${tests}`,
    to: { packagesExcept: ["yaml", "@bufbuild/protobuf"] },
    why: "Only `yaml` and `@bufbuild/protobuf` are pure enough to embed everywhere. Other packages belong in runtime/node, behind a port, or in harness/.",
  },
  {
    name: "our-own-wire",
    from: "^(runtime|services|harness|scenarios)/",
    fromNot: tests,
    to: { packages: ["@grpc/grpc-js"] },
    why: "@grpc/grpc-js is the peer that tests and benches hold our own gRPC against; a node that loads it starts slower and pays more for each call. Speak through runtime/node/triple.ts, or runtime/node/grpc below it.",
  },
  {
    name: "worlds-stay-behind-their-port",
    from: "^(harness|scenarios)/",
    fromNot: "^harness/(worlds|cli)/",
    to: { path: "^harness/worlds/[^/]+/" },
    why: "Only harness/worlds and harness/cli know that several worlds exist. Depend on harness/worlds/world.ts; what differs between worlds is a primitive there.",
  },
];

const builtins = new Set(builtinModules);

/** Whether a specifier names a module of Node.js, with its prefix or without. */
export const isBuiltin = (specifier: string): boolean => specifier.startsWith("node:") || builtins.has(specifier);

/** The walls that an import breaks; `target` is a path from the root, or a specifier that isn't relative. */
export function brokenWalls(file: string, target: string, isFile: boolean): readonly Wall[] {
  return walls.filter((wall) => {
    if (!new RegExp(wall.from).test(file)) return false;
    if (wall.fromNot !== undefined && new RegExp(wall.fromNot).test(file)) return false;
    if ("path" in wall.to) return isFile && new RegExp(wall.to.path).test(target);
    if (isFile || isBuiltin(target)) return "builtin" in wall.to && !isFile;
    if ("builtin" in wall.to) return false;
    if ("packages" in wall.to) return isOneOf(wall.to.packages, target);
    return !isOneOf(wall.to.packagesExcept, target);
  });
}

const isOneOf = (packages: readonly string[], specifier: string): boolean =>
  packages.some((name) => specifier === name || specifier.startsWith(`${name}/`));
