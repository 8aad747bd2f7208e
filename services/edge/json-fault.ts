/** Longer texts are not looked through: it would keep everybody else waiting. */
const maxScanned = 1024 * 1024;
/** White space, then a punctuation mark, a number or literal, or the start of a string. */
const tokenPattern = /[ \t\r\n]*(?:([{}[\],:])|(-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)|("))/y;
const escapes = new Set(['"', "\\", "/", "b", "f", "n", "r", "t"]);

type Expected = "value" | "value or ]" | "name" | "name or }" | ":" | ", or ]" | ", or }" | "the end";

const inWords: Readonly<Record<Expected, string>> = {
  value: "a value",
  "value or ]": 'a value or "]"',
  name: "a name in double quotes",
  "name or }": 'a name in double quotes or "}"',
  ":": '":"',
  ", or ]": '"," or "]"',
  ", or }": '"," or "}"',
  "the end": "the end of the body",
};

/**
 * Says where a text stops being JSON, and what was expected there. JSON.parse names no place in most of its messages.
 * Called for texts that it has refused; uses no recursion, so that depth is no danger.
 */
export function findJsonFault(text: string): string {
  if (text.length > maxScanned) return "the body is not valid JSON.";
  const token = new RegExp(tokenPattern);
  const open: string[] = [];
  let expected: Expected = "value";
  let at = 0;
  for (;;) {
    token.lastIndex = at;
    const match = token.exec(text);
    if (match === null) return describe(text, at, expected);
    const [, mark, scalar] = match;
    const start = token.lastIndex - (mark ?? scalar ?? '"').length;
    at = token.lastIndex;
    if (mark === undefined && scalar === undefined) {
      const end = stringEnd(text, at);
      if (typeof end === "string") return end;
      at = end;
    }
    const next = advance(open, expected, mark, scalar !== undefined);
    if (next === undefined) return describe(text, start, expected);
    expected = next;
  }
}

/** What may follow the token, or undefined where the token may not stand. `open` holds the brackets not closed yet. */
function advance(open: string[], expected: Expected, mark: string | undefined, scalar: boolean): Expected | undefined {
  if (mark === undefined) {
    if (!scalar && (expected === "name" || expected === "name or }")) return ":";
    return expected === "value" || expected === "value or ]" ? afterValue(open) : undefined;
  }
  if (mark === "{" || mark === "[") {
    if (expected !== "value" && expected !== "value or ]") return undefined;
    open.push(mark);
    return mark === "{" ? "name or }" : "value or ]";
  }
  if (mark === ":") return expected === ":" ? "value" : undefined;
  if (mark === ",") return expected === ", or ]" ? "value" : expected === ", or }" ? "name" : undefined;
  if (!expected.endsWith(`or ${mark}`)) return undefined;
  open.pop();
  return afterValue(open);
}

function afterValue(open: readonly string[]): Expected {
  const inner = open.at(-1);
  if (inner === undefined) return "the end";
  return inner === "{" ? ", or }" : ", or ]";
}

/** The offset behind the closing quote, or what is wrong with the string. */
function stringEnd(text: string, from: number): number | string {
  for (let at = from; at < text.length; at += 1) {
    const character = text.charAt(at);
    if (character === '"') return at + 1;
    if (character < " ") return `unescaped control character in a string ${place(text, at)}`;
    if (character !== "\\") continue;
    at += 1;
    const escaped = text.charAt(at);
    if (escapes.has(escaped)) continue;
    if (escaped !== "u" || !/^[0-9a-fA-F]{4}$/.test(text.slice(at + 1, at + 5))) {
      return `bad escape in a string ${place(text, at - 1)}`;
    }
    at += 4;
  }
  return `the body ends inside a string that begins ${place(text, from - 1)}`;
}

function describe(text: string, from: number, expected: Expected): string {
  const at = from + (/^[ \t\r\n]*/.exec(text.slice(from))?.[0].length ?? 0);
  if (at >= text.length) return `the body ends where ${inWords[expected]} was expected ${place(text, at)}`;
  return `expected ${inWords[expected]} ${place(text, at)}`;
}

function place(text: string, at: number): string {
  const before = text.slice(0, at);
  const line = before.split("\n").length;
  return `at position ${at} (line ${line}, column ${at - before.lastIndexOf("\n")})`;
}
