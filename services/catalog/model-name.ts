/** A pattern for names, and what stands in their place, as `String.replace` takes it. */
export interface ModelSpelling {
  readonly match: RegExp;
  readonly to: string;
}

/** How a provider spells a model, or an address: the first pattern that fits is replaced. */
export function spellModel(spellings: readonly ModelSpelling[], model: string): string {
  const found = spellings.find(({ match }) => match.test(model));
  return found === undefined ? model : model.replace(found.match, found.to);
}
