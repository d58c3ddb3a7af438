import { restartCallIds } from "./runtime/fixtures.ts";

// Before each file of the project "pure": one process runs many, and what a file sees mustn't depend on those before it.
restartCallIds();
