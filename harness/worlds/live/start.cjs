"use strict";

// node start.cjs MAIN.cjs PROGRAM …: runs MAIN as Node.js would, with what V8 has compiled of it in an earlier process. Node's own cache
// is made before anything has run, and so every function that a start needs is parsed and compiled in each process again; here it is made
// at the end of the first one that ends well, for each PROGRAM its own, and lies in the same directory. Plain JavaScript, because stripping
// types takes time, too.
const { closeSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } = require("node:fs");
const Module = require("node:module");
const { basename, dirname, join } = require("node:path");
const { constants, Script } = require("node:vm");

process.argv.splice(1, 1);
const [, main, program = ""] = process.argv;

const directory = process.env.NODE_COMPILE_CACHE;
const name = [basename(main), program.replace(/\W/g, ""), process.version, process.arch, "code"].join(".");
const cache = directory && join(directory, name);

// A function with a CommonJS module's parameters around it all, in ASCII (`bundle.ts`).
const script = new Script(readFileSync(main, "latin1"), {
  filename: main,
  cachedData: cache && compiled(),
  importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
});
if (cache && script.cachedDataRejected !== false) process.on("exit", (code) => code === 0 && keep());

// Its parts that are loaded later on import from it: they get this very one.
const own = new Module(main);
own.filename = main;
const load = Module.createRequire(main);
load.cache[load.resolve(main)] = own;
script.runInThisContext()(own.exports, load, own, main, dirname(main));
own.loaded = true;

function compiled() {
  try {
    return readFileSync(cache);
  } catch {
    return undefined;
  }
}

/** V8 believes every byte of it: it has its name only when it is whole, and on the disk. Others may be doing the same at this moment. */
function keep() {
  const draft = `${cache}.${require("node:crypto").randomUUID()}`;
  try {
    const file = openSync(draft, "wx");
    writeFileSync(file, script.createCachedData());
    fsyncSync(file);
    closeSync(file);
    renameSync(draft, cache);
  } catch {
    // Without it starts are slower, and nothing else.
    rmSync(draft, { force: true });
  }
}
