/**
 * Modules of Node.js that few processes need, each loaded by the first who does. All of them together make the start of a process half as
 * long again as that of a bare one (node:http alone brings a WebSocket and a library behind it), and a fleet starts a hundred processes.
 */
export const onDemand = {
  crypto: () => process.getBuiltinModule("node:crypto"),
  http: () => process.getBuiltinModule("node:http"),
  https: () => process.getBuiltinModule("node:https"),
  tls: () => process.getBuiltinModule("node:tls"),
  zlib: () => process.getBuiltinModule("node:zlib"),
};
