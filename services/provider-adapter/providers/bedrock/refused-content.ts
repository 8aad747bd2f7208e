import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { JsonValue } from "../../provider.ts";
import { objectsOf, textOf } from "../../translate/json-reading.ts";

const refused = new Set(["input_audio", "audio_url", "video_url"]);

/** Refuses the parts of chat messages that no Converse block can be made of here. */
export function refuseContent(messages: JsonValue | undefined): void {
  for (const message of objectsOf(messages)) {
    const part = objectsOf(message.content).find(({ type }) => refused.has(textOf(type)));
    if (part === undefined) continue;
    throw gatewayError(Reason.INVALID_REQUEST, `Bedrock takes no content of type '${textOf(part.type)}'.`, {
      param: "messages",
    });
  }
}
