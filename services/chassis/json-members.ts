/** The bytes are no JSON object, as far as the scanner had to look. */
export class JsonObjectProblem extends Error {
  override readonly name = "JsonObjectProblem";
}

/** One member at the top of an object. Offsets count bytes; `end` points behind the last byte. */
export interface JsonMember {
  /** The name with its escapes resolved. */
  readonly name: string;
  /** Behind the `{` or `,` that precedes the member, before any white space. */
  readonly start: number;
  readonly valueStart: number;
  readonly valueEnd: number;
  /** At the `,` or `}` that follows the member, behind any white space. */
  readonly end: number;
}

/** An object whose members have been found. */
export interface ScannedObject {
  readonly bytes: Uint8Array;
  /** The bytes as a text of as many characters, so that its offsets are theirs. */
  readonly text: string;
  /** In the order of the input, duplicates included. */
  readonly members: readonly JsonMember[];
}

/** Changes to the top of an object. The values are JSON texts and are not checked. */
export interface JsonEdits {
  /** Replaces the value wherever the name stands, duplicates included; else appends the member. Wins over `remove`. */
  readonly set?: Readonly<Record<string, string>>;
  /** Appends the member if the name does not stand in the input; a `null` counts as standing there. */
  readonly setIfAbsent?: Readonly<Record<string, string>>;
  /** Takes the member out wherever the name stands. */
  readonly remove?: readonly string[];
}

const quote = 0x22;
const backslash = 0x5c;
const comma = 0x2c;
const colon = 0x3a;
const openBrace = 0x7b;
const closeBrace = 0x7d;
const openBracket = 0x5b;
const closeBracket = 0x5d;
const maxDepth = 10_000;
/** What makes a name more than its characters: an escape, or bytes that are not ASCII. */
const unusual = /[\\\x80-\xff]/;
const beyondAscii = /[\u0080-\uffff]/;
const scalar = /^(?:-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null)$/;

/**
 * Finds the members at the top of a JSON object without parsing it, in the order of the input, duplicates included (of
 * those the last one is the one `JSON.parse` takes). Names are compared after their escapes are resolved, so that no
 * spelling of a name escapes an edit. What lies inside a value is skipped by its strings and brackets and is not checked
 * further.
 *
 * @throws JsonObjectProblem where the input is not one JSON object with nothing but white space around it, or nests
 * deeper than 10,000 levels.
 */
export function scanObject(bytes: Uint8Array): ScannedObject {
  const members: JsonMember[] = [];
  const text = latin1Of(bytes);
  const scanned = { bytes, text, members };
  const opened = skipSpace(text, 0);
  if (text.charCodeAt(opened) !== openBrace) throw new JsonObjectProblem("expected a JSON object");
  let start = opened + 1;
  let at = skipSpace(text, start);
  if (text.charCodeAt(at) === closeBrace) {
    expectEnd(text, at + 1);
    return scanned;
  }
  for (;;) {
    const nameEnd = skipString(text, at);
    const afterName = skipSpace(text, nameEnd);
    if (text.charCodeAt(afterName) !== colon) throw new JsonObjectProblem(`expected ":" at byte ${afterName}`);
    const valueStart = skipSpace(text, afterName + 1);
    const valueEnd = skipValue(text, valueStart);
    const end = skipSpace(text, valueEnd);
    members.push({ name: readName(text, at, nameEnd), start, valueStart, valueEnd, end });
    const code = text.charCodeAt(end);
    if (code === closeBrace) {
      expectEnd(text, end + 1);
      return scanned;
    }
    if (code !== comma) throw new JsonObjectProblem(`expected "," or "}" at byte ${end}`);
    start = end + 1;
    at = skipSpace(text, start);
  }
}

/** The members alone; throws as `scanObject` does. */
export function findMembers(bytes: Uint8Array): readonly JsonMember[] {
  return scanObject(bytes).members;
}

