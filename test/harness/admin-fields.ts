import { type DescField, type DescMessage, type DescMethod, getOption, ScalarType } from "@bufbuild/protobuf";
import { http as httpOption } from "#gen/sluice/rest/v1/rest_pb.ts";
import { isFlattened } from "../../services/edge/rest/field-rule.ts";
import { adminServices } from "../../services/mesh/admin-services.ts";

/** One admin path with the fields that its input has over REST. */
export interface AdminPath {
  readonly verb: string;
  readonly path: string;
  readonly method: DescMethod;
  readonly fields: readonly DescField[];
}

/** Every admin path that the contract declares; what a path holds in braces is `x`. */
export function adminPaths(): AdminPath[] {
  return adminServices
    .flatMap(({ service }) => service.methods)
    .flatMap((method) =>
      getOption(method, httpOption).paths.map((each) => {
        const [verb = "", template = ""] = each.split(" ");
        const path = template.replace(/\{\w+\}/g, "x");
        return { verb, path, method, fields: flatFields(method.input) };
      }),
    );
}

function flatFields(schema: DescMessage): DescField[] {
  return schema.fields
    .filter(({ name }) => name !== "update_mask")
    .flatMap((field) => (isFlattened(field) ? flatFields(field.message) : [field]));
}

/** Whether a field takes a text, or a list of them. */
export function takesText(field: DescField): boolean {
  if (field.fieldKind === "scalar") return field.scalar === ScalarType.STRING;
  return field.fieldKind === "list" && field.listKind === "scalar" && field.scalar === ScalarType.STRING;
}
