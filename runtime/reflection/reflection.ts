import { toBinary, type DescEnum, type DescFile, type DescMessage, type DescService } from "@bufbuild/protobuf";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";

import { rpcCodes } from "../call/status.ts";
import {
  file_reflection,
  ServerReflection,
  type ServerReflectionRequest,
  type ServerReflectionResponseSchema,
} from "./proto/reflection_pb.ts";

type Answer = NonNullable<MessageInitShape<typeof ServerReflectionResponseSchema>["messageResponse"]>;

/** The method that is asked. Clients that are older ask the same of `v1alpha`, whose messages are the same on the wire. */
export const reflectionPaths: readonly string[] = ["v1", "v1alpha"].map(
  (version) => `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`,
);

/**
 * What a server says of its interfaces, by gRPC's server reflection (https://github.com/grpc/grpc/blob/master/doc/server-reflection.md):
 * the services, and the files that describe them. A file comes with all that it imports.
 */
export class Reflection {
  readonly #names: readonly string[];
  readonly #files = new Map<string, DescFile>();
  readonly #symbols = new Map<string, DescFile>();
  readonly #messages = new Set<string>();
  /** By the type that is extended, and by number. */
  readonly #extensions = new Map<string, Map<number, DescFile>>();

  constructor(services: readonly DescService[]) {
    this.#names = [...services, ServerReflection].map(({ typeName }) => typeName).toSorted();
    for (const { file } of services) this.#add(file);
    this.#add(file_reflection);
  }

  /** Undefined for a request that asks nothing. What isn't known is an answer too. */
  answer(request: ServerReflectionRequest): MessageInitShape<typeof ServerReflectionResponseSchema> | undefined {
    const messageResponse = this.#answer(request.messageRequest);
    if (messageResponse === undefined) return undefined;
    return { validHost: request.host, originalRequest: request, messageResponse };
  }

  #answer(asked: ServerReflectionRequest["messageRequest"]): Answer | undefined {
    switch (asked.case) {
      case "listServices":
        return { case: "listServicesResponse", value: { service: this.#names.map((name) => ({ name })) } };
      case "fileByFilename":
        return answerOf(this.#files.get(asked.value), `file ${asked.value}`);
      case "fileContainingSymbol":
        return answerOf(this.#symbols.get(asked.value), `symbol ${asked.value}`);
      case "fileContainingExtension": {
        const { containingType, extensionNumber } = asked.value;
        const file = this.#extensions.get(containingType)?.get(extensionNumber);
        return answerOf(file, `extension ${extensionNumber} of ${containingType}`);
      }
      case "allExtensionNumbersOfType": {
        if (!this.#messages.has(asked.value)) return notFound(`type ${asked.value}`);
        const extensionNumber = [...(this.#extensions.get(asked.value)?.keys() ?? [])];
        return { case: "allExtensionNumbersResponse", value: { baseTypeName: asked.value, extensionNumber } };
      }
      case undefined:
        return undefined;
    }
  }

  #add(file: DescFile): void {
    if (this.#files.has(file.proto.name)) return;
    this.#files.set(file.proto.name, file);
    const name = (symbol: string): void => void (this.#symbols.has(symbol) || this.#symbols.set(symbol, file));
    for (const service of file.services) {
      name(service.typeName);
      for (const method of service.methods) name(`${service.typeName}.${method.name}`);
    }
    for (const message of file.messages) this.#addMessage(message, name);
    for (const one of file.enums) addEnum(one, name);
    for (const { typeName, extendee, number } of [...file.extensions, ...file.messages.flatMap(extensionsIn)]) {
      name(typeName);
      const numbers = this.#extensions.get(extendee.typeName) ?? new Map<number, DescFile>();
      this.#extensions.set(extendee.typeName, numbers.set(number, file));
    }
    for (const dependency of file.dependencies) this.#add(dependency);
  }

  #addMessage(message: DescMessage, name: (symbol: string) => void): void {
    const { typeName, fields, oneofs, nestedMessages, nestedEnums } = message;
    this.#messages.add(typeName);
    name(typeName);
    for (const part of [...fields, ...oneofs]) name(`${typeName}.${part.name}`);
    for (const nested of nestedMessages) this.#addMessage(nested, name);
    for (const nested of nestedEnums) addEnum(nested, name);
  }
}

/** Its values stand beside it, not in it: protobuf has that from C++. */
function addEnum({ typeName, values }: DescEnum, name: (symbol: string) => void): void {
  name(typeName);
  const scope = typeName.slice(0, typeName.lastIndexOf(".") + 1);
  for (const value of values) name(scope + value.name);
}

function extensionsIn({ nestedExtensions, nestedMessages }: DescMessage): DescMessage["nestedExtensions"] {
  return [...nestedExtensions, ...nestedMessages.flatMap(extensionsIn)];
}

function answerOf(file: DescFile | undefined, what: string): Answer {
  if (file === undefined) return notFound(what);
  const fileDescriptorProto = [...withImports(file)].map(({ proto }) => toBinary(FileDescriptorProtoSchema, proto));
  return { case: "fileDescriptorResponse", value: { fileDescriptorProto } };
}

function withImports(file: DescFile, found = new Set<DescFile>()): Set<DescFile> {
  found.add(file);
  for (const dependency of file.dependencies) if (!found.has(dependency)) withImports(dependency, found);
  return found;
}

function notFound(what: string): Answer {
  const errorMessage = `there is no ${what.slice(0, 300)}`;
  return { case: "errorResponse", value: { errorCode: rpcCodes.indexOf("NOT_FOUND"), errorMessage } };
}
