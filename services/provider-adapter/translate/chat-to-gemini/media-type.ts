/** Media types by the ending of a file's name; Gemini wants one for everything that it fetches. */
const byEnding: Readonly<Record<string, string>> = {
  aac: "audio/aac",
  aiff: "audio/aiff",
  avi: "video/avi",
  bmp: "image/bmp",
  csv: "text/csv",
  flac: "audio/flac",
  gif: "image/gif",
  heic: "image/heic",
  heif: "image/heif",
  htm: "text/html",
  html: "text/html",
  jpeg: "image/jpeg",
  jpg: "image/jpeg",
  json: "application/json",
  m4a: "audio/m4a",
  md: "text/markdown",
  mov: "video/mov",
  mp3: "audio/mpeg",
  mp4: "video/mp4",
  mpeg: "video/mpeg",
  mpg: "video/mpeg",
  ogg: "audio/ogg",
  pdf: "application/pdf",
  png: "image/png",
  txt: "text/plain",
  wav: "audio/wav",
  webm: "video/webm",
  webp: "image/webp",
  wmv: "video/wmv",
  xml: "text/xml",
};

/** The media type of an address by its ending; the given one where it tells nothing. YouTube's addresses are videos. */
export function mediaTypeOfAddress(address: string, otherwise: string): string {
  if (/^https?:\/\/(?:www\.|m\.)?(?:youtube\.com|youtu\.be)\//i.test(address)) return "video/mp4";
  const path = address.split(/[?#]/, 1)[0] ?? "";
  const ending = /\.([a-z0-9]+)$/i.exec(path)?.[1]?.toLowerCase() ?? "";
  return Object.hasOwn(byEnding, ending) ? (byEnding[ending] ?? otherwise) : otherwise;
}

/** The media type of an audio format as OpenAI names it (`wav`, `mp3`). */
export function audioMediaType(format: string): string {
  const known = Object.hasOwn(byEnding, format) ? (byEnding[format] ?? "") : "";
  return known.startsWith("audio/") ? known : `audio/${format === "" ? "wav" : format}`;
}
