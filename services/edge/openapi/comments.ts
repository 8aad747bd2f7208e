/**
 * What the contract says of its messages, fields and RPCs, by full name (package, message, field). Descriptors in
 * the generated code carry no comments, so `npm run docs` takes them out of the protos into `comments.json`.
 */
export type Comments = Readonly<Record<string, string>>;
