import { createFileRegistry, create, fromBinary, type DescService } from "@bufbuild/protobuf";
import {
  FieldDescriptorProto_Label,
  FieldDescriptorProto_Type,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
} from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";

import { Health } from "../health/proto/health_pb.ts";
import { ServerReflectionRequestSchema } from "./proto/reflection_pb.ts";
import { Reflection } from "./reflection.ts";

type Asked = NonNullable<Parameters<typeof create<typeof ServerReflectionRequestSchema>>[1]>["messageRequest"];

const answerTo = (services: readonly DescService[], messageRequest: Asked | undefined) =>
  new Reflection(services).answer(
    create(ServerReflectionRequestSchema, { host: "h", ...(messageRequest && { messageRequest }) }),
  );
const filesOf = (answer: ReturnType<Reflection["answer"]>): string[] => {
  const response = answer?.messageResponse;
  if (response?.case !== "fileDescriptorResponse") throw new Error(`answered ${response?.case}`);
  return response.value.fileDescriptorProto!.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes).name);
};
const notFound = { messageResponse: { case: "errorResponse", value: { errorCode: 5 } } };

/** A file with everything that a symbol can be, which imports another: proto2, for its extensions. */
const registry = createFileRegistry(
  create(FileDescriptorSetSchema, {
    file: [
      {
        name: "t/base.proto",
        package: "t",
        messageType: [{ name: "Base", extensionRange: [{ start: 100, end: 200 }] }, { name: "Bare" }],
      },
      {
        name: "t/all.proto",
        package: "t",
        dependency: ["t/base.proto"],
        enumType: [{ name: "Colour", value: [{ name: "RED", number: 0 }] }],
        messageType: [
          {
            name: "Outer",
            oneofDecl: [{ name: "choice" }],
            field: [{ ...int32("size", 1), oneofIndex: 0 }],
            nestedType: [{ name: "Inner", extension: [{ ...int32("nested", 101), extendee: ".t.Base" }] }],
            enumType: [{ name: "Kind", value: [{ name: "NONE", number: 0 }] }],
          },
        ],
        extension: [{ ...int32("extra", 100), extendee: ".t.Base" }],
        service: [{ name: "Svc", method: [{ name: "Do", inputType: ".t.Outer", outputType: ".t.Base" }] }],
      },
    ],
  }),
);
const service = registry.getService("t.Svc")!;

function int32(name: string, number: number) {
  return { name, number, type: FieldDescriptorProto_Type.INT32, label: FieldDescriptorProto_Label.OPTIONAL };
}

test("it lists the services, itself among them, and repeats what it was asked", () => {
  const answer = answerTo([service, Health], { case: "listServices", value: "*" });
  expect(answer).toMatchObject({
    validHost: "h",
    originalRequest: { messageRequest: { case: "listServices", value: "*" } },
    messageResponse: {
      value: {
        service: [
          { name: "grpc.health.v1.Health" },
          { name: "grpc.reflection.v1.ServerReflection" },
          { name: "t.Svc" },
        ],
      },
    },
  });
});

test.each([
  ...["t.Svc", "t.Svc.Do", "t.Outer", "t.Outer.size", "t.Outer.choice", "t.Outer.Inner", "t.Outer.Kind"],
  ...["t.Outer.NONE", "t.Colour", "t.RED", "t.extra", "t.Outer.Inner.nested"],
])("the file of the symbol %s comes with what it imports", (value) => {
  expect(filesOf(answerTo([service], { case: "fileContainingSymbol", value }))).toEqual([
    "t/all.proto",
    "t/base.proto",
  ]);
});

test("a file is found by its name, an imported one too", () => {
  expect(filesOf(answerTo([service], { case: "fileByFilename", value: "t/base.proto" }))).toEqual(["t/base.proto"]);
  expect(filesOf(answerTo([Health], { case: "fileByFilename", value: "health.proto" }))).toEqual(["health.proto"]);
});

test("extensions are found by their type and number, wherever they are declared", () => {
  for (const extensionNumber of [100, 101]) {
    const value = { containingType: "t.Base", extensionNumber };
    expect(filesOf(answerTo([service], { case: "fileContainingExtension", value }))[0]).toBe("t/all.proto");
  }
  const numbersOf = (value: string) => answerTo([service], { case: "allExtensionNumbersOfType", value });
  expect(numbersOf("t.Base")).toMatchObject({
    messageResponse: { value: { baseTypeName: "t.Base", extensionNumber: [100, 101] } },
  });
  expect(numbersOf("t.Bare")).toMatchObject({ messageResponse: { value: { extensionNumber: [] } } });
  expect(numbersOf("t.Nobody")).toMatchObject(notFound);
});

test.each<NonNullable<Asked>>([
  { case: "fileByFilename", value: "../../etc/passwd" },
  { case: "fileContainingSymbol", value: "t.Outer.Colour" },
  { case: "fileContainingSymbol", value: "__proto__" },
  { case: "fileContainingSymbol", value: "" },
  { case: "fileContainingExtension", value: { containingType: "t.Base", extensionNumber: 102 } },
  { case: "fileContainingExtension", value: { containingType: "", extensionNumber: -1 } },
])("what isn't there is NOT_FOUND in an answer: %o", (asked) => {
  expect(answerTo([service], asked)).toMatchObject(notFound);
});

test("a request that asks nothing has no answer", () => {
  expect(answerTo([service], undefined)).toBeUndefined();
});
