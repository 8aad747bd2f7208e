/**
 * What the generations of Gemini accept. Sources: https://ai.google.dev/gemini-api/docs/thinking,
 * https://ai.google.dev/gemini-api/docs/thought-signatures, https://ai.google.dev/gemini-api/docs/function-calling. A
 * generation is told from the model's name, so that a new model of a known generation needs no new row.
 */
export interface GeminiModel {
  /** How thinking is steered: by a token budget (2.5), or by a level (3 and later). */
  readonly thinking: "none" | "budget" | "level";
  /** The least budget that is no request to switch thinking off. */
  readonly leastBudget: number;
  /** Whether a budget of 0 switches thinking off. */
  readonly canDisableThinking: boolean;
  /** Whether `minimal` is a level. */
  readonly minimalLevel: boolean;
  /** Whether a function call that is sent back has to carry the signature of the thought behind it. */
  readonly wantsSignatures: boolean;
  /** Whether a function's result may hold images and files. */
  readonly mediaInResults: boolean;
}

/** The facts of a model by its name; of an unknown name, those of 2.5, which later generations understand. */
export function geminiModel(name: string): GeminiModel {
  const version = geminiVersion(name);
  const pro = name.includes("pro");
  return {
    thinking: thinkingOf(version, name),
    leastBudget: name.includes("lite") ? 512 : 128,
    canDisableThinking: !pro,
    minimalLevel: !pro,
    wantsSignatures: version >= 300,
    mediaInResults: version >= 300,
  };
}

function thinkingOf(version: number, name: string): GeminiModel["thinking"] {
  if (version >= 300) return "level";
  if (name.includes("gemma") || name.includes("learnlm")) return "none";
  return version === 0 || version >= 205 || name.includes("thinking") ? "budget" : "none";
}

/** 100 × major + minor: 205 for `gemini-2.5-flash`, 300 for `gemini-3-pro-preview`; 0 for an unknown name. */
function geminiVersion(name: string): number {
  const found = /gemini-(\d{1,2})(?:\.(\d{1,2}))?(?![\d.])/.exec(name);
  return found === null ? 0 : Number(found[1]) * 100 + Number(found[2] ?? 0);
}
