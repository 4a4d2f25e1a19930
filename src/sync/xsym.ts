/**
 * Symbolic links as files: the Minshall-French form that macOS and the Linux CIFS client (`mfsymlinks`) use on servers
 * without symbolic links. A file of exactly 1067 bytes: `XSym`, the target's length as four digits, its MD5 in hex,
 * the target in UTF-8, each line ended by a newline, then spaces (Linux: fs/smb/client/link.c).
 */

import { createHash } from 'node:crypto';

/** Bytes of such a file: 4 + 1 + 4 + 1 + 32 + 1 + 1024. */
export const XSYM_SIZE_BYTES = 1067;

/** Bytes of the longest target that fits. */
export const XSYM_TARGET_MAX_BYTES = 1024;

const HEADER_BYTES = 43;

/** The file that stands for a link to `target`; undefined when the target is too long for the form. */
export function encodeXSym(target: string): Uint8Array | undefined {
  const bytes = Buffer.from(target, 'utf8');
  if (bytes.length === 0 || bytes.length > XSYM_TARGET_MAX_BYTES) return undefined;
  const file = Buffer.alloc(XSYM_SIZE_BYTES, ' ');
  const md5 = createHash('md5').update(bytes).digest('hex');
  file.write(`XSym\n${String(bytes.length).padStart(4, '0')}\n${md5}\n`, 'latin1');
  bytes.copy(file, HEADER_BYTES);
  // The newline after the target is left out where the target fills the field.
  if (bytes.length < XSYM_TARGET_MAX_BYTES) file[HEADER_BYTES + bytes.length] = 0x0a;
  return file;
}

/** The target of the link that `file` stands for, or undefined when it is an ordinary file. */
export function decodeXSym(file: Uint8Array): string | undefined {
  if (file.length !== XSYM_SIZE_BYTES) return undefined;
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.length);
  const header = /^XSym\n(\d{4})\n([0-9a-f]{32})\n$/.exec(bytes.toString('latin1', 0, HEADER_BYTES));
  if (header === null) return undefined;
  const length = Number(header[1]);
  if (length === 0 || length > XSYM_TARGET_MAX_BYTES) return undefined;
  const target = bytes.subarray(HEADER_BYTES, HEADER_BYTES + length);
  if (createHash('md5').update(target).digest('hex') !== header[2]) return undefined;
  const text = target.toString('utf8');
  // What is no UTF-8 does not come out as it went in.
  return Buffer.from(text, 'utf8').equals(target) && !text.includes('\0') ? text : undefined;
}
