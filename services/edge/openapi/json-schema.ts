import { type DescEnum, type DescField, type DescMessage, ScalarType } from "@bufbuild/protobuf";
import { Format, Unit } from "#gen/sluice/rest/v1/rest_pb.ts";
import { enumPrefix, fieldRule, isFlattened, isOnlyValue, isWellKnown, messageRule } from "../rest/field-rule.ts";
import type { Comments } from "./comments.ts";

/** A JSON Schema of OpenAPI 3.1 (https://spec.openapis.org/oas/v3.1.0#schema-object). */
export type JsonSchema = { [keyword: string]: unknown };

const timestamp = "google.protobuf.Timestamp";
const updateMask = "google.protobuf.FieldMask";

/** Writes messages as schemas, in the form that the REST paths have: see `read-message.ts` and `write-message.ts`. */
export class SchemaBook {
  /** By the message's short name. */
  readonly schemas: Record<string, JsonSchema> = {};
  readonly #comments: Comments;

  constructor(comments: Comments) {
    this.#comments = comments;
  }

  /** A reference to the schema of a message, which is written where it is not there yet. */
  reference(desc: DescMessage): JsonSchema {
    if (this.schemas[desc.name] === undefined) {
      // Set before its members are written: a message may hold itself.
      this.schemas[desc.name] = {};
      this.schemas[desc.name] = {
        type: "object",
        ...described(this.#comments[desc.typeName]),
        properties: this.members(desc),
      };
    }
    return { $ref: `#/components/schemas/${desc.name}` };
  }

  /** The members of a message's JSON, those of flattened fields among them. */
  members(desc: DescMessage): Record<string, JsonSchema> {
    const members: Record<string, JsonSchema> = {};
    for (const field of desc.fields) {
      if (field.message?.typeName === updateMask) continue;
      if (isFlattened(field)) Object.assign(members, this.members(field.message));
      else members[field.name] = this.#member(field);
    }
    return members;
  }

  #member(field: DescField): JsonSchema {
    const about = described(this.#comments[`${field.parent.typeName}.${field.name}`]);
    if (field.fieldKind === "list") return { type: "array", items: this.#value(field), ...about };
    if (field.fieldKind === "map") return { type: "object", additionalProperties: this.#value(field), ...about };
    return { ...this.#value(field), ...about };
  }

  #value(field: DescField): JsonSchema {
    const { unit } = fieldRule(field);
    if (unit === Unit.USD) return { type: "number" };
    if (unit === Unit.JSON) return { type: "object" };
    if (field.enum !== undefined) return { type: "string", enum: enumValues(field.enum) };
    if (field.message?.typeName === timestamp) return { type: "string", format: "date-time" };
    if (field.message === undefined) return scalar(field);
    if (isWellKnown(field.message.typeName)) return {};
    if (isOnlyValue(field.message)) return { anyOf: Object.values(this.members(field.message)) };
    const reference = this.reference(field.message);
    return messageRule(field.message).textField === "" ? reference : { anyOf: [{ type: "string" }, reference] };
  }
}

function described(comment: string | undefined): JsonSchema {
  return comment === undefined ? {} : { description: comment };
}

function enumValues(desc: DescEnum): string[] {
  return desc.values.slice(1).map(({ name }) => name.replace(enumPrefix(desc), "").toLowerCase());
}

function scalar(field: DescField): JsonSchema {
  const { format, max, maxLength } = fieldRule(field);
  switch (field.scalar) {
    case ScalarType.BOOL:
      return { type: "boolean" };
    case ScalarType.DOUBLE:
    case ScalarType.FLOAT:
      return { type: "number" };
    case ScalarType.STRING:
    case ScalarType.BYTES:
      return {
        type: "string",
        ...(format === Format.EMAIL ? { format: "email" } : {}),
        ...(maxLength > 0 ? { maxLength } : {}),
      };
    default:
      return { type: "integer", minimum: 0, ...(max > 0n ? { maximum: Number(max) } : {}) };
  }
}
