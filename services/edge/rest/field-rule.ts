import { type DescEnum, type DescField, type DescMessage, getOption } from "@bufbuild/protobuf";
import {
  type FieldRule,
  field as fieldOption,
  type MessageRule,
  message as messageOption,
} from "#gen/sluice/rest/v1/rest_pb.ts";

/**
 * The rules of fields and messages: `getOption` decodes an option anew each time, and a list asks for thousands. They never
 * change.
 */
const fieldRules = new WeakMap<DescField, FieldRule>();
const messageRules = new WeakMap<DescMessage, MessageRule>();

export function fieldRule(field: DescField): FieldRule {
  const known = fieldRules.get(field);
  if (known !== undefined) return known;
  const rule = getOption(field, fieldOption);
  fieldRules.set(field, rule);
  return rule;
}

export function messageRule(message: DescMessage): MessageRule {
  const known = messageRules.get(message);
  if (known !== undefined) return known;
  const rule = getOption(message, messageOption);
  messageRules.set(message, rule);
  return rule;
}

/** A message field whose members stand beside the fields of the message that holds it. */
export type FlattenedField = DescField & { readonly message: DescMessage };

export function isFlattened(field: DescField): field is FlattenedField {
  return field.message !== undefined && field.fieldKind === "message" && fieldRule(field).flatten;
}

/** A message that is written as the value of the one field that is set. */
export function isOnlyValue(desc: DescMessage): boolean {
  return messageRule(desc).onlyValue;
}

/** `USAGE_STATUS_` for the enum `UsageStatus`: what protobuf's style puts before every value, and JSON does without. */
export function enumPrefix(desc: DescEnum): string {
  return desc.sharedPrefix?.toUpperCase() ?? "";
}

/** Messages with a JSON form of their own: timestamps, durations and the like. */
export function isWellKnown(typeName: string): boolean {
  return typeName.startsWith("google.protobuf.");
}
