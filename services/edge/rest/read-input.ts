import type { DescMessage } from "@bufbuild/protobuf";
import { ScalarType } from "@bufbuild/protobuf";
import type { HttpRule, MessageRule } from "#gen/sluice/rest/v1/rest_pb.ts";
import { invalidRequest, type JsonObject, parseObject } from "../body-json.ts";
import type { HttpCall } from "../http-call.ts";
import { readBody } from "../read-body.ts";
import { isUnset } from "../unset.ts";

/** Admin bodies are small. */
const maxBodyBytes = 1024 * 1024;

/** The parameters of an admin call: the query's, and over them the body's. Names are as the client wrote them. */
export async function readRestInput(call: HttpCall, schema: DescMessage): Promise<JsonObject> {
  const input = readQuery(new URLSearchParams(call.query), schema);
  const bytes = await readBody(call.request, maxBodyBytes);
  if (bytes.length > 0) {
    for (const [name, value] of Object.entries(parseObject(bytes))) input[name] = value;
  }
  return input;
}

/**
 * A query knows texts only; the field says what they stand for. Numbers stay: protobuf's JSON takes them as texts. LiteLLM
 * spells some parameters in lowerCamelCase.
 */
function readQuery(query: URLSearchParams, schema: DescMessage): JsonObject {
  // Without a prototype, so that no name in a query means anything but itself.
  const input: JsonObject = Object.create(null);
  for (const name of new Set(query.keys())) {
    const field = schema.fields.find((candidate) => candidate.name === name || candidate.jsonName === name);
    const key = field?.name ?? name;
    const value = query.get(name) ?? "";
    if (field?.fieldKind === "list") input[key] = query.getAll(name);
    else if (field?.fieldKind === "scalar" && field.scalar === ScalarType.BOOL) input[key] = readBool(name, value);
    else input[key] = value;
  }
  return input;
}

/** @throws INVALID_REQUEST that names the parameter. */
export function readBool(name: string, value: string): boolean {
  if (/^(?:true|1|yes|on)$/i.test(value)) return true;
  if (/^(?:false|0|no|off|)$/i.test(value)) return false;
  throw invalidRequest(`'${name}' must be true or false.`, name);
}

/** A field that LiteLLM has and Sluice does not yet must not be ignored: whoever sets it relies on it. */
export function refuseUnbuilt({ unbuiltFields }: HttpRule | MessageRule, input: JsonObject): void {
  for (const name of unbuiltFields) {
    if (Object.hasOwn(input, name) && !isUnset(input[name])) {
      throw invalidRequest(`'${name}' is not supported yet.`, name);
    }
  }
}
