/** Google's words for a failure. https://google.aip.dev/193, https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto */
const statuses: Readonly<Record<number, string>> = {
  400: "INVALID_ARGUMENT",
  401: "UNAUTHENTICATED",
  403: "PERMISSION_DENIED",
  404: "NOT_FOUND",
  408: "DEADLINE_EXCEEDED",
  409: "ALREADY_EXISTS",
  429: "RESOURCE_EXHAUSTED",
  499: "CANCELLED",
  500: "INTERNAL",
  501: "UNIMPLEMENTED",
  502: "UNAVAILABLE",
  503: "UNAVAILABLE",
  504: "DEADLINE_EXCEEDED",
  529: "UNAVAILABLE",
};

/** Words that tell more than the one above. A word of another status would contradict the one that is sent. */
const finer: Readonly<Record<number, readonly string[]>> = {
  400: ["FAILED_PRECONDITION", "OUT_OF_RANGE"],
  409: ["ABORTED"],
  500: ["DATA_LOSS", "UNKNOWN"],
};

/** What of a failure Google's clients are told. */
export interface GoogleFailure {
  readonly status: number;
  /** Taken for Google's word where it is one. */
  readonly type: string;
  readonly message: string;
  /** The member that is wrong; empty where none is named. */
  readonly param: string;
  readonly retryAfterMs: number | undefined;
  /** Members of the provider's own error object. */
  readonly extras: Readonly<Record<string, unknown>>;
}

/** The body of an error as Google's APIs send it: a status as number and word, and details of known types. */
export function googleErrorBody(failure: GoogleFailure): { readonly error: Record<string, unknown> } {
  const { status, type, message, extras } = failure;
  const plain = statuses[status] ?? (status < 500 ? "INVALID_ARGUMENT" : "INTERNAL");
  const word = finer[status]?.includes(type) === true ? type : plain;
  const error: Record<string, unknown> = { code: status, message, status: word };
  const details = Array.isArray(extras.details) ? extras.details : ownDetails(failure);
  if (details.length > 0) error.details = details;
  return { error };
}

/** https://github.com/googleapis/googleapis/blob/master/google/rpc/error_details.proto */
function ownDetails({ param, message, retryAfterMs }: GoogleFailure): Record<string, unknown>[] {
  const details: Record<string, unknown>[] = [];
  if (param !== "") {
    const fieldViolations = [{ field: param, description: message }];
    details.push({ "@type": "type.googleapis.com/google.rpc.BadRequest", fieldViolations });
  }
  if (retryAfterMs !== undefined) {
    const retryDelay = `${Math.ceil(retryAfterMs / 1000)}s`;
    details.push({ "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay });
  }
  return details;
}
