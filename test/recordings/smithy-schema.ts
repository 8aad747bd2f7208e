import type { JsonObject, JsonValue } from "../../services/provider-adapter/provider.ts";
import { numberOf, objectOf, textOf } from "../../services/provider-adapter/translate/json-reading.ts";

/**
 * JSON schemas of the structures of a Smithy model, https://smithy.io/2.0/spec/json-ast.html, as they are written in the
 * body of a request: members that go into the address are left out, unknown ones are refused.
 */
export function smithySchemas(model: JsonObject): JsonObject {
  const definitions: JsonObject = {};
  for (const [id, shape] of Object.entries(objectOf(model.shapes))) {
    definitions[keyOf(id)] = schemaOf(objectOf(shape));
  }
  return { $defs: definitions };
}

function keyOf(id: string): string {
  return id.replace(/^.*#/, "");
}

function schemaOf(shape: JsonObject): JsonValue {
  switch (shape.type) {
    case "structure":
      return structure(objectOf(shape.members));
    case "union":
      return { ...structure(objectOf(shape.members)), minProperties: 1, maxProperties: 1 };
    case "list":
      return { type: "array", items: reference(objectOf(shape.member)), ...limits(shape, "Items") };
    case "map":
      return { type: "object", additionalProperties: reference(objectOf(shape.value)) };
    case "enum":
      return { enum: Object.entries(objectOf(shape.members)).map(([name, member]) => enumValue(name, member)) };
    case "string":
      return { type: "string", ...limits(shape, "Length"), ...pattern(shape) };
    case "blob":
      return { type: "string" };
    case "integer":
    case "long":
      return { type: "integer" };
    default:
      return {};
  }
}

function enumValue(name: string, member: JsonValue): string {
  return textOf(traitsOf(objectOf(member))["smithy.api#enumValue"]) || name;
}

function structure(members: JsonObject): JsonObject {
  const written = Object.entries(members).filter(
    ([, member]) => traitsOf(objectOf(member))["smithy.api#httpLabel"] === undefined,
  );
  return {
    type: "object",
    properties: Object.fromEntries(written.map(([name, member]) => [name, reference(objectOf(member))])),
    required: written
      .filter(([, member]) => traitsOf(objectOf(member))["smithy.api#required"] !== undefined)
      .map(([name]) => name),
    additionalProperties: false,
  };
}

const simple: Readonly<Record<string, JsonObject>> = {
  "smithy.api#String": { type: "string" },
  "smithy.api#Boolean": { type: "boolean" },
  "smithy.api#PrimitiveBoolean": { type: "boolean" },
  "smithy.api#Integer": { type: "integer" },
  "smithy.api#Float": { type: "number" },
  "smithy.api#Double": { type: "number" },
  "smithy.api#Blob": { type: "string" },
  "smithy.api#Document": {},
  "smithy.api#Long": { type: "integer" },
  "smithy.api#Timestamp": {},
};

function reference(member: JsonObject): JsonObject {
  const target = textOf(member.target);
  return simple[target] ?? { $ref: `#/$defs/${keyOf(target)}` };
}

function traitsOf(shape: JsonObject): JsonObject {
  return objectOf(shape.traits);
}

function limits(shape: JsonObject, of: "Items" | "Length"): JsonObject {
  const { min, max } = objectOf(traitsOf(shape)["smithy.api#length"]);
  return {
    ...(min === undefined ? {} : { [`min${of}`]: numberOf(min) }),
    ...(max === undefined ? {} : { [`max${of}`]: numberOf(max) }),
  };
}

function pattern(shape: JsonObject): JsonObject {
  const text = textOf(traitsOf(shape)["smithy.api#pattern"]);
  return text === "" ? {} : { pattern: text };
}
