/** A media type as it is registered: clients write `image/jpg`, which providers refuse. */
export function registeredMediaType(type: string): string {
  return type === "image/jpg" ? "image/jpeg" : type;
}
