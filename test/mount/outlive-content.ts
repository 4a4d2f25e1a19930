/** The content of the file that the program of the takeover tests reads: each byte is known from its place. */

export const BIG_BYTES = 32 * 1024 * 1024;

export function bigByte(position: number): number {
  return Math.imul(position ^ (position >>> 11), 2_654_435_761) >>> 24;
}

export function bigFile(): Buffer {
  const bytes = Buffer.alloc(BIG_BYTES);
  for (let at = 0; at < bytes.length; at++) bytes[at] = bigByte(at);
  return bytes;
}
