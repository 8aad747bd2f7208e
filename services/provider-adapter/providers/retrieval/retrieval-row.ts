/** What is particular about one provider of embeddings and ranks. */
export interface RetrievalRow {
  readonly id: string;
  /** Its own address, without a trailing slash. */
  readonly baseUrl: string;
  /** The variable that holds its key. */
  readonly keyVariable: string;
  /** Its name for OpenAI's `dimensions`. */
  readonly dimensions: string;
  /** Its name for `encoding_format`. */
  readonly format: string;
  /** It refuses `float` as a format, which is what it sends unasked. */
  readonly refusesFloat: boolean;
  /** Its name for Cohere's `top_n`. */
  readonly topN: string;
  /** Where in its answer the ranks are. */
  readonly results: string;
}

/** https://docs.voyageai.com/reference/embeddings-api */
export const voyageRow: RetrievalRow = {
  id: "voyage",
  baseUrl: "https://api.voyageai.com/v1",
  keyVariable: "VOYAGE_API_KEY",
  dimensions: "output_dimension",
  format: "encoding_format",
  refusesFloat: true,
  topN: "top_k",
  results: "data",
};

/** https://api.jina.ai/redoc */
export const jinaRow: RetrievalRow = {
  id: "jina_ai",
  baseUrl: "https://api.jina.ai/v1",
  keyVariable: "JINA_AI_API_KEY",
  dimensions: "dimensions",
  format: "embedding_type",
  refusesFloat: false,
  topN: "top_n",
  results: "results",
};
