// A process that does nothing: it says that it is there, and waits for its end. The peer of a node's start-up.
process.send!("here");
process.on("disconnect", () => process.exit());
