/**
 * What the generations of Claude accept. Sources: https://platform.claude.com/docs/en/about-claude/models/overview,
 * …/build-with-claude/thinking-troubleshooting (thinking), …/build-with-claude/structured-outputs. A generation is told
 * from the model's name by its version, so that a new model of a known generation needs no new row.
 */
export interface ClaudeModel {
  /**
   * The output limit used where the client sets none, because Anthropic requires one: the most the generation can
   * write, but not above 64,000 tokens, and for older models, which refuse a call whose input and limit together exceed
   * the context window, not above 32,000.
   */
  readonly defaultMaxTokens: number;
  /** How thinking is switched on: by a token budget, or adaptively with an effort. */
  readonly thinking: "none" | "budget" | "adaptive";
  /** Whether the model thinks unasked: forced tools are refused then. */
  readonly thinksByDefault: boolean;
  /** Whether thinking can be switched off by `thinking: {"type": "disabled"}`. */
  readonly canDisableThinking: boolean;
  /** Whether `xhigh` is an effort. */
  readonly extraHighEffort: boolean;
  /** Whether thinking text comes only where `display: "summarized"` asks for it. */
  readonly hidesThinking: boolean;
  /** Whether `output_config.format` and strict tools exist. */
  readonly structuredOutputs: boolean;
  /** Whether temperature, top_p and top_k are refused. */
  readonly refusesSampling: boolean;
}

/** The facts of a model by its name; of an unknown name, what the oldest API understands. */
export function claudeModel(name: string): ClaudeModel {
  const version = claudeVersion(name);
  return {
    defaultMaxTokens: defaultMaxTokens(version),
    thinking: thinkingOf(version),
    thinksByDefault: version >= 500,
    canDisableThinking: version < 500 || /sonnet|haiku/.test(name),
    extraHighEffort: version >= 407,
    hidesThinking: version >= 407,
    structuredOutputs: version >= 405,
    refusesSampling: version >= 407,
  };
}

function defaultMaxTokens(version: number): number {
  if (version === 0) return 8192;
  if (version < 305) return 4096;
  if (version < 307) return 8192;
  return version < 405 ? 32_000 : 64_000;
}

function thinkingOf(version: number): ClaudeModel["thinking"] {
  if (version >= 406) return "adaptive";
  return version === 0 || version >= 307 ? "budget" : "none";
}

/** 100 × major + minor: 405 for `claude-sonnet-4-5-20250929`, 307 for `claude-3-7-sonnet-latest`; 0 for an unknown name. */
function claudeVersion(name: string): number {
  const numberFirst = /claude-(\d)(?:[-.](\d))?-(?:opus|sonnet|haiku)/.exec(name);
  const familyFirst = /claude-[a-z]+-(\d{1,2})(?!\d)(?:[-.](\d{1,2})(?!\d))?/.exec(name);
  const found = numberFirst ?? familyFirst;
  if (found !== null) return Number(found[1]) * 100 + Number(found[2] ?? 0);
  return name.includes("claude-mythos") ? 407 : 0;
}
