/** File names as the mount accepts them: one path segment, valid UTF-8, at most 255 bytes. */

import type { Branded } from './types.js';

/** One path segment that passed {@link checkName}. */
export type Name = Branded<string, 'Name'>;

/** NAME_MAX of Linux (limits.h), in bytes. */
export const NAME_MAX_BYTES = 255;

/** Why a string is not a {@link Name}. */
export type NameFault = 'empty' | 'dot' | 'slash' | 'nul' | 'too-long' | 'not-unicode' | 'reserved';

/** Names that a mod_dav server keeps for itself (`.DAV` holds its properties, `.davfs.tmp*` its uploads). */
const RESERVED = /^(?:\.DAV|\.davfs\.tmp.*)$/;

/** Says what is wrong with `text` as a name, or undefined when nothing is. */
export function nameFault(text: string): NameFault | undefined {
  if (text === '') return 'empty';
  if (text === '.' || text === '..') return 'dot';
  if (text.includes('/')) return 'slash';
  if (text.includes('\0')) return 'nul';
  if (!text.isWellFormed()) return 'not-unicode';
  // A UTF-16 unit is at most 3 bytes of UTF-8, so short names need no count.
  if (text.length * 3 > NAME_MAX_BYTES && Buffer.byteLength(text) > NAME_MAX_BYTES) return 'too-long';
  if (RESERVED.test(text)) return 'reserved';
  return undefined;
}

/** Makes a {@link Name} of `text`, or undefined when it is not one. */
export function toName(text: string): Name | undefined {
  return nameFault(text) === undefined ? (text as Name) : undefined;
}
