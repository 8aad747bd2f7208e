const everyModel = "all-proxy-models";

/** Whether a right, a model's name or a pattern in which `*` stands for any text, covers a name. */
export function matchesModel(right: string, name: string): boolean {
  if (right === name || right === everyModel) return true;
  const [first = "", ...rest] = right.split("*");
  const last = rest.pop();
  if (last === undefined || !name.startsWith(first) || name.length < first.length + last.length) return false;
  const end = name.length - last.length;
  let at = first.length;
  for (const piece of rest) {
    const found = name.indexOf(piece, at);
    if (found < 0 || found + piece.length > end) return false;
    at = found + piece.length;
  }
  return name.endsWith(last);
}
