import { create, fromBinary, toBinary, type DescMessage, type MessageShape } from "@bufbuild/protobuf";

import type { Metadata } from "../../../runtime/call/metadata.ts";
import { RpcError, rpcCodeOf, rpcCodes } from "../../../runtime/call/status.ts";
import { statusDetailsKey } from "../../../runtime/call/metadata.ts";
import {
  AnySchema,
  ErrorSchema,
  HeaderSchema,
  StatusSchema,
  type Any,
  type Error,
  type Header,
} from "./conformance_pb.ts";

/** Metadata as the runner writes it: base64 without padding, and each value by itself where that can be told. */
export function headersOf(metadata: Metadata): Header[] {
  return [...metadata]
    .filter(([name]) => name !== statusDetailsKey)
    .map(([name, text]) => {
      const value = name.endsWith("-bin") ? text.split(",").map((part) => part.replace(/=+$/, "")) : [text];
      return create(HeaderSchema, { name, value });
    });
}

export const metadataOf = (headers: readonly Header[]): Metadata =>
  new Map(headers.map(({ name, value }) => [name.toLowerCase(), value.join(",")]));

export function anyOf<Desc extends DescMessage>(schema: Desc, message: MessageShape<Desc>): Any {
  return create(AnySchema, { typeUrl: `type.googleapis.com/${schema.typeName}`, value: toBinary(schema, message) });
}

/** What a server is asked to fail with, and the details that stand behind its own. */
export function toThrow({ code, message = "", details }: Error, trailers: Metadata, more: readonly Any[]): RpcError {
  const name = rpcCodeOf(code);
  const status = create(StatusSchema, { code, message, details: [...details, ...more] });
  const bytes = Buffer.from(toBinary(StatusSchema, status)).toString("base64");
  return new RpcError(message, {
    code: name === "OK" ? "UNKNOWN" : name,
    trailers: status.details.length === 0 ? trailers : new Map([...trailers, [statusDetailsKey, bytes]]),
  });
}

/** What a client met. */
export function errorFrom({ code, message, trailers }: RpcError): Error {
  const bytes = trailers.get(statusDetailsKey);
  const details = bytes === undefined ? [] : fromBinary(StatusSchema, Buffer.from(bytes, "base64")).details;
  return create(ErrorSchema, { code: rpcCodes.indexOf(code), message, details });
}

/** The messages on a program's input, each behind its length. */
export async function* delimited(input: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let bytes = Buffer.alloc(0);
  for await (const chunk of input) {
    bytes = Buffer.concat([bytes, chunk]);
    while (bytes.length >= 4 && bytes.length >= 4 + bytes.readUInt32BE()) {
      const end = 4 + bytes.readUInt32BE();
      yield bytes.subarray(4, end);
      bytes = bytes.subarray(end);
    }
  }
}

export function writeDelimited<Desc extends DescMessage>(schema: Desc, message: MessageShape<Desc>): void {
  const bytes = toBinary(schema, message);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  process.stdout.write(Buffer.concat([length, bytes]));
}
