// Dependency-cruiser's view of the walls (.ci/walls.ts), on the resolved graph: what ESLint can't see from one file.
const { builtinModules } = require("node:module");
const { hostRooms, portable, walls } = require("./.ci/walls.ts");

const names = (packages) => `node_modules/(${packages.join("|")})/`;

const to = (target) => {
  if ("path" in target) return { path: target.path };
  if ("builtin" in target) return { dependencyTypes: ["core"] };
  if ("packages" in target) return { path: names(target.packages) };
  return { path: "node_modules/", pathNot: names(target.packagesExcept) };
};

const from = ({ from: path, fromNot: pathNot }) => (pathNot === undefined ? { path } : { path, pathNot });

/** @type {import("dependency-cruiser").IConfiguration} */
module.exports = {
  forbidden: [
    ...walls.map((wall) => ({
      name: wall.name,
      comment: wall.why,
      severity: "error",
      from: from(wall),
      to: to(wall.to),
    })),
    {
      name: "portable-rooms-reach-no-host",
      comment:
        "Portable room: something that it imports needs a host, so it can't run in the simulator or a browser. " +
        "Depend on the port or on the plain data instead.",
      severity: "error",
      from: from(portable),
      to: { path: `${hostRooms}|^(node:)?(${builtinModules.join("|")})$`, reachable: true },
    },
    {
      name: "no-cycles",
      comment: "Files in a cycle are one idea in several files: join them, or move what they share below both.",
      severity: "error",
      from: {},
      to: { circular: true },
    },
    {
      name: "no-orphans",
      comment: "It imports nothing and nothing imports it: use it or delete it.",
      severity: "error",
      from: { orphan: true, pathNot: "\\.d\\.ts$|^[^/]+$" },
      to: {},
    },
    {
      name: "resolvable",
      comment: "The file or package isn't there: is the extension `.ts`, and is the package in package.json?",
      severity: "error",
      from: {},
      // k6 brings its own modules: they are nowhere else.
      to: { couldNotResolve: true, pathNot: "^k6(/|$)" },
    },
    {
      name: "declared",
      comment: "A package that only another package brought can go any day: add it to package.json, by exact version.",
      severity: "error",
      from: {},
      to: { dependencyTypes: ["npm-no-pkg", "npm-unknown"] },
    },
    {
      name: "no-tools-in-the-product",
      comment: "A development dependency isn't there where the product runs.",
      severity: "error",
      from: {
        path: "^(runtime|services|harness|scenarios)/",
        pathNot: "\\.test\\.ts$|/testing\\.ts$|\\.fixture\\.ts$",
      },
      to: { dependencyTypes: ["npm-dev"], dependencyTypesNot: ["type-only"] },
    },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    exclude: { path: "^(\\.flyball|coverage)/" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["import", "node", "default", "types"] },
  },
};