/**
 * Edits the top of a JSON object by splicing. Every byte that no edit touches stays as it is: order, white space, big
 * numbers, unknown members. New members come last. Returns the input itself where nothing changes.
 *
 * @throws JsonObjectProblem as `scanObject` does.
 */
export function editJson(bytes: Uint8Array, edits: JsonEdits): Uint8Array {
  return editMembers(scanObject(bytes), edits);
}

/** `editJson` for a caller that has found the members already: the input is not scanned a second time. */
export function editMembers({ bytes, text, members }: ScannedObject, edits: JsonEdits): Uint8Array {
  const { set = {}, setIfAbsent = {}, remove = [] } = edits;
  const splice = new Splice(text, members[0]?.start ?? text.indexOf("{") + 1);
  for (const member of members) {
    if (Object.hasOwn(set, member.name)) splice.replace(member, set[member.name] ?? "null");
    else if (remove.includes(member.name)) splice.drop();
    else splice.keep(member);
  }
  for (const name in set) {
    if (findMember(members, name) === undefined) splice.append(name, set[name]);
  }
  for (const name in setIfAbsent) {
    if (Object.hasOwn(set, name) || findMember(members, name) !== undefined) continue;
    splice.append(name, setIfAbsent[name]);
  }
  const edited = splice.finish(members.at(-1)?.end);
  return edited === undefined ? bytes : Buffer.from(edited, "latin1");
}

/** The member of that name that `JSON.parse` takes: the last one. */
export function findMember(members: readonly JsonMember[], name: string): JsonMember | undefined {
  for (let at = members.length - 1; at >= 0; at -= 1) {
    const member = members[at];
    if (member?.name === name) return member;
  }
  return undefined;
}

/** The JSON text of a member's value. */
export function memberText({ text }: ScannedObject, { valueStart, valueEnd }: JsonMember): string {
  return fromLatin1(text.slice(valueStart, valueEnd));
}

/** Puts an edited object together from ranges of the input, as long as possible, and new texts between them. */
class Splice {
  readonly #text: string;
  /** What is before the range; undefined as long as nothing changes. */
  #done: string | undefined;
  /** The range that is being extended. */
  #from = 0;
  #to: number;
  #empty = true;
  #gap = false;

  /** `opened` is the offset behind the opening brace. */
  constructor(text: string, opened: number) {
    this.#text = text;
    this.#to = opened;
  }

  keep(member: JsonMember): void {
    this.#place(member);
    this.#to = member.valueEnd;
  }

