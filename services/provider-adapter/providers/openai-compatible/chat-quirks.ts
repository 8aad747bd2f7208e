import type { JsonObject, JsonValue, ProviderCall } from "../../provider.ts";
import { isObject, textOf } from "../../translate/json-reading.ts";
import { refuseOrDrop } from "../../translate/unsupported-parameter.ts";
import type { BodyEdit } from "./body-edit.ts";
import type { ProviderRow } from "./provider-row.ts";

/** Changes the body of a chat into what this provider takes. Throws a GatewayError where it cannot take a parameter. */
export function applyChatQuirks(row: ProviderRow, call: ProviderCall, body: BodyEdit): void {
  for (const { from, to, models } of row.renames) if (models?.test(call.model) !== false) body.rename(from, to);
  for (const { field, from, to } of row.replacements) if (body.value(field) === from) body.set(field, to);
  for (const { field, min = -Infinity, max = Infinity } of row.clamps) {
    const value = body.value(field);
    if (typeof value === "number" && (value < min || value > max)) body.set(field, Math.min(max, Math.max(min, value)));
  }
  for (const [field, value] of Object.entries(row.fixed)) body.set(field, value);
  for (const name of row.ignored_params) if (!call.allowedParams.includes(name)) body.remove(name);
  refuseUnsupported(row, call, body);
  if (row.flattens_text || row.drops_message_names || !row.knows_developer_role) tidyMessages(row, body);
}

function refuseUnsupported(row: ProviderRow, call: ProviderCall, body: BodyEdit): void {
  for (const { name, models } of row.unsupported_params) {
    if (!body.has(name) || models?.test(call.model) === false || call.allowedParams.includes(name)) continue;
    if (body.text(name) !== "null") refuseOrDrop(call, name, `${row.id} does not support ${name}.`);
    body.remove(name);
  }
}

const affected = /"content"\s*:\s*\[|"name"\s*:|"developer"/;

/** The messages are parsed only where something in them may have to change. */
function tidyMessages(row: ProviderRow, body: BodyEdit): void {
  if (!affected.test(body.text("messages") ?? "")) return;
  const messages = body.value("messages");
  if (Array.isArray(messages))
    body.set(
      "messages",
      messages.map((message) => tidyMessage(row, message)),
    );
}

function tidyMessage(row: ProviderRow, message: JsonValue): JsonValue {
  if (!isObject(message)) return message;
  const tidied: JsonObject = { ...message };
  if (row.drops_message_names && message.role !== "tool" && message.role !== "function") delete tidied.name;
  if (!row.knows_developer_role && message.role === "developer") tidied.role = "system";
  const { content } = message;
  if (row.flattens_text && Array.isArray(content) && content.length > 0 && content.every(isText)) {
    tidied.content = content.map((part) => textOf(isObject(part) ? part.text : part)).join("");
  }
  return tidied;
}

function isText(part: JsonValue): boolean {
  return isObject(part) && part.type === "text" && typeof part.text === "string";
}
