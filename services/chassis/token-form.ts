/** A token is a header, and Node takes no more than 16 KiB of those. */
export const maxTokenLength = 16 * 1024;

/** Three parts in Base64, https://www.rfc-editor.org/rfc/rfc7515#section-7.1 */
const jwsForm = /^[\w-]+\.[\w-]+\.[\w-]*$/;

/** Whether a token looks like a signed one (a JWT), whose issuer can be read off it; any other is opaque. */
export function isSignedToken(token: string): boolean {
  return jwsForm.test(token);
}
