import { ScalarType } from "@bufbuild/protobuf";

/** What turns the name of a property into the key of a map. A name that is none is left for the writer to refuse. */
export function mapKeyReader(type: ScalarType): (name: string) => unknown {
  switch (type) {
    case ScalarType.STRING:
      return (name) => name;
    case ScalarType.BOOL:
      return (name) => (name === "true" ? true : name === "false" ? false : name);
    case ScalarType.INT64:
    case ScalarType.UINT64:
    case ScalarType.SINT64:
    case ScalarType.FIXED64:
    case ScalarType.SFIXED64:
      return (name) => (integer.test(name) ? BigInt(name) : name);
    default:
      return (name) => (integer.test(name) ? Number(name) : name);
  }
}

const integer = /^-?\d+$/;
