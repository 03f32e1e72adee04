/** memberStart(): where the compressed bytes of a gzip file's first member begin. @see RFC 1952, 2.3 */

const FLAGS = { headerCheck: 2, extra: 4, name: 8, comment: 16 } as const;
const HEADER_BYTES = 10;

/** Throws SyntaxError. */
export function memberStart(file: Buffer): number {
  if (file.length < HEADER_BYTES || file.readUIntBE(0, 3) !== 0x1f8b08) throw new SyntaxError("it is no gzip file");
  const flags = file[3] ?? 0;
  let at = HEADER_BYTES;
  if ((flags & FLAGS.extra) !== 0) at += 2 + (file[at] ?? 0) + (file[at + 1] ?? 0) * 256;
  for (const text of [FLAGS.name, FLAGS.comment]) {
    if ((flags & text) === 0) continue;
    const end = file.indexOf(0, at);
    if (end < 0) throw new SyntaxError("a gzip file's name does not end");
    at = end + 1;
  }
  if ((flags & FLAGS.headerCheck) !== 0) at += 2;
  if (at > file.length) throw new SyntaxError("a gzip file's header ends too early");
  return at;
}
