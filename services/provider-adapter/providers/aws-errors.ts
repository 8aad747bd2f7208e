import type { UpstreamErrorInit } from "#chassis/errors.ts";
import { UpstreamErrorKind } from "#gen/sluice/error/v1/error_pb.ts";
import type { EventStreamMessage } from "../aws-eventstream.ts";
import { decodeText, numberOf, parseObject, textOf } from "../translate/json-reading.ts";
import { retryAfterMsOf } from "./retry-after.ts";
import { kindOfStatus } from "./status-kind.ts";

/** A service of AWS: its provider's id, and its name as people know it. */
export interface AwsService {
  readonly id: string;
  readonly name: string;
}

/**
 * The HTTP status of every exception.
 * https://docs.aws.amazon.com/bedrock/latest/userguide/troubleshooting-api-error-codes.html,
 * https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpointWithResponseStream.html
 */
const statusOfException: Readonly<Record<string, number>> = {
  validationexception: 400,
  validationerror: 400,
  accessdeniedexception: 403,
  resourcenotfoundexception: 404,
  modeltimeoutexception: 408,
  modelerrorexception: 424,
  modelerror: 424,
  modelstreamerrorexception: 424,
  modelstreamerror: 424,
  throttlingexception: 429,
  modelnotreadyexception: 429,
  servicequotaexceededexception: 400,
  internalserverexception: 500,
  internalstreamfailure: 500,
  serviceunavailableexception: 503,
};

const kinds: Readonly<Record<number, UpstreamErrorKind>> = {
  ...kindOfStatus,
  424: UpstreamErrorKind.INTERNAL,
  500: UpstreamErrorKind.UNAVAILABLE,
};

/** What the text of a 400 tells beyond its status; the phrases are the services' and their models'. */
const phrases: readonly (readonly [RegExp, UpstreamErrorKind])[] = [
  [
    /too many (?:input )?tokens|(?:input|prompt) is too long|expected maxLength|input tokens exceed|exceeds? (?:the )?(?:context|maximum (?:length|number of tokens))|`inputs` (?:tokens \+ `max_new_tokens` )?must (?:be|have)/i,
    UpstreamErrorKind.CONTEXT_WINDOW,
  ],
  [/content filtering policy|blocked by (?:our )?(?:content|guardrail)/i, UpstreamErrorKind.CONTENT_POLICY],
];

/** AWS answers 403 both for keys that are no good and for what the keys may not do; the exception tells which. */
const badKeys =
  /InvalidSignature|UnrecognizedClient|ExpiredToken|IncompleteSignature|MissingAuthentication|InvalidClientToken|security token|Signature expired|API Key/i;

type Headers = Readonly<Record<string, string>>;

/** Reads a failed answer: `{"message"}` with the exception in `x-amzn-errortype`, or whatever a proxy sent. */
export function classifyAwsError(
  service: AwsService,
  answered: number,
  headers: Headers,
  body: Uint8Array,
): UpstreamErrorInit {
  const answer = parseObject(decodeText(body));
  const said =
    textOf(answer?.OriginalMessage) ||
    textOf(answer?.message) ||
    textOf(answer?.Message) ||
    textOf(answer?.errorMessage);
  const exception = exceptionName(headers["x-amzn-errortype"] ?? textOf(answer?.__type));
  const message = said || `${service.name} answered ${answered}`;
  const status = containerStatus(answered, numberOf(answer?.OriginalStatusCode));
  const kind = kindOf(status, exception, message);
  const retryAfterMs = retryAfterMsOf(headers);
  return {
    kind,
    httpStatus: kind === UpstreamErrorKind.AUTHENTICATION ? 401 : status,
    provider: service.id,
    retryable: isRetryable(status),
    message,
    code: exception,
    type: exception,
    body,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  };
}

/** Reads an exception that came as a message of a stream. */
export function classifyAwsException(service: AwsService, { headers, payload }: EventStreamMessage): UpstreamErrorInit {
  const exception = exceptionName(headers.get(":exception-type") ?? headers.get(":error-code") ?? "");
  const body = parseObject(decodeText(payload));
  const status = statusOfException[exception.toLowerCase()] ?? (numberOf(body?.originalStatusCode) || 500);
  const message = headers.get(":error-message") ?? "";
  const bytes = payload.length > 0 ? payload : Buffer.from(JSON.stringify({ message }));
  return classifyAwsError(service, status, { "x-amzn-errortype": exception }, bytes);
}

/** SageMaker says 424 for whatever a model's own server answered; what that refused would be refused again. */
function containerStatus(status: number, original: number): number {
  return status === 424 && original >= 400 && original < 500 ? original : status;
}

/** `com.amazon.coral.service#ValidationException:http://…` says ValidationException. */
function exceptionName(text: string): string {
  return (text.split(":", 1)[0] ?? "").split("#").at(-1)?.trim() ?? "";
}

function kindOf(status: number, exception: string, message: string): UpstreamErrorKind {
  if ((status === 403 || status === 400) && badKeys.test(`${exception} ${status === 403 ? message : ""}`)) {
    return UpstreamErrorKind.AUTHENTICATION;
  }
  if (status === 400 || status === 413 || status === 422) {
    return phrases.find(([phrase]) => phrase.test(message))?.[1] ?? kinds[status] ?? UpstreamErrorKind.BAD_REQUEST;
  }
  return kinds[status] ?? (status >= 500 ? UpstreamErrorKind.UNAVAILABLE : UpstreamErrorKind.BAD_REQUEST);
}

/** 424 is a model that failed to process the request, which it may do better the next time. */
function isRetryable(status: number): boolean {
  return status === 408 || status === 424 || status === 429 || status >= 500;
}
