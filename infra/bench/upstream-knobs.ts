/** What the fake provider does for one model. */
export interface UpstreamKnobs {
  /** Time before the answer starts. */
  readonly delayMs: number;
  /** Token events of the stream; 0 means one JSON answer. */
  readonly chunks: number;
  /** Pause between two events; 0 means the next turn of the event loop. */
  readonly gapMs: number;
}

const form = /^bench(?:-(\d+)ms)?(?:-stream-(\d+)(?:-(\d+)ms)?)?$/;
const plain: UpstreamKnobs = { delayMs: 0, chunks: 0, gapMs: 0 };
const known = new Map<string, UpstreamKnobs>();

/** Reads a name such as `bench`, `bench-20ms`, `bench-stream-100` or `bench-5ms-stream-20-2ms`. */
export function knobsOf(model: string): UpstreamKnobs {
  let knobs = known.get(model);
  if (knobs === undefined) {
    const found = form.exec(model);
    knobs =
      found === null
        ? plain
        : { delayMs: Number(found[1] ?? 0), chunks: Number(found[2] ?? 0), gapMs: Number(found[3] ?? 0) };
    if (known.size < 100) known.set(model, knobs);
  }
  return knobs;
}
