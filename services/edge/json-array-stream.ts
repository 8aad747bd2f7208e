/** The media type of such a stream. */
export const jsonArrayType = "application/json; charset=UTF-8";

/**
 * Google's stream without `alt=sse`: one JSON array that grows, with an element for every event. A client may parse it as
 * it comes, or whole. One for every answer.
 */
export class JsonArrayStream {
  #begun = false;

  /** The elements for whole events; an event without data, a comment, is none. */
  elements(events: readonly Uint8Array[]): Uint8Array[] {
    return events.flatMap((event) => {
      const text = Buffer.from(event.buffer, event.byteOffset, event.byteLength).toString();
      const lines = text.replaceAll("\r", "").split("\n");
      const data = lines.filter((line) => line.startsWith("data:")).map((line) => line.slice("data:".length));
      return data.length === 0 ? [] : [this.#element(data.join("\n").trim())];
    });
  }

  /** What closes the array, and with it the answer. */
  end(): Buffer {
    return Buffer.from(this.#begun ? "]\n" : "[]\n");
  }

  /** An error as the last element. */
  error(body: string): Buffer {
    return Buffer.concat([this.#element(body), this.end()]);
  }

  #element(json: string): Buffer {
    const separator = this.#begun ? ",\r\n" : "[";
    this.#begun = true;
    return Buffer.from(`${separator}${json}`);
  }
}
