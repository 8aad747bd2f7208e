/**
 * How Node is started for a process of Sluice; package.json's `start` and the image's entry point say the same. A young
 * generation of 32 MB instead of 16: the rarer it is collected, the fewer calls are in the middle then and have to be copied.
 * Nothing is made old at its birth because others of its kind have lived long: all that belongs to a call dies young. What
 * grows old all the same is collected when it is 40 % more than before, and not several times as much.
 *
 * A call passes many small functions, and places that see five to eight shapes of objects (streams, sockets, events, errors):
 * V8 remembers eight instead of four before it looks properties up by name, and may inline three times as much.
 */
export const nodeArguments: readonly string[] = [
  "--min-semi-space-size=32",
  "--max-semi-space-size=32",
  "--no-allocation-site-pretenuring",
  "--heap-growing-percent=40",
  "--max-valid-polymorphic-map-count=8",
  "--max-inlined-bytecode-size=920",
  "--max-inlined-bytecode-size-cumulative=2760",
];

/**
 * The same where five processes share one machine. With more of them than processors, collecting young objects on several
 * threads at once costs more than it saves.
 */
export const localMeshArguments: readonly string[] = [...nodeArguments, "--no-parallel-scavenge"];
