import { isIP } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { buildConnector } from "undici";
import { ConfigurationError } from "../environment.ts";
import { errorText, type Logger } from "../log.ts";
import { createIdentity, type Identity, type IdentityFiles, readIdentityTexts } from "./identity.ts";

export interface CertificatesOptions {
  readonly files: IdentityFiles;
  readonly log: Logger;
  /** How often the files are compared with what is in use, in milliseconds. Default 2,000. */
  readonly everyMs?: number;
}

const connectTimeoutMs = 3_000;

/**
 * Who this process is in the mesh, as files say it at the moment. Files that change are taken over: connections that are
 * opened from then on use them, calls under way go on. Files that are no good are reported, and the old ones stay in use.
 */
export class Certificates {
  readonly #options: CertificatesOptions;
  readonly #listeners = new Set<() => void>();
  readonly #closing = new AbortController();
  #identity: Identity;
  /** What was wrong when the files were last looked at; reported when it is still so the next time. */
  #problem: { readonly text: string; reported: boolean } | undefined;
  readonly #watching: Promise<void>;

  private constructor(options: CertificatesOptions, identity: Identity) {
    this.#options = options;
    this.#identity = identity;
    this.#watching = this.#watch();
    this.#tellExpiry();
  }

  /** Reads the files and watches them. Rejects with a ConfigurationError where they are no good. */
  static async open(options: CertificatesOptions): Promise<Certificates> {
    try {
      return new Certificates(options, createIdentity(await readIdentityTexts(options.files)));
    } catch (error) {
      throw new ConfigurationError(`SLUICE_TLS_CERT, SLUICE_TLS_KEY, SLUICE_TLS_CA: ${errorText(error)}`);
    }
  }

  get identity(): Identity {
    return this.#identity;
  }

  /** Calls back after the files have changed. Returns what ends that. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Opens a client's connection with the certificate that is in use at that moment. The server has to have one for
   * `hostname`, which is the host of the URL that was configured, whatever address it was resolved to.
   */
  connector(hostname: string): buildConnector.connector {
    // An address is no server name: it is compared with the addresses of the certificate.
    const servername = isIP(hostname) === 0 && !hostname.startsWith("[") ? hostname : "";
    return (options, callback) => {
      const { context } = this.#identity;
      const settings = { secureContext: context, timeout: connectTimeoutMs, maxCachedSessions: 0, allowH2: false };
      buildConnector(settings)({ ...options, servername }, callback);
    };
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#watching;
  }

  async #watch(): Promise<void> {
    const { signal } = this.#closing;
    const options = { signal, ref: false };
    while (!signal.aborted) {
      await sleep(this.#options.everyMs ?? 2_000, undefined, options).catch(() => undefined);
      if (!signal.aborted) await this.#look();
    }
  }

  async #look(): Promise<void> {
    try {
      const texts = await readIdentityTexts(this.#options.files);
      if (texts.digest !== this.#identity.digest) this.#take(createIdentity(texts));
      this.#problem = undefined;
    } catch (error) {
      this.#report(errorText(error));
    }
  }

  #take(identity: Identity): void {
    this.#identity = identity;
    this.#options.log.info("new certificates are in use", { validTo: identity.validTo.toISOString() });
    this.#tellExpiry();
    for (const listener of this.#listeners) listener();
  }

  /** Once per problem, and only one that lasts: between two files that are being replaced nothing is wrong. */
  #report(text: string): void {
    if (this.#problem?.text !== text) {
      this.#problem = { text, reported: false };
    } else if (!this.#problem.reported) {
      this.#problem.reported = true;
      this.#options.log.error("the new certificates are no good, the old ones stay in use", { error: text });
    }
  }

  #tellExpiry(): void {
    const { validTo } = this.#identity;
    if (validTo.getTime() > Date.now()) return;
    this.#options.log.error("this process' certificate has expired: peers refuse it", {
      validTo: validTo.toISOString(),
    });
  }
}
