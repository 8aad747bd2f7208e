/**
 * How Node is started for a process of the mesh; package.json's `start` and the image's entry point say the same. A young
 * generation of 32 MB instead of 16: fewer of a call's objects live long enough to be copied. And none is made old at its
 * birth, because others of its kind have lived long: all that belongs to a call dies young.
 */
export const nodeArguments: readonly string[] = [
  "--min-semi-space-size=32",
  "--max-semi-space-size=32",
  "--no-allocation-site-pretenuring",
];
