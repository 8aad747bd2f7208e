/**
 * An address that ends with a provider's root path, `/api/v2/gateway` say: what is missing of the path is added to the
 * address, nothing where it ends with it already, `/gateway` where it ends with `/api/v2`.
 */
export function withRootPath(address: string, rootPath: string | undefined): string {
  const url = address.endsWith("/") ? address.replace(/\/+$/, "") : address;
  if (rootPath === undefined) return url;
  const path = url.replace(/^\w+:\/\/[^/]*/, "");
  for (let end = rootPath.length; end > 0; end = rootPath.lastIndexOf("/", end - 1)) {
    if (path.endsWith(rootPath.slice(0, end))) return `${url}${rootPath.slice(end)}`;
  }
  return `${url}${rootPath}`;
}
