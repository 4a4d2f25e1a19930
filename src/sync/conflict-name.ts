/** The name under which the local version is kept when both sides changed: `name (conflict <host> <date>).ext`. */

import { NAME_MAX_BYTES, type Name, toName } from '../base/index.js';

/** Of a host name, so that there is room for the name itself. */
const HOST_MAX_BYTES = 32;

/** Extensions that belong together with the one before them. */
const DOUBLE_EXTENSION = /\.tar\.[a-z0-9]{1,4}$/i;

/**
 * A name that `isTaken` denies, made of `name`, the host and the date (local time, to the second); numbered from 2 on
 * where that is taken, and shortened to 255 bytes.
 */
export function conflictName(name: Name, host: string, atMs: number, isTaken: (name: Name) => boolean): Name {
  const extension = extensionOf(name);
  const stem = name.slice(0, name.length - extension.length);
  const date = formatDate(new Date(atMs));
  const safeHost = shorten(host.replace(/[^\p{L}\p{N}._-]/gu, '-'), HOST_MAX_BYTES) || 'host';
  for (let number = 1; ; number += 1) {
    const mark = ` (conflict ${safeHost} ${date}${number === 1 ? '' : ` ${number}`})`;
    const room = NAME_MAX_BYTES - Buffer.byteLength(mark + extension);
    const candidate = toName(shorten(stem, room) + mark + extension);
    if (candidate !== undefined && !isTaken(candidate)) return candidate;
  }
}

function extensionOf(name: string): string {
  const double = DOUBLE_EXTENSION.exec(name);
  if (double !== null && double.index > 0) return double[0];
  const dot = name.lastIndexOf('.');
  const extension = dot > 0 ? name.slice(dot) : '';
  return Buffer.byteLength(extension) <= 32 ? extension : '';
}

/** The longest head of `text` within `maxBytes` that cuts no character. */
function shorten(text: string, maxBytes: number): string {
  let bytes = 0;
  let head = '';
  for (const character of text) {
    bytes += Buffer.byteLength(character);
    if (bytes > maxBytes) break;
    head += character;
  }
  return head;
}

/** `2026-11-23 09-05-07`: no colon, since some programs and servers refuse it in names. */
function formatDate(date: Date): string {
  const two = (number: number) => String(number).padStart(2, '0');
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}-${two(date.getMinutes())}-${two(date.getSeconds())}`;
}
