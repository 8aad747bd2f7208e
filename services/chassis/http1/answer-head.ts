import { malformed } from "./http-error.ts";

/** Names in small letters; several values of one name joined by commas. It has no prototype: any name may come. */
export type AnswerHeaders = Readonly<Record<string, string>>;

/** The head of an answer. */
export interface AnswerHead {
  /** 0 or 1: what follows the dot of HTTP/1. */
  readonly minorVersion: number;
  readonly status: number;
  readonly headers: AnswerHeaders;
}

/** How long a body is: so many bytes, in chunks, or all that comes until the connection ends. */
export type BodyLength = number | "chunked" | "until-close";

/** RFC 9110, section 5.6.2: what a method or the name of a field is made of. */
export const tokenPattern = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/**
 * A carriage return or line feed by itself reads as the end of a line to some, and NUL as the end of a text: whoever stands in
 * between would see other fields than we do (RFC 9112, section 2.2, and RFC 9110, section 5.5). No other control character but
 * the tab is part of a field either, and none could be handed on to a client.
 */
const lines = /^(?:[\t\x20-\x7e\x80-\xff]*\r\n)*$/;
const space = 0x20;
const tab = 0x09;
const digit0 = 0x30;
const maxNames = 1000;
const maxNameLength = 64;

/** Reads heads. It remembers the names of fields, which are the same from answer to answer. */
export class HeadReader {
  #names: Record<string, string> = Object.create(null);
  #count = 0;

  /** `text`: the head in Latin-1, each line with its end, without the empty line behind them. */
  read(text: string): AnswerHead {
    if (!lines.test(text)) throw malformed("the head has a control character");
    const lineEnd = text.indexOf("\r\n");
    const minorVersion = text.charCodeAt(7) - digit0;
    const status = statusOf(text);
    const after = text.charCodeAt(12);
    const isStatusLine =
      text.startsWith("HTTP/1.") &&
      (minorVersion === 0 || minorVersion === 1) &&
      text.charCodeAt(8) === space &&
      status >= 100 &&
      (lineEnd === 12 || after === space);
    if (!isStatusLine) throw malformed("the answer has no status line of HTTP/1");
    return { minorVersion, status, headers: this.#fields(text, lineEnd + 2) };
  }

  #fields(text: string, start: number): AnswerHeaders {
    const fields: Record<string, string> = Object.create(null);
    for (let at = start; at < text.length; ) {
      const lineEnd = text.indexOf("\r\n", at);
      const nameEnd = text.indexOf(":", at);
      // A line that goes on the one before has no name either: section 5.2 of RFC 9112 lets it be refused.
      if (nameEnd === -1 || nameEnd > lineEnd) throw malformed("the head has a line without a name");
      const name = this.#name(text.slice(at, nameEnd));
      const value = trimmed(text, nameEnd + 1, lineEnd);
      const earlier = fields[name];
      fields[name] = earlier === undefined ? value : `${earlier}, ${value}`;
      at = lineEnd + 2;
    }
    return fields;
  }

  /** In small letters. Space before the colon is no part of a token, and would hide a field from others. */
  #name(written: string): string {
    const known = this.#names[written];
    if (known !== undefined) return known;
    if (!tokenPattern.test(written)) throw malformed("the head has a name that is none");
    const name = written.toLowerCase();
    if (written.length > maxNameLength) return name;
    if (this.#count >= maxNames) {
      this.#names = Object.create(null);
      this.#count = 0;
    }
    this.#count += 1;
    this.#names[written] = name;
    return name;
  }
}

/** Three digits, or -1. */
function statusOf(text: string): number {
  let status = 0;
  for (let at = 9; at < 12; at += 1) {
    const digit = text.charCodeAt(at) - digit0;
    if (!(digit >= 0 && digit <= 9)) return -1;
    status = status * 10 + digit;
  }
  return status;
}

function trimmed(text: string, start: number, end: number): string {
  let from = start;
  let to = end;
  while (from < to && isBlank(text.charCodeAt(from))) from += 1;
  while (to > from && isBlank(text.charCodeAt(to - 1))) to -= 1;
  return text.slice(from, to);
}

function isBlank(code: number): boolean {
  return code === space || code === tab;
}

/**
 * How long the body behind a head is, RFC 9112, section 6.3. Where whoever stands in between could see another end than we do,
 * the answer is refused.
 */
export function bodyLength({ status, headers }: AnswerHead, method: string): BodyLength {
  if (method === "HEAD" || status === 204 || status === 304) return 0;
  const coding = headers["transfer-encoding"];
  if (coding !== undefined) {
    if (coding.toLowerCase() !== "chunked") throw malformed("the answer has an unknown transfer coding");
    return "chunked";
  }
  const length = headers["content-length"];
  if (length === undefined) return "until-close";
  const first = length.includes(",") ? onlyOf(length) : length;
  if (!/^\d{1,15}$/.test(first)) throw malformed("the answer's length is no number");
  return Number(first);
}

/** Of values that were repeated. */
function onlyOf(lengths: string): string {
  const values = new Set(lengths.split(",").map((value) => value.trim()));
  const [first = ""] = values;
  if (values.size !== 1) throw malformed("the answer has several lengths");
  return first;
}

/**
 * Whether the connection may be used again behind this answer, if it has an end of its own. Section 6.1 forbids it for chunks
 * from HTTP/1.0 and for chunks with a length: somebody has misread the answer on its way.
 */
export function staysOpen({ minorVersion, headers }: AnswerHead): boolean {
  const { connection } = headers;
  const isChunked = headers["transfer-encoding"] !== undefined;
  if (isChunked && (minorVersion === 0 || headers["content-length"] !== undefined)) return false;
  if (connection === undefined) return minorVersion === 1;
  return minorVersion === 1 ? !closeOption.test(connection) : keepAliveOption.test(connection);
}

const closeOption = /(?:^|,)[\t ]*close[\t ]*(?:,|$)/i;
const keepAliveOption = /^[\t ]*keep-alive[\t ]*$/i;

/** For how long the server keeps an idle connection, in milliseconds, where it says so. */
export function keepAliveMs({ headers }: AnswerHead): number | undefined {
  const hint = headers["keep-alive"];
  if (hint === undefined) return undefined;
  const seconds = /(?:^|[,\s])timeout\s*=\s*"?(\d{1,6})/i.exec(hint)?.[1];
  return seconds === undefined ? undefined : Number(seconds) * 1000;
}
