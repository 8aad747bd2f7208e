import { gatewayError, upstreamError } from "#chassis/errors.ts";
import { editJson, findMembers, type JsonMember, JsonObjectProblem } from "#chassis/json-members.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { Exchange, JsonObject, JsonValue, Outcome, ProviderCall } from "../../provider.ts";
import { fitThinking } from "../../translate/chat-to-messages/request-params.ts";
import { finishReasonOf } from "../../translate/finish-reason.ts";
import { decodeText, isObject, objectOf, parseObject, textOf } from "../../translate/json-reading.ts";
import { MessageUsage } from "../../translate/messages-to-chat/message-usage.ts";
import { readEventData } from "../../translate/sse-event.ts";
import { brokenAnswer, classifyErrorObject } from "./classify-error.ts";
import { upstreamRequest } from "./upstream-request.ts";

const deltaStart = Buffer.from("event: content_block_delta");
/** Size of a `content_block_delta` event without its text, and bytes of text for a token: for the estimate of an abort. */
const deltaEnvelope = 110;
const bytesPerToken = 4;

/**
 * A Messages call passed through. The request's bytes change in the model, in parameters of the deployment that the
 * client did not set, and in the output limit where a budget lowers it. Every byte of the answer is the provider's.
 * Events that open a stream are held until the first content block, so that a failure before it can still be retried;
 * `message_stop` is held until the stream has ended.
 */
export function createMessagesExchange(call: ProviderCall): Exchange {
  return new MessagesExchange(call);
}

class MessagesExchange implements Exchange {
  readonly request: Exchange["request"];
  readonly #usage = new MessageUsage();
  readonly #message: { id: string; model: string; stopReason: string } = { id: "", model: "", stopReason: "" };
  #opening: Uint8Array[] | undefined = [];
  #stop: Uint8Array | undefined;
  #contentBytes = 0;
  #messages = 0;
  #complete = false;

  constructor(call: ProviderCall) {
    this.request = upstreamRequest(call, editedBody(call), []);
  }

  /** Behind `message_stop` another message may follow: a tool loop that the provider runs is told as several. */
  get progress(): "open" | "closing" {
    return this.#stop === undefined ? "open" : "closing";
  }

  decodeBody(body: Uint8Array): Uint8Array {
    const message = readTop(body, ["type", "error", "id", "model", "stop_reason", "usage"]);
    if (message?.type === "error") throw upstreamError(classifyErrorObject(message));
    if (message?.type !== "message") throw upstreamError(brokenAnswer("Anthropic's answer is not a message"));
    this.#readMessage(message);
    this.#complete = true;
    return body;
  }

  decodeEvents(events: readonly Uint8Array[]): Uint8Array[] {
    const out: Uint8Array[] = [];
    for (const event of events) {
      // The many deltas are not parsed: nothing in them is of interest here.
      if (startsWith(event, deltaStart)) {
        this.#contentBytes += Math.max(1, event.length - deltaEnvelope);
        this.#forward(event, out);
      } else this.#readEvent(event, out);
    }
    return out;
  }

  finish(): Uint8Array[] {
    if (this.#stop === undefined) throw upstreamError(brokenAnswer("Anthropic's stream ended before message_stop"));
    this.#complete = true;
    return [...(this.#opening ?? []), this.#stop];
  }

  outcome(): Outcome {
    return {
      usage: this.#usage.canonical(this.#complete ? undefined : Math.ceil(this.#contentBytes / bytesPerToken)),
      finishReason: finishReasonOf(this.#message.stopReason),
      responseModel: this.#message.model,
      responseId: this.#message.id,
    };
  }

  #readEvent(bytes: Uint8Array, out: Uint8Array[]): void {
    const data = readEventData(bytes);
    const event = data === undefined ? {} : parseObject(data);
    if (event === undefined) throw upstreamError(brokenAnswer("Anthropic sent an event that is not JSON"));
    switch (event.type) {
      case "error":
        throw upstreamError(classifyErrorObject(event));
      case "message_start":
        if (this.#messages++ > 0) this.#usage.nextMessage();
        this.#readMessage(objectOf(event.message));
        break;
      case "message_delta":
        this.#message.stopReason = textOf(objectOf(event.delta).stop_reason);
        this.#usage.read(objectOf(event.usage));
        this.#complete = true;
        break;
      case "message_stop":
        this.#stop = bytes;
        return;
    }
    if (
      this.#opening !== undefined &&
      (event.type === "message_start" || event.type === "ping" || data === undefined)
    ) {
      this.#opening.push(bytes);
    } else this.#forward(bytes, out);
  }

  #forward(event: Uint8Array, out: Uint8Array[]): void {
    if (this.#opening !== undefined) {
      out.push(...this.#opening);
      this.#opening = undefined;
    }
    if (this.#stop !== undefined) {
      out.push(this.#stop);
      this.#stop = undefined;
    }
    out.push(event);
  }

  #readMessage(message: JsonObject): void {
    this.#message.id ||= textOf(message.id);
    this.#message.model ||= textOf(message.model);
    this.#message.stopReason = textOf(message.stop_reason);
    this.#usage.read(objectOf(message.usage));
  }
}

function startsWith(bytes: Uint8Array, start: Uint8Array): boolean {
  if (bytes.length < start.length) return false;
  for (let at = start.length - 1; at >= 0; at--) {
    if (bytes[at] !== start[at]) return false;
  }
  return true;
}

function editedBody(call: ProviderCall): Uint8Array {
  const set: Record<string, string> = { model: JSON.stringify(call.model) };
  const cap = call.outputTokenCap;
  try {
    if (cap !== undefined) Object.assign(set, cappedMembers(call.body, cap));
    const setIfAbsent: Record<string, string> = {};
    for (const [name, value] of Object.entries(call.defaultParams)) {
      if (name !== "stream") setIfAbsent[name] = JSON.stringify(value);
    }
    return editJson(call.body, { set, setIfAbsent });
  } catch (error) {
    if (!(error instanceof JsonObjectProblem)) throw error;
    throw gatewayError(Reason.INVALID_REQUEST, "The body has to be a JSON object.", { cause: error });
  }
}

/** The members that change where the output limit is lowered: the limit, and a thinking budget that would exceed it. */
function cappedMembers(body: Uint8Array, cap: number): Record<string, string> {
  const { max_tokens: limit, thinking } = readTop(body, ["max_tokens", "thinking"]) ?? {};
  if (typeof limit === "number" && limit <= cap) return {};
  const changed: Record<string, string> = { max_tokens: JSON.stringify(cap) };
  if (isObject(thinking)) changed.thinking = JSON.stringify(fitThinking(thinking, cap) ?? { type: "disabled" });
  return changed;
}

/** Reads some members of a JSON object without parsing the rest; undefined where it is no JSON object. */
function readTop(body: Uint8Array, names: readonly string[]): JsonObject | undefined {
  try {
    const found = findMembers(body).filter(({ name }) => names.includes(name));
    return Object.fromEntries(found.map((member) => [member.name, readValue(body, member)]));
  } catch {
    return undefined;
  }
}

function readValue(body: Uint8Array, { valueStart, valueEnd }: JsonMember): JsonValue {
  const value: JsonValue = JSON.parse(decodeText(body.subarray(valueStart, valueEnd)));
  return value;
}
