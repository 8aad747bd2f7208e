import type { OpenCall } from "../journal/segment.ts";
import type { Admission, CallEnd } from "./admission.ts";
import type { BegunRecord } from "./call-record.ts";
import type { Hold } from "./hold.ts";
import type { Charged } from "./relay.ts";

/** A call that is in the journal and has not ended. */
export interface BegunCall {
  readonly recordId: string;
  readonly record: BegunRecord;
  readonly entry: OpenCall;
  readonly hold: Hold;
  /** What it is charged to. */
  readonly scopes: readonly Charged[];
}

/** Who has admitted a call, and hears of its end. */
export interface CallOwner {
  settled(call: BegunCall, end: CallEnd): Promise<void>;
  voided(call: BegunCall): void;
  misused(recordId: string): void;
}

/** Sees to it that a call ends once. */
export class AdmittedCall implements Admission {
  readonly outputTokenCap: number | undefined;
  readonly #owner: CallOwner;
  readonly #call: BegunCall;
  #ended = false;

  constructor(owner: CallOwner, call: BegunCall, outputTokenCap: number | undefined) {
    this.outputTokenCap = outputTokenCap;
    this.#owner = owner;
    this.#call = call;
  }

  get recordId(): string {
    return this.#call.recordId;
  }

  settle(end: CallEnd): Promise<void> {
    return this.#isFirstEnd() ? this.#owner.settled(this.#call, end) : Promise.resolve();
  }

  void(): void {
    if (this.#isFirstEnd()) this.#owner.voided(this.#call);
  }

  #isFirstEnd(): boolean {
    if (this.#ended) this.#owner.misused(this.recordId);
    const first = !this.#ended;
    this.#ended = true;
    return first;
  }
}
