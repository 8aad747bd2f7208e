/** A pattern in which `*` stands for any text, also for none. */
export interface Glob {
  /** The literal texts around the stars: one more than there are stars. */
  readonly pieces: readonly string[];
}

export function compileGlob(pattern: string): Glob {
  return { pieces: pattern.split("*") };
}

/** Matches a whole name; returns what each star stood for, undefined where the name does not match. */
export function globMatch({ pieces }: Glob, name: string): string[] | undefined {
  const first = pieces[0] ?? "";
  const last = pieces[pieces.length - 1] ?? "";
  if (pieces.length === 1) return name === first ? [] : undefined;
  if (name.length < first.length + last.length || !name.startsWith(first) || !name.endsWith(last)) return undefined;
  const captures: string[] = [];
  const end = name.length - last.length;
  let at = first.length;
  for (let index = 1; index < pieces.length - 1; index++) {
    const piece = pieces[index] ?? "";
    const found = name.indexOf(piece, at);
    if (found < 0 || found + piece.length > end) return undefined;
    captures.push(name.slice(at, found));
    at = found + piece.length;
  }
  captures.push(name.slice(at, end));
  return captures;
}

/** Puts captures in the place of the stars of a text. Stars beyond the captures take the last one. */
export function substitute(text: string, captures: readonly string[]): string {
  let next = 0;
  return text.replaceAll("*", () => captures[Math.min(next++, captures.length - 1)] ?? "*");
}

/** How specific a pattern is: more literal text first, then fewer stars. Larger is more specific. */
export function specificity({ pieces }: Glob): number {
  return pieces.reduce((sum, piece) => sum + piece.length, 0) * 100 - pieces.length;
}
