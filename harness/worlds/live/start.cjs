"use strict";

// node start.cjs MAIN.cjs PROGRAM …: runs MAIN as Node.js would, with what V8 has compiled of it in an earlier process. Node's own cache is made
// before anything has run, and so every function that a start needs is parsed and compiled in each process again; here it is made at the
// end of the first one, for each PROGRAM its own. Plain JavaScript, because stripping types takes time, too.
const { readFileSync, renameSync, writeFileSync } = require("node:fs");
const { createRequire } = require("node:module");
const { dirname } = require("node:path");
const { constants, Script } = require("node:vm");

process.argv.splice(1, 1);
const [, main, program = ""] = process.argv;
const cache = `${main}.${program.replace(/\W/g, "")}.${process.version}.cache`;

const script = new Script(
  `(function (exports, require, __filename, __dirname) { "use strict";\n${read(main, "utf8")}\n})`,
  {
    filename: main,
    // Places in errors are those in the file.
    lineOffset: -1,
    cachedData: read(cache),
    importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
  },
);
if (script.cachedDataRejected !== false) process.on("exit", keep);
script.runInThisContext()({}, createRequire(main), main, dirname(main));

function read(path, encoding) {
  try {
    return readFileSync(path, encoding);
  } catch (error) {
    if (path === main) throw error;
    return undefined;
  }
}

/** Others may be doing the same at this moment. */
function keep() {
  try {
    const own = `${cache}.${process.pid}`;
    writeFileSync(own, script.createCachedData());
    renameSync(own, cache);
  } catch {
    // A directory that can't be written makes starts slower, and nothing else.
  }
}
