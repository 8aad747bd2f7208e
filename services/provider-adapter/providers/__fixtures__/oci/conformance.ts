import { generateKeyPairSync } from "node:crypto";
import type { ConformanceSubject } from "../../../testing/conformance-subject.ts";
import { ociCohereWire, ociGenericWire } from "../../../testing/wires/oci.ts";

const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const key = privateKey.export({ type: "pkcs8", format: "pem" });
const path = "/20231130/actions/chat";
const common = {
  credential: JSON.stringify({ oci_tenancy: "t", oci_user: "u", oci_fingerprint: "f", oci_key: key }),
  settings: { oci_compartment_id: "c" },
  paths: { whole: path, stream: path },
  authorization: ["authorization", 'Signature version="1",keyId="t/u/f"'],
  missingCredential: { names: "OCI_KEY_FILE" },
} as const;

export const subjects: readonly ConformanceSubject[] = [
  { ...common, name: "generic", model: "meta.llama-4-maverick", wire: ociGenericWire },
  {
    ...common,
    name: "cohere",
    model: "cohere.command-a-03-2025",
    wire: ociCohereWire,
    refuses: {
      "a needed tool": "Cohere's format has no choice of tools",
      "a named tool": "Cohere's format has no choice of tools",
      "image in": "Cohere's format takes texts",
      reasoning: "Cohere's format has no reasoning",
    },
    neverAnswers: { reasoning: "Cohere's format has no reasoning" },
  },
];
