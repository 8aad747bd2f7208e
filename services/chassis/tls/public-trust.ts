import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import { ConfigurationError, type Environment, text } from "../environment.ts";

/** Whether providers have to prove their names: they need not where SSL_VERIFY is `false`, as with LiteLLM. */
export function verifiesCertificates(env: Environment): boolean {
  return text(env, "SSL_VERIFY")?.toLowerCase() !== "false";
}

/**
 * Authorities that are trusted beside those that Node.js knows, in PEM: the file that SSL_CERT_FILE names, or SSL_VERIFY where
 * that is neither `true` nor `false`. Undefined where there is none.
 */
export function readAuthorities(env: Environment): string | undefined {
  const verify = text(env, "SSL_VERIFY") ?? "true";
  return /^(?:true|false)$/i.test(verify)
    ? authoritiesIn("SSL_CERT_FILE", text(env, "SSL_CERT_FILE"))
    : authoritiesIn("SSL_VERIFY", verify);
}

function authoritiesIn(variable: string, path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  try {
    const pem = readFileSync(path, "utf8");
    new X509Certificate(pem);
    return pem;
  } catch {
    throw new ConfigurationError(`${variable} must name a file of certificates in PEM`);
  }
}

/** Lets this thread trust them wherever it names no authorities of its own. */
export function trustAuthorities(authorities: string | undefined): void {
  if (authorities !== undefined) setDefaultCACertificates([...getCACertificates(), authorities]);
}