  replace(member: JsonMember, value: string): void {
    const { valueStart, valueEnd } = member;
    const text = asLatin1(value);
    this.#place(member);
    this.#to = valueStart;
    // A name is mostly replaced by itself.
    if (text.length === valueEnd - valueStart && this.#text.startsWith(text, valueStart)) this.#to = valueEnd;
    else this.#insert(text, valueEnd);
  }

  drop(): void {
    this.#gap = true;
  }

  append(name: string, value: string | undefined): void {
    this.#insert(asLatin1(`${this.#empty ? "" : ","}${JSON.stringify(name)}:${value}`), this.#to);
    this.#empty = false;
  }

  /** `closed` is where the last member of the input ends; the closing brace is there. Undefined where nothing changes. */
  finish(closed: number | undefined): string | undefined {
    if (this.#gap && closed !== undefined) this.#insert("", closed);
    return this.#done === undefined ? undefined : this.#done + this.#text.slice(this.#from);
  }

  /** Goes on to a member that stays. Behind a gap the comma before it may be missing. */
  #place(member: JsonMember): void {
    if (this.#gap) this.#insert(this.#empty ? "" : ",", member.start);
    this.#gap = false;
    this.#empty = false;
  }

  /** Ends the range, adds a text, and begins a new range. */
  #insert(text: string, next: number): void {
    this.#done = (this.#done ?? "") + this.#text.slice(this.#from, this.#to) + text;
    this.#from = next;
    this.#to = next;
  }
}

/** The UTF-8 bytes of a text, one character each. */
function asLatin1(text: string): string {
  return beyondAscii.test(text) ? Buffer.from(text).toString("latin1") : text;
}

function fromLatin1(text: string): string {
  return beyondAscii.test(text) ? Buffer.from(text, "latin1").toString() : text;
}

/**
 * The bytes as a text of as many characters, so that its offsets are theirs: searching a text is several times faster than
 * looking at every byte.
 */
function latin1Of(bytes: Uint8Array): string {
  const { buffer, byteOffset, byteLength } = bytes;
  return (Buffer.isBuffer(bytes) ? bytes : Buffer.from(buffer, byteOffset, byteLength)).toString("latin1");
}

function readName(text: string, start: number, end: number): string {
  const name = text.slice(start + 1, end - 1);
  if (!unusual.test(name)) return name;
  const decoded = Buffer.from(name, "latin1").toString();
  if (!decoded.includes("\\")) return decoded;
  try {
    return String(JSON.parse(`"${decoded}"`));
  } catch {
    throw new JsonObjectProblem(`malformed name at byte ${start}`);
  }
}

function expectEnd(text: string, from: number): void {
  const end = skipSpace(text, from);
  if (end !== text.length) throw new JsonObjectProblem(`expected the end of the input at byte ${end}`);
}

function skipSpace(text: string, from: number): number {
  let at = from;
  for (;;) {
    const code = text.charCodeAt(at);
    if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return at;
    at += 1;
  }
}

function skipValue(text: string, start: number): number {
  const first = text.charCodeAt(start);
  if (first === quote) return skipString(text, start);
  if (first === openBrace || first === openBracket) return skipNested(text, start);
  let end = start;
  while (isScalarCode(text.charCodeAt(end))) end += 1;
  if (!scalar.test(text.slice(start, end))) throw new JsonObjectProblem(`expected a value at byte ${start}`);
  return end;
}

/** Letters, digits and `+-.`: what numbers and literals are made of. */
function isScalarCode(code: number): boolean {
  return (code >= 0x30 && code <= 0x39) || (code >= 0x61 && code <= 0x7a) || code === 0x45 || isSignOrDot(code);
}

function isSignOrDot(code: number): boolean {
  return code === 0x2b || code === 0x2d || code === 0x2e;
}

function skipNested(text: string, start: number): number {
  const closers: number[] = [];
  const { length } = text;
  let at = start;
  while (at < length) {
    const code = text.charCodeAt(at);
    if (code === quote) {
      at = skipString(text, at);
      continue;
    }
    at += 1;
    // The four brackets share these bits with few other characters: one test instead of four for nearly every one.
    if ((code & 0xd9) !== 0x59) continue;
    if (code === openBrace || code === openBracket) {
      if (closers.length === maxDepth) throw new JsonObjectProblem("the JSON nests too deeply");
      closers.push(code === openBrace ? closeBrace : closeBracket);
    } else if (code === closeBrace || code === closeBracket) {
      if (closers.pop() !== code) throw new JsonObjectProblem(`unexpected bracket at byte ${at - 1}`);
      if (closers.length === 0) return at;
    }
  }
  throw new JsonObjectProblem("the JSON ends inside a value");
}

/** Returns the offset behind the closing quote: the first one with an even number of backslashes before it. */
function skipString(text: string, start: number): number {
  if (text.charCodeAt(start) !== quote) throw new JsonObjectProblem(`expected a string at byte ${start}`);
  for (let at = text.indexOf('"', start + 1); at !== -1; at = text.indexOf('"', at + 1)) {
    let before = at - 1;
    while (text.charCodeAt(before) === backslash) before -= 1;
    if ((at - before) % 2 === 1) return at + 1;
  }
  throw new JsonObjectProblem("the JSON ends inside a string");
}
