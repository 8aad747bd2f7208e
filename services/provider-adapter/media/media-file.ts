import { mediaTypeOfAddress } from "../translate/chat-to-gemini/media-type.ts";
import { registeredMediaType } from "../translate/registered-media-type.ts";

/** A file that was fetched for a call. */
export interface MediaFile {
  /** Its media type, without parameters. */
  readonly type: string;
  readonly bytes: Uint8Array;
}

/** What a place in a request may hold. */
export type MediaKind = "image" | "audio" | "video" | "file";

/** How well-known files begin, and where in the file it stands: what they say counts more than a server's word. */
const signatures: readonly { readonly at: number; readonly text: string; readonly type: string }[] = [
  { at: 0, text: "\x89PNG\r\n\x1a\n", type: "image/png" },
  { at: 0, text: "\xff\xd8\xff", type: "image/jpeg" },
  { at: 0, text: "GIF8", type: "image/gif" },
  { at: 8, text: "WEBP", type: "image/webp" },
  { at: 0, text: "%PDF-", type: "application/pdf" },
];

/** Types that servers send for files that they do not know. */
const saysNothing = new Set(["", "application/octet-stream", "binary/octet-stream", "application/binary"]);
const readable =
  /^(?:(?:image|audio|video|text)\/|application\/(?:pdf|json|msword|vnd\.ms-excel|vnd\.openxmlformats-officedocument\.))/;

/** The media type of a file: what its bytes say, else its server, else the ending of its address; empty where none tells. */
export function typeOfFile(bytes: Uint8Array, told: string, address: string): string {
  const head = Buffer.from(bytes.subarray(0, 16)).toString("latin1");
  const known = signatures.find(({ at, text }) => head.startsWith(text, at));
  if (known !== undefined) return known.type;
  return saysNothing.has(told) ? mediaTypeOfAddress(address, "") : registeredMediaType(told);
}

/** Whether a file of the type may stand where an image, a sound, a film or any file is asked for. */
export function fits(type: string, kind: MediaKind): boolean {
  return kind === "file" ? readable.test(type) : type.startsWith(`${kind}/`);
}
