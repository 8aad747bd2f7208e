import { spellModel } from "#catalog/model-name.ts";
import { withRootPath } from "#catalog/root-path.ts";
import { upstreamError } from "#chassis/errors.ts";
import { UpstreamErrorKind } from "#gen/sluice/error/v1/error_pb.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { ProviderCall } from "../../provider.ts";
import type { ProviderRow } from "./provider-row.ts";

/** The base address of a call. Throws where the provider has none of its own, or a setting that belongs there is missing. */
export function baseOf(row: ProviderRow, call: ProviderCall): string {
  if (call.baseUrl !== "") return withRootPath(spellModel(row.address_names, call.baseUrl), row.root_path);
  if (row.base_url === undefined) {
    const [variable] = row.base_url_variables;
    const remedy = variable === undefined ? "set api_base" : `set ${variable} or api_base`;
    throw notConfigured(row, `${row.id} has no address of its own: ${remedy}`);
  }
  return fill(row.base_url, (name) => settingOf(row, call, name));
}

/** A path below the base address, with the model's name where the path asks for it. */
export function pathFor(row: ProviderRow, call: ProviderCall, path: string, model: string): string {
  return fill(path, (name) => (name === "model" ? encodeURIComponent(model) : settingOf(row, call, name)));
}

/** The path of a chat model that has one of its own; undefined for every other. */
export function chatPathOf(row: ProviderRow, call: ProviderCall): string | undefined {
  if (call.operation !== Operation.CHAT_COMPLETIONS) return undefined;
  const own = row.chat_paths.find(({ models }) => models.test(call.model));
  return own === undefined ? undefined : call.model.replace(own.models, own.path);
}

/** An address of its own for ranks, with the model's name where it asks for it; the slashes of a name stay. */
export function rerankAddress(row: ProviderRow, call: ProviderCall, template: string): string {
  return fill(template, (name) => {
    if (name !== "model") return settingOf(row, call, name);
    const segments = call.model.split("/");
    if (!segments.every((segment) => /^[\w-][\w.:-]*$/.test(segment))) {
      throw notConfigured(row, `the model's name cannot be part of an address of ${row.id}`);
    }
    return segments.join("/");
  });
}

/** The headers of the row; one whose setting is missing is left out. */
export function rowHeaders(row: ProviderRow, call: ProviderCall, key: string): [string, string][] {
  const headers: [string, string][] = [];
  for (const header in row.headers) {
    let complete = true;
    const value = fill(row.headers[header] ?? "", (name) => {
      const part = headerPart(call, key, name);
      complete &&= part !== "";
      return part;
    });
    if (complete) headers.push([header, value]);
  }
  return headers;
}

/** What a user has to set before a call can be made. */
export function notConfigured(row: ProviderRow, message: string): Error {
  return upstreamError({
    kind: UpstreamErrorKind.AUTHENTICATION,
    httpStatus: 401,
    provider: row.id,
    retryable: false,
    message,
    type: "authentication_error",
    code: "invalid_api_key",
  });
}

const placeholder = /\{(\w+)\}/g;
const word = /^\w+$/;

function fill(template: string, value: (name: string) => string): string {
  if (!template.includes("{")) return template;
  // Most headers are one placeholder and nothing else.
  const inner = template.slice(1, -1);
  if (template.startsWith("{") && template.endsWith("}") && word.test(inner)) return value(inner);
  return template.replace(placeholder, (_, found: string) => value(found));
}

function headerPart(call: ProviderCall, key: string, name: string): string {
  return name === "api_key" ? key : (call.settings[name] ?? "");
}

/** A part of an address. What could lead to another host or path is refused. */
function settingOf(row: ProviderRow, call: ProviderCall, name: string): string {
  const value = call.settings[name] ?? "";
  if (value === "") {
    const variable = row.settings.find((setting) => setting.name === name)?.variables[0];
    throw notConfigured(
      row,
      `no ${name} for ${row.id}: set ${variable === undefined ? name : `${variable} or ${name}`}`,
    );
  }
  if (!/^[\w-][\w.-]*$/.test(value)) throw notConfigured(row, `the ${name} of ${row.id} cannot be part of an address`);
  return value;
}
