import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";

/**
 * Nacos's envelope for every gRPC message, in both directions: a type's name, and the message as JSON
 * (nacos_grpc_service.proto: Payload {2: Metadata {3: type, 8: clientIp}, 3: Any {2: value}}).
 */
export interface Payload {
  readonly type: string;
  readonly body: Readonly<Record<string, unknown>>;
}

export function encodePayload({ type, body }: Payload): Buffer {
  const payload = new BinaryWriter();
  payload.tag(2, WireType.LengthDelimited).fork();
  payload.tag(3, WireType.LengthDelimited).string(type);
  payload.join();
  payload.tag(3, WireType.LengthDelimited).fork();
  payload.tag(2, WireType.LengthDelimited).bytes(new TextEncoder().encode(JSON.stringify(body)));
  payload.join();
  return Buffer.from(payload.finish());
}

/** Throws for what is no payload. */
export function decodePayload(bytes: Uint8Array): Payload {
  const payload = fieldsOf(bytes);
  const type = fieldsOf(payload.get(2)).get(3);
  const value = fieldsOf(payload.get(3)).get(2);
  const body: unknown = value === undefined || value.length === 0 ? {} : JSON.parse(new TextDecoder().decode(value));
  if (typeof body !== "object" || body === null) throw new Error("a payload without a message");
  return { type: new TextDecoder().decode(type), body: body as Readonly<Record<string, unknown>> };
}

/** The fields that hold bytes; of each the last. */
function fieldsOf(bytes: Uint8Array | undefined): ReadonlyMap<number, Uint8Array> {
  const fields = new Map<number, Uint8Array>();
  const reader = new BinaryReader(bytes ?? new Uint8Array());
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (wireType === WireType.LengthDelimited) fields.set(field, reader.bytes());
    else reader.skip(wireType, field);
  }
  return fields;
}
