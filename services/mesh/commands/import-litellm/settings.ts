import { type DescMessage, isMessage, type JsonObject, type JsonValue, type MessageShape } from "@bufbuild/protobuf";
import { ConnectError } from "@connectrpc/connect";
import { findGatewayError } from "#chassis/errors.ts";
import { checkBounds } from "#chassis/request-bounds.ts";
import { readMessage } from "../../../edge/rest/read-message.ts";
import { type Left, objectOf } from "./fields.ts";

/** Settings as they are here, and the fields that they could not be read from. */
export interface ReadSettings<M> {
  readonly settings: M;
  readonly left: readonly Left[];
}

/**
 * Reads settings as the admin API reads them: LiteLLM's columns have the names of its API's fields. A value that the API
 * would refuse is left out, and said.
 *
 * @param check What the API checks of the whole; it may change the settings, and throws as the API does.
 */
export function readSettings<D extends DescMessage>(
  schema: D,
  input: JsonObject,
  check: (settings: MessageShape<D>) => MessageShape<D> = (settings) => settings,
): ReadSettings<MessageShape<D>> {
  const rest: JsonObject = Object.fromEntries(Object.entries(input).filter(([, value]) => !isEmptyObject(value)));
  const left: Left[] = [];
  for (;;) {
    const fault = tryRead(schema, rest, check);
    if ("settings" in fault) return { settings: fault.settings, left };
    for (const { field, reason } of faultsOf(schema, rest, check, fault)) {
      delete rest[field];
      left.push({ field, reason });
    }
  }
}

/** An empty list or map says nothing. */
function isEmptyObject(value: JsonValue): boolean {
  return typeof value === "object" && value !== null && Object.keys(value).length === 0;
}

type Attempt<M> = { readonly settings: M } | { readonly field: string; readonly reason: string };

function tryRead<D extends DescMessage>(
  schema: D,
  input: JsonObject,
  check: (settings: MessageShape<D>) => MessageShape<D>,
): Attempt<MessageShape<D>> {
  try {
    const message = readMessage(schema, input);
    checkBounds(schema, message);
    if (!isMessage(message, schema)) throw new TypeError(`no ${schema.typeName}`);
    return { settings: check(message) };
  } catch (error) {
    if (!(error instanceof ConnectError)) throw error;
    return { field: findGatewayError(error)?.param ?? "", reason: error.rawMessage };
  }
}

/** The fields at fault: the one that the complaint names, else those that are wrong by themselves or in the way. */
function faultsOf<D extends DescMessage>(
  schema: D,
  input: JsonObject,
  check: (settings: MessageShape<D>) => MessageShape<D>,
  { field, reason }: Left,
): Left[] {
  if (Object.hasOwn(input, field)) return [{ field, reason }];
  const names = Object.keys(input);
  const alone = names.flatMap((name) => {
    const attempt = tryRead(schema, { [name]: input[name] ?? null }, (settings) => settings);
    return "settings" in attempt ? [] : [{ field: name, reason: attempt.reason }];
  });
  if (alone.length > 0) return alone;
  const inTheWay = names.find((name) => "settings" in tryRead(schema, { ...input, [name]: null }, check));
  return (inTheWay === undefined ? names : [inTheWay]).map((name) => ({ field: name, reason }));
}

/** LiteLLM's limits of single models in one form: a number alone is a budget. */
export function modelBudgets(value: JsonValue | undefined): JsonObject {
  return Object.fromEntries(
    Object.entries(objectOf(value)).map(([model, limit]) => [
      model,
      typeof limit === "number" ? { budget_limit: limit } : limit,
    ]),
  );
}
