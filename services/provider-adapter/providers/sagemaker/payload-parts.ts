import { upstreamError } from "#chassis/errors.ts";
import { readEventStreamMessage } from "../../aws-eventstream.ts";
import { type AwsService, classifyAwsException } from "../aws-errors.ts";

/**
 * The bytes of a model's own stream that a frame carries; they may break off anywhere. Throws the error of `upstreamError`
 * where the frame is an exception.
 * https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_PayloadPart.html
 */
export function readPart(service: AwsService, frame: Uint8Array): Uint8Array {
  const message = readEventStreamMessage(frame);
  const kind = message.headers.get(":message-type");
  if (kind === "exception" || kind === "error") throw upstreamError(classifyAwsException(service, message));
  return message.headers.get(":event-type") === "PayloadPart" ? message.payload : new Uint8Array();
}
