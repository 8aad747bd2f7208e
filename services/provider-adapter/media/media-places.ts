import type { JsonObject, JsonValue } from "../provider.ts";
import { decodeText, isObject, objectOf, objectsOf, textOf } from "../translate/json-reading.ts";
import type { MediaFile, MediaKind } from "./media-file.ts";

/** A place in a request at which a web address stands for a file. */
export interface MediaPlace {
  readonly address: string;
  readonly kind: MediaKind;
  /** Puts the file where its address stood. */
  fill(file: MediaFile): void;
}

/**
 * The places of a request, whatever dialect it is in: contents of a chat's `messages`, blocks of Anthropic's, parts of
 * Google's `contents`, and what lies in the results of tools. Filling one changes the request.
 */
export function mediaPlaces(request: JsonObject): MediaPlace[] {
  const contents = [
    ...objectsOf(request.messages).map(({ content }) => content),
    ...objectsOf(request.contents).map(({ parts }) => parts),
    objectOf(request.contents).parts,
  ];
  return contents.flatMap(placesIn);
}

function placesIn(content: JsonValue | undefined): MediaPlace[] {
  return objectsOf(content).flatMap((part) => [...(placeOf(part) ?? []), ...placesIn(part.content)]);
}

function placeOf(part: JsonObject): MediaPlace[] | undefined {
  const type = textOf(part.type);
  const kind = urlMembers[type];
  if (kind !== undefined) return urlPlace(part, type, kind);
  if (type === "file" && isObject(part.file)) return filePlace(part.file);
  if ((type === "image" || type === "document") && isObject(part.source)) return sourcePlace(part, part.source);
  for (const [from, to] of googleMembers) {
    const given = part[from];
    if (isObject(given)) return googlePlace(part, given, from, to);
  }
  return undefined;
}

/** The parts of a chat that are called as the member that holds the address. */
const urlMembers: Readonly<Record<string, MediaKind>> = {
  image_url: "image",
  audio_url: "audio",
  video_url: "video",
  document_url: "file",
};

/** A chat's `{type: "image_url", image_url: {url}}`, or the address alone. */
function urlPlace(part: JsonObject, member: string, kind: MediaKind): MediaPlace[] {
  const value = part[member];
  if (isObject(value)) return place(value.url, kind, (file) => Object.assign(value, { url: dataUrl(file) }));
  return place(value, kind, (file) => Object.assign(part, { [member]: dataUrl(file) }));
}

/** A chat's `file`, which LiteLLM's users give an address as its id or its data. */
function filePlace(file: JsonObject): MediaPlace[] {
  const address = isWebAddress(file.file_data) ? file.file_data : file.file_id;
  return place(address, "file", (found) => {
    delete file.file_id;
    file.file_data = dataUrl(found);
    file.filename ??= nameOf(textOf(address));
  });
}

/** Anthropic's blocks, https://platform.claude.com/docs/en/api/messages: texts are not in base64. */
function sourcePlace(part: JsonObject, source: JsonObject): MediaPlace[] {
  if (source.type !== "url") return [];
  const kind = part.type === "image" ? "image" : "file";
  return place(source.url, kind, (file) => {
    const isText = kind === "file" && file.type.startsWith("text/");
    part.source = isText
      ? { type: "text", media_type: "text/plain", data: decodeText(file.bytes) }
      : { type: "base64", media_type: file.type, data: base64(file) };
  });
}

/** Google's parts, in both spellings that its clients use. https://ai.google.dev/api/caching#Part */
const googleMembers = [
  ["fileData", "inlineData"],
  ["file_data", "inline_data"],
] as const;

function googlePlace(part: JsonObject, given: JsonObject, from: string, to: string): MediaPlace[] {
  return place(given.fileUri ?? given.file_uri, "file", (file) => {
    delete part[from];
    part[to] = { [from === "fileData" ? "mimeType" : "mime_type"]: file.type, data: base64(file) };
  });
}

function place(address: JsonValue | undefined, kind: MediaKind, fill: (file: MediaFile) => void): MediaPlace[] {
  return isWebAddress(address) ? [{ address, kind, fill }] : [];
}

function isWebAddress(value: JsonValue | undefined): value is string {
  return typeof value === "string" && /^https?:\/\//i.test(value);
}

function dataUrl(file: MediaFile): string {
  return `data:${file.type};base64,${base64(file)}`;
}

function base64({ bytes }: MediaFile): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
}

/** What stands last in the path of an address. */
function nameOf(address: string): string {
  return URL.parse(address)?.pathname.split("/").at(-1) || "document";
}
