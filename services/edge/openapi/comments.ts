/**
 * What the contract says of its messages, fields and RPCs, by full name: `sluice.auth.v1.Limits.max_budget`. Descriptors in
 * the generated code carry no comments, so `npm run docs` takes them out of the protos into `comments.json`.
 */
export type Comments = Readonly<Record<string, string>>;
