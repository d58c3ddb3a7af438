import type { CodecFamily } from "./codec.ts";
import { json } from "./json.ts";
import { protobuf } from "./protobuf.ts";

/** The built-in codecs. Which one a message is in travels beside it, so each protocol carries them all. */
export const codecFamilies: Readonly<Record<string, CodecFamily>> = { protobuf, json };

export const codecNames = ["protobuf", "json"] as const;
