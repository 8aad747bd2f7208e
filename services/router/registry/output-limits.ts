import { compileGlob, type Glob, globMatch } from "./glob.ts";

/**
 * The most output tokens of one answer, for families whose maximum providers document as less than what is assumed of
 * others, or far more. The first pattern that fits wins. Newer and unlisted models fall to the configured default.
 * Sources: https://platform.openai.com/docs/models, https://docs.anthropic.com/en/docs/about-claude/models,
 * https://api-docs.deepseek.com/quick_start/pricing
 */
const families: readonly (readonly [pattern: string, tokens: number])[] = [
  ["gpt-3.5-turbo*", 4_096],
  ["gpt-4-turbo*", 4_096],
  ["gpt-4-*-preview", 4_096],
  ["gpt-4o-2024-05-13", 4_096],
  ["gpt-4o*", 16_384],
  ["gpt-4.1*", 32_768],
  ["gpt-4.5*", 16_384],
  ["gpt-4*", 8_192],
  ["gpt-5*", 128_000],
  ["o1-preview*", 32_768],
  ["o1-mini*", 65_536],
  ["o1*", 100_000],
  ["o3*", 100_000],
  ["o4*", 100_000],
  ["claude-3-opus*", 4_096],
  ["claude-3-sonnet*", 4_096],
  ["claude-3-haiku*", 4_096],
  ["claude-3-5*", 8_192],
  ["claude-3.5*", 8_192],
  ["claude-*", 32_000],
  ["deepseek-chat*", 8_192],
  ["deepseek-reasoner*", 32_768],
];

/** Looks up the documented output maximum of a model, by its name without a vendor prefix. */
export function createOutputLimits(): (model: string) => number | undefined {
  const rows: (readonly [Glob, number])[] = families.map(([pattern, tokens]) => [compileGlob(pattern), tokens]);
  return (model) => {
    const bare = model.slice(model.lastIndexOf("/") + 1).toLowerCase();
    return rows.find(([glob]) => globMatch(glob, bare) !== undefined)?.[1];
  };
}
