import type { JsonObject, JsonValue } from "../../services/provider-adapter/provider.ts";
import {
  isObject,
  listOf,
  objectOf,
  objectsOf,
  parseObject,
  textOf,
} from "../../services/provider-adapter/translate/json-reading.ts";
import { compareWithMessage, readChunks, readCompletion } from "./chat-answer.ts";
import { differenceOf } from "./difference.ts";
import { type ExchangePlan, isStream, statusOf } from "./exchange-plan.ts";
import { readMessage } from "./recorded-message.ts";
import type { Recording } from "./recording.ts";
import { readSse, type SseEvent } from "./sse-reading.ts";

/** What the client got. */
export interface ClientAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly text: string;
}

/** What is wrong with what the client got; undefined where nothing is. */
export function answerFault(plan: ExchangePlan, answer: ClientAnswer): string | undefined {
  const { recording } = plan;
  if (statusOf(recording) >= 400) return errorFault(plan, answer);
  if (isStream(recording)) return streamFault(plan, answer);
  const fault = headFault(answer, "application/json");
  if (fault !== undefined) return fault;
  if (plan.translated) return translationFault(() => readCompletion(objectOf(parseObject(answer.text))), recording);
  return differenceOf(parsed(answer.text), parsed(textOf(recording.response.body)), "answer");
}

function streamFault(plan: ExchangePlan, answer: ClientAnswer): string | undefined {
  const { recording } = plan;
  const recorded = readSse(textOf(recording.response.body));
  const failedAt = recorded.findIndex(isErrorEvent);
  const failure = recorded[failedAt];
  if (failure !== undefined && answer.status !== 200) {
    // The stream failed before anything else was in it: the answer may fail as a whole.
    return differenceOf(messageIn(parsed(answer.text)), messageIn(failure.data), "error message");
  }
  const fault = headFault(answer, "text/event-stream");
  if (fault !== undefined) return fault;
  if (!/(?:\r?\n){2}$/.test(answer.text)) return "the client's stream ends in the middle of an event";
  const events = readSse(answer.text);
  if (failure !== undefined) return brokenStreamFault(events, recorded.slice(0, failedAt), failure);
  if (plan.translated) return translationFault(() => readChunks(events), recording);
  return eventsFault(events, recorded);
}

/** A stream that broke off half-way must not look complete to the client, and must not hold anything that was not sent. */
export function breakFault({ recording, translated }: ExchangePlan, answer: ClientAnswer): string | undefined {
  if (answer.status >= 500) return messageIn(parsed(answer.text)) === "" ? "the failure has no message" : undefined;
  if (answer.status !== 200) return `status ${answer.status} of a broken stream: ${answer.text.slice(0, 300)}`;
  const events = readSse(answer.text);
  const last = events.at(-1);
  if (last === undefined || !isErrorEvent(last)) return "the client's stream does not end with an error";
  if (events.some(({ data }) => data === "[DONE]")) return "the stream looks complete";
  const before = events.slice(0, -1);
  const recorded = readSse(textOf(recording.response.body));
  return translated ? undefined : eventsFault(before, recorded.slice(0, Math.min(before.length, recorded.length - 1)));
}

/** What came before a failure is passed on, the failure is told, and nothing follows it. */
function brokenStreamFault(
  events: readonly SseEvent[],
  before: readonly SseEvent[],
  failure: SseEvent,
): string | undefined {
  const last = events.at(-1);
  if (last === undefined || !isErrorEvent(last)) return "the client's stream does not end with an error";
  return (
    eventsFault(events.slice(0, -1), before) ??
    differenceOf(messageIn(last.data), messageIn(failure.data), "error message")
  );
}

/** A complete stream that its provider ends without the closing mark gets it from the gateway. */
function eventsFault(events: readonly SseEvent[], recorded: readonly SseEvent[]): string | undefined {
  const asJson = (list: readonly SseEvent[]) => list.map(({ name, data }): JsonObject => ({ event: name, data }));
  const isMarked = events.length === recorded.length + 1 && events.at(-1)?.data === "[DONE]";
  const isEnded = recorded.some(({ data }) => objectsOf(objectOf(data).choices).some(hasFinishReason));
  const own = isMarked && isEnded ? events.slice(0, -1) : events;
  return differenceOf(asJson(own), asJson(recorded), "events");
}

const hasFinishReason = ({ finish_reason }: JsonObject) => typeof finish_reason === "string";

/** Whether an event says that the stream failed, in any of the dialects. */
export function isErrorEvent({ name, data }: SseEvent): boolean {
  const { error, type } = objectOf(isObject(data) ? data : {});
  return name === "error" || type === "error" || (error !== undefined && error !== null);
}

function headFault(answer: ClientAnswer, contentType: string): string | undefined {
  if (answer.status !== 200) return `status ${answer.status}: ${answer.text.slice(0, 300)}`;
  const [type] = answer.contentType.split(";", 1);
  return differenceOf(type ?? "", contentType, "content type");
}

/** Of a rejected credential the gateway says whose it was, so that nobody takes it for the client's own. */
function errorFault({ recording, upstream }: ExchangePlan, answer: ClientAnswer): string | undefined {
  const message = messageIn(parsed(answer.text));
  const recorded = messageIn(parsed(textOf(recording.response.body)));
  // Google calls a bad key a bad request.
  const status = recorded.startsWith("API key not valid") ? 401 : statusOf(recording);
  if (answer.status !== status) return `status ${answer.status} instead of ${status}: ${answer.text.slice(0, 300)}`;
  if (answer.status === 401 && message === `${upstream.id}: ${recorded}`) return undefined;
  return differenceOf(message, recorded, "error message");
}

/** The message of an error in any of the shapes that providers use. */
export function messageIn(value: JsonValue): string {
  const body = objectOf(isObject(value) ? value : {});
  const error = body.error ?? body;
  if (!isObject(error)) return textOf(error) || textOf(body.message);
  const details = [error.message, error.detail, body.message].flatMap((detail) =>
    Array.isArray(detail) ? objectsOf(listOf(detail)).map(({ msg }) => msg) : [detail],
  );
  return details.map(textOf).find((text) => text !== "") ?? "";
}

function translationFault(read: () => ReturnType<typeof readChunks>, recording: Recording): string | undefined {
  try {
    compareWithMessage(read(), readMessage(recording));
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** The JSON of a text, or the text itself. */
export function parsed(text: string): JsonValue {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
