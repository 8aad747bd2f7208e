import { gatewayError, upstreamError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { Exchange, JsonObject, Outcome, ProviderCall } from "../../provider.ts";
import { finishReasonOf } from "../../translate/finish-reason.ts";
import { decodeText, isObject, objectOf, parseObject, textOf } from "../../translate/json-reading.ts";
import { MessageUsage } from "../../translate/messages-to-chat/message-usage.ts";
import { converseToMessage } from "./answer.ts";
import { withBetas } from "./anthropic-betas.ts";
import { type BedrockModel, bedrockModel } from "./bedrock-model.ts";
import { brokenAnswer, classifyError } from "./classify-error.ts";
import { readEvent } from "./event-frames.ts";
import { novaBody, readNovaEvent } from "./nova-invoke.ts";
import { ConverseEvents } from "./stream.ts";
import { invokeHeaders, upstreamRequest } from "./upstream-request.ts";

/** Length of a delta's payload without its text and padding, and bytes of text for a token: for an aborted stream. */
const deltaEnvelope = 80;
const bytesPerToken = 4;

/** What a client dialect makes of a conversation with Bedrock. */
export interface ConverseDialect {
  readonly body: JsonObject;
  /** The client's body of a whole answer, given as an Anthropic message. */
  answer(message: JsonObject, usage: MessageUsage): JsonObject;
  /** Takes an event of a stream, an Anthropic one, after its usage was read. */
  push(event: JsonObject, out: Uint8Array[]): void;
  /** The payloads that close a stream. */
  finish(): Uint8Array[];
}

/** Makes a dialect for the client's parsed body. */
export type DialectMaker = (body: JsonObject, model: BedrockModel, usage: MessageUsage) => ConverseDialect;

/** A call over Converse, or of Nova over Invoke, in the client's dialect. */
export function createConverseExchange(call: ProviderCall, id: string, makeDialect: DialectMaker): Exchange {
  return new ConverseExchange(call, id, makeDialect);
}

class ConverseExchange implements Exchange {
  readonly request: Exchange["request"];
  readonly framing = "aws-eventstream";
  readonly #id: string;
  readonly #model: BedrockModel;
  readonly #dialect: ConverseDialect;
  readonly #usage = new MessageUsage();
  readonly #events: ConverseEvents;
  /** Nova speaks Converse's words over Invoke too. */
  readonly #invokes: boolean;
  #out: Uint8Array[] = [];
  #stopReason = "";
  #contentBytes = 0;
  #complete = false;

  constructor(call: ProviderCall, id: string, makeDialect: DialectMaker) {
    const body = parseObject(decodeText(call.body));
    if (body === undefined) throw gatewayError(Reason.INVALID_REQUEST, "The body has to be a JSON object.");
    this.#id = id;
    this.#model = bedrockModel(call.model);
    this.#dialect = makeDialect(body, this.#model, this.#usage);
    const converse = withBetas(this.#dialect.body, call.headers["anthropic-beta"], this.#model);
    this.#invokes = this.#model.api === "invoke";
    const bytes = Buffer.from(JSON.stringify(this.#invokes ? novaBody(converse) : converse));
    this.request = this.#invokes
      ? upstreamRequest(call, this.#model, "invoke", bytes, invokeHeaders(converse))
      : upstreamRequest(call, this.#model, "converse", bytes);
    this.#events = new ConverseEvents(id, this.#model.id, (event) => this.#take(event));
  }

  get progress(): "open" | "closing" | "closed" {
    return this.#events.progress;
  }

  decodeBody(body: Uint8Array): Uint8Array {
    const answer = parseObject(decodeText(body));
    if (answer === undefined || !isObject(objectOf(answer.output).message)) {
      if (textOf(answer?.__type) !== "") throw upstreamError(classifyError(500, {}, body));
      throw upstreamError(brokenAnswer("Bedrock's answer is not a message"));
    }
    const message = converseToMessage(answer, this.#id, this.#model.id);
    this.#usage.read(objectOf(message.usage));
    this.#stopReason = textOf(message.stop_reason);
    this.#contentBytes = body.length;
    this.#complete = isObject(answer.usage);
    return Buffer.from(JSON.stringify(this.#dialect.answer(message, this.#usage)));
  }

  decodeEvents(events: readonly Uint8Array[]): Uint8Array[] {
    this.#out = [];
    for (const frame of events) {
      const event = this.#invokes ? readNovaEvent(frame) : readEvent(frame);
      if (event === undefined) continue;
      const { type, payload, bytes } = event;
      if (type === "contentBlockDelta") {
        // `p` is padding that hides the length of the text.
        this.#contentBytes += Math.max(1, bytes - textOf(payload.p).length - deltaEnvelope);
      }
      this.#events.push(type, payload);
    }
    return this.#out;
  }

  finish(): Uint8Array[] {
    if (this.#events.progress === "open")
      throw upstreamError(brokenAnswer("Bedrock's stream ended before messageStop"));
    this.#out = [];
    this.#events.finish();
    // The usage comes behind the end; without it the output is estimated.
    this.#complete = this.#events.progress === "closed";
    return [...this.#out, ...this.#dialect.finish()];
  }

  outcome(): Outcome {
    return {
      usage: this.#usage.canonical(this.#complete ? undefined : Math.ceil(this.#contentBytes / bytesPerToken)),
      finishReason: finishReasonOf(this.#stopReason),
      responseModel: this.#model.id,
      responseId: this.#id,
    };
  }

  #take(event: JsonObject): void {
    if (event.type === "message_delta") {
      this.#usage.read(objectOf(event.usage));
      this.#stopReason = textOf(objectOf(event.delta).stop_reason);
    }
    this.#dialect.push(event, this.#out);
  }
}
