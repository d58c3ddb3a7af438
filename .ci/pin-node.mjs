import { existsSync, symlinkSync } from "node:fs";

// npm 10, which comes with Node.js 20 and 22, unpacks the pinned Node.js and then deletes its link, because the package
// for the other processor, which it skips, has a link of that name as well. Scripts would run the system's Node.js.
const link = "node_modules/.bin/node";
const node = `node_modules/node-linux-${process.arch}/bin/node`;
if (process.platform === "linux" && existsSync(node) && !existsSync(link)) symlinkSync(`../../${node}`, link);
