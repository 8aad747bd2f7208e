import { type Client, ConnectError } from "@connectrpc/connect";
import { findGatewayError } from "#chassis/errors.ts";
import type { AuthService } from "#gen/sluice/auth/v1/auth_service_pb.ts";
import type { Principal } from "#gen/sluice/auth/v1/principal_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";

export interface KeyQuestionsOptions {
  readonly auth: Client<typeof AuthService>;
  readonly timeoutMs: number;
  /** Milliseconds on any clock that does not go back. */
  readonly now: () => number;
}

interface Waiting {
  readonly keyHash: string;
  readonly resolve: (principal: Principal | undefined) => void;
  readonly reject: (error: unknown) => void;
}

/** How long questions wait for each other, and how many go together at most: auth takes 500. */
const gatherMs = 20;
const maxGathered = 200;
/** Beyond so many keys of a second that nobody knows, somebody is guessing. */
const calmUnknown = 50;

/**
 * Asks auth who keys are. A question that a call waits for goes at once, except while many keys come that nobody knows:
 * then, and always where no call waits, the keys of some milliseconds go together, so that a flood costs a
 * hundred questions a second and not one for each of its keys.
 */
export class KeyQuestions {
  readonly #options: KeyQuestionsOptions;
  #gathered: Waiting[] = [];
  #timer: NodeJS.Timeout | undefined;
  #second = 0;
  #unknown = 0;
  #unknownBefore = 0;

  constructor(options: KeyQuestionsOptions) {
    this.#options = options;
  }

  /** Who a key is; undefined where nobody knows. Rejects with what the question fails with. */
  ask(keyHash: string, nobodyWaits: boolean): Promise<Principal | undefined> {
    if (!nobodyWaits && this.#isCalm()) return this.#askAlone(keyHash);
    return new Promise((resolve, reject) => {
      this.#gathered.push({ keyHash, resolve, reject });
      if (this.#gathered.length >= maxGathered) this.#askGathered();
      else this.#timer ??= setTimeout(() => this.#askGathered(), gatherMs);
    });
  }

  async #askAlone(keyHash: string): Promise<Principal | undefined> {
    const { auth, timeoutMs } = this.#options;
    try {
      const { principal } = await auth.authenticate({ keyHash }, { timeoutMs });
      if (principal === undefined) throw new Error("auth answered without a principal");
      return principal;
    } catch (error) {
      if (findGatewayError(ConnectError.from(error))?.reason !== Reason.KEY_INVALID) throw error;
      this.#countUnknown(1);
      return undefined;
    }
  }

  #askGathered(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const asked = this.#gathered;
    this.#gathered = [];
    const { auth, timeoutMs } = this.#options;
    const keyHashes = asked.map(({ keyHash }) => keyHash);
    auth.authenticateKeys({ keyHashes }, { timeoutMs }).then(
      ({ principals }) => {
        for (const { keyHash, resolve } of asked) resolve(principals[keyHash]);
        this.#countUnknown(asked.length - Object.keys(principals).length);
      },
      (error: unknown) => {
        for (const { reject } of asked) reject(error);
      },
    );
  }

  #isCalm(): boolean {
    this.#countUnknown(0);
    return Math.max(this.#unknown, this.#unknownBefore) < calmUnknown;
  }

  /** By the second: this one's count and that of the one before. */
  #countUnknown(count: number): void {
    const second = Math.floor(this.#options.now() / 1000);
    if (second !== this.#second) {
      this.#unknownBefore = second === this.#second + 1 ? this.#unknown : 0;
      this.#unknown = 0;
      this.#second = second;
    }
    this.#unknown += count;
  }
}
