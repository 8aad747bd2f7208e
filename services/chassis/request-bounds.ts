import type { DescMessage } from "@bufbuild/protobuf";
import { type DescField, getOption, type Message, ScalarType } from "@bufbuild/protobuf";
import { type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import { parseDuration } from "#chassis/duration.ts";
import { gatewayError } from "#chassis/errors.ts";
import { jsonFault } from "#chassis/json-bounds.ts";
import { errorText } from "#chassis/log.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { CallerModelsSchema } from "#gen/sluice/rest/v1/caller_pb.ts";
import { Format, field as fieldOption, Unit } from "#gen/sluice/rest/v1/rest_pb.ts";

const maxEntries = 1000;
const maxText = 256;
const maxWhole = BigInt(Number.MAX_SAFE_INTEGER);

/**
 * Checks every value of an admin request against the bounds of its field (FieldRule of `rest.proto`), so that no handler
 * meets a text that the database cannot keep, or a list without an end.
 *
 * @throws INVALID_REQUEST that names the field at fault.
 */
export function checkBounds(schema: DescMessage, message: Message): void {
  checkMembers(reflect(schema, message));
}

function checkMembers(message: ReflectMessage): void {
  for (const field of message.fields) {
    if (!message.isSet(field)) continue;
    if (field.fieldKind === "list") {
      const list = message.get(field);
      checkCount(field, list.size);
      for (const item of list) checkValue(field, item);
    } else if (field.fieldKind === "map") {
      const map = message.get(field);
      checkCount(field, map.size);
      for (const [key, value] of map) {
        checkText(field, String(key));
        checkValue(field, value);
      }
    } else {
      checkValue(field, message.get(field));
    }
  }
}

function checkCount(field: DescField, count: number): void {
  if (count > maxEntries) throw invalid(field, `must have at most ${maxEntries} entries`);
}

function checkValue(field: DescField, value: unknown): void {
  if (isReflected(value)) {
    if (!isMeshsOwn(value.desc.typeName)) checkMembers(value);
  } else if (typeof value === "string") {
    checkText(field, value);
  } else if (typeof value === "bigint" || typeof value === "number") {
    checkNumber(field, value);
  } else if (value instanceof Uint8Array && getOption(field, fieldOption).unit === Unit.JSON) {
    const fault = value.length === 0 ? undefined : jsonFault(value);
    if (fault !== undefined) throw invalid(field, fault);
  }
}

/** Not a client's words: protobuf's own types, and what the edge says of the caller. */
function isMeshsOwn(typeName: string): boolean {
  return typeName.startsWith("google.protobuf.") || typeName === CallerModelsSchema.typeName;
}

function isReflected(value: unknown): value is ReflectMessage {
  return typeof value === "object" && value !== null && "desc" in value && "fields" in value;
}

function checkText(field: DescField, value: string): void {
  const rule = getOption(field, fieldOption);
  const longest = rule.maxLength === 0 ? maxText : rule.maxLength;
  if (value.length > longest) throw invalid(field, `must have at most ${longest} characters`);
  if (!value.isWellFormed() || /\p{Cc}/u.test(value)) throw invalid(field, "must hold no control characters");
  if (value !== "") checkFormat(field, rule.format, value);
}

function checkFormat(field: DescField, format: Format, value: string): void {
  if (format === Format.EMAIL && !/^[^\s@]+@[^\s@]+$/.test(value)) throw invalid(field, "must be an e-mail address");
  if (format === Format.LIFETIME && value === "-1") return;
  if (format !== Format.DURATION && format !== Format.LIFETIME && format !== Format.BUDGET_WINDOW) return;
  const { amount, unit } = readDuration(field, value);
  if (format === Format.BUDGET_WINDOW && unit === "mo" && amount !== 1) {
    throw invalid(field, "can be one month, 1mo, but not several");
  }
}

function readDuration(field: DescField, value: string) {
  try {
    return parseDuration(value);
  } catch (error) {
    throw invalid(field, `is wrong: ${errorText(error)}`);
  }
}

function checkNumber(field: DescField, value: bigint | number): void {
  if (field.enum !== undefined || field.scalar === ScalarType.DOUBLE) return;
  const { max, unit } = getOption(field, fieldOption);
  if (value < 0) throw invalid(field, "must not be negative");
  if (unit !== Unit.USD && value > (max === 0n ? maxWhole : max)) {
    throw invalid(field, `must be at most ${max === 0n ? maxWhole : max}`);
  }
}

function invalid(field: DescField, what: string) {
  return gatewayError(Reason.INVALID_REQUEST, `${field.name} ${what}.`, { param: field.name });
}
