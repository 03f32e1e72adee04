/**
 * readTar(): the members of a tar archive, each with its content as a stream. For archives that are unpacked (ADD, import of
 * a root); the store uses the push parser itself, because it keeps the raw bytes too.
 */
import { createTarParser } from "./parser.ts";
import type { TarMember } from "./member.ts";

export interface TarItem {
  readonly member: TarMember;
  /** The file's content; empty for other kinds. What is not read is skipped when the next item is asked for. */
  readonly content: AsyncIterable<Uint8Array>;
}

type Event = { readonly member: TarMember } | { readonly bytes: Uint8Array };

/** Throws SyntaxError with offset and member. The pieces of content are views of the source's chunks. */
export async function* readTar(source: AsyncIterable<Uint8Array>): AsyncGenerator<TarItem, void, undefined> {
  const events: Event[] = [];
  const parser = createTarParser({
    raw() {},
    member: (member) => void events.push({ member }),
    content: (bytes) => void events.push({ bytes }),
  });
  const chunks = source[Symbol.asyncIterator]();
  let ended = false;
  const next = async (): Promise<Event | undefined> => {
    for (;;) {
      const event = events.shift();
      if (event !== undefined || ended) return event;
      const chunk = await chunks.next();
      if (chunk.done === true) {
        ended = true;
        parser.end();
      } else parser.push(chunk.value);
    }
  };
  let left = 0;
  const content = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
    while (left > 0) {
      const event = await next();
      if (event === undefined || "member" in event) return;
      left -= event.bytes.length;
      yield event.bytes;
    }
  };
  try {
    for (;;) {
      const event = await next();
      if (event === undefined) return;
      if ("bytes" in event) continue;
      left = event.member.kind === "file" ? event.member.size : 0;
      yield { member: event.member, content: content() };
      left = 0;
    }
  } finally {
    if (!ended) await chunks.return?.();
  }
}
