import { gatewayError } from "#chassis/errors.ts";
import { editJson, findMember, findMembers, JsonObjectProblem } from "#chassis/json-members.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { JsonObject, JsonValue, ProviderCall } from "../../provider.ts";
import { geminiModel } from "../../translate/chat-to-gemini/gemini-models.ts";
import { lostSignature } from "../../translate/chat-to-gemini/request-messages.ts";
import { generationConfig, passedParams } from "../../translate/chat-to-gemini/request-params.ts";
import { camelCase, camelCased } from "../../translate/gemini-to-chat/spelling.ts";
import { decodeText, isObject, numberOf, objectOf, parseObject, textOf } from "../../translate/json-reading.ts";
import { ownSignatureStart } from "../../translate/thought-signature.ts";

/**
 * The client's bytes as Google gets them. They change in what the deployment sets and the client does not, and in the
 * output limit where a budget lowers it; the model stands in the address. Signatures that this gateway made for another
 * provider's answer, where a conversation has moved, give way to the one that Gemini takes for a lost one.
 */
export function generateContentBody(call: ProviderCall): Uint8Array {
  try {
    const members = findMembers(call.body);
    // Google takes both spellings; one of them twice would be refused.
    const name = findMember(members, "generation_config") === undefined ? "generationConfig" : "generation_config";
    const config = editedConfig(call, findMember(members, name));
    return editJson(withoutOwnSignatures(call.body), {
      remove: ["model"],
      setIfAbsent: defaultMembers(call, new Set(members.map((member) => camelCase(member.name)))),
      ...(config === undefined ? {} : { set: { [name]: config } }),
    });
  } catch (error) {
    if (!(error instanceof JsonObjectProblem)) throw error;
    throw gatewayError(Reason.INVALID_REQUEST, "The body has to be a JSON object.", { cause: error });
  }
}

/** The JSON text of a `generationConfig` that has to change; undefined where the client's own stays. */
function editedConfig(
  call: ProviderCall,
  member: { readonly valueStart: number; readonly valueEnd: number } | undefined,
): string | undefined {
  const { defaultParams, outputTokenCap: cap } = call;
  if (cap === undefined && Object.keys(defaultParams).length === 0) return undefined;
  const bytes = member === undefined ? Buffer.from("{}") : call.body.subarray(member.valueStart, member.valueEnd);
  const own = parseObject(decodeText(bytes));
  // Of another type: Google says what is wrong with it.
  if (own === undefined) return undefined;
  const client = camelCased(own);
  const defaults = generationConfig(defaultParams, geminiModel(call.model), { ...call, outputTokenCap: undefined });
  const absent = Object.entries(defaults).filter(([name]) => client[name] === undefined);
  const asked = [own.maxOutputTokens, own.max_output_tokens].filter((limit) => numberOf(limit) > 0).map(numberOf);
  const limit = asked.length > 0 ? Math.max(...asked) : numberOf(defaults.maxOutputTokens);
  const set: Record<string, string> = {};
  if (cap !== undefined && !(limit > 0 && limit <= cap)) set.maxOutputTokens = String(cap);
  const edited = editJson(bytes, {
    set,
    setIfAbsent: Object.fromEntries(absent.map(([name, value]) => [name, JSON.stringify(value)])),
    ...(set.maxOutputTokens === undefined ? {} : { remove: ["max_output_tokens"] }),
  });
  return edited.length === 2 ? undefined : decodeText(edited);
}

/** Parameters of the deployment that are members of the request itself (`safetySettings`, `cachedContent`). */
function defaultMembers(call: ProviderCall, given: ReadonlySet<string>): Record<string, string> {
  const absent = Object.entries(passedParams(call.defaultParams, call)).filter(([name]) => !given.has(name));
  return Object.fromEntries(absent.map(([name, value]) => [name, JSON.stringify(value)]));
}

function withoutOwnSignatures(body: Uint8Array): Uint8Array {
  if (!Buffer.from(body.buffer, body.byteOffset, body.byteLength).includes(ownSignatureStart)) return body;
  const request = objectOf(parseObject(decodeText(body)));
  return Buffer.from(JSON.stringify(replaced(request)));
}

function replaced(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return value.map(replaced);
  if (!isObject(value)) return value;
  const copy: JsonObject = {};
  for (const [name, own] of Object.entries(value)) {
    const isSignature = name === "thoughtSignature" || name === "thought_signature";
    const isOwn = isSignature && textOf(own).startsWith(ownSignatureStart);
    copy[name] = isOwn ? lostSignature : replaced(own);
  }
  return copy;
}
