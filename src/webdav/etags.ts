/**
 * Entity tags as servers send them and as the port has them.
 *
 * A server that gives files no tag (nginx with dav-ext) gets one made here of size and modified time, marked with `~` so
 * that it is known again. Such a tag is never sent; it is compared here. Two changes within one second that keep the size
 * look the same to it, which is why it counts as weak.
 */

import { LRUCache } from 'lru-cache';
import type { Clock } from '../base/index.js';
import type { ETag } from '../remote/index.js';

export interface ParsedTag {
  readonly etag: ETag;
  readonly weak: boolean;
}

/** Reads an ETag header or a getetag property; some servers leave the quotes out. */
export function parseTag(text: string | undefined): ParsedTag | undefined {
  const trimmed = text?.trim() ?? '';
  const weak = /^W\//i.test(trimmed);
  const opaque = weak ? trimmed.slice(2) : trimmed;
  if (opaque === '' || opaque === '""') return undefined;
  return { etag: (opaque.startsWith('"') ? opaque : `"${opaque}"`) as ETag, weak };
}

/** The made tag of a version; undefined where the server does not say when it was modified. */
export function makeTag(size: number, mtimeMs: number | undefined): ETag | undefined {
  if (mtimeMs === undefined) return undefined;
  return `"~${size.toString(16)}-${mtimeMs.toString(16)}"` as ETag;
}

export function isMadeTag(etag: ETag): boolean {
  return etag.startsWith('"~');
}

/** mod_dav_fs calls a tag weak while the file is younger than this, and If-Match then fails for it (RFC 9110 13.1.1). */
export const YOUNG_MS = 1_000;
/** The server's clock ticks apart from ours. */
const YOUNG_MARGIN_MS = 50;

/** How many young tags are remembered; each is of use for a second. */
const MAX_YOUNG = 4_096;

/** What is known of the tags of one server: which were weak a moment ago, and whether it has tags at all. */
export class TagBook {
  readonly #clock: Clock;
  readonly #youngUntilMs = new LRUCache<ETag, number>({ max: MAX_YOUNG });
  #hasNone = false;
  #neverStrong = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether files have shown up without a tag, so that made ones stand in. */
  get hasNone(): boolean {
    return this.#hasNone;
  }

  /** Whether a tag stayed weak with age, so that If-Match is of no use on this server. */
  get neverStrong(): boolean {
    return this.#neverStrong;
  }

  noteMissing(): void {
    this.#hasNone = true;
  }

  noteNeverStrong(): void {
    this.#neverStrong = true;
  }

  note(tag: ParsedTag): void {
    if (tag.weak) this.#youngUntilMs.set(tag.etag, this.#clock.nowMs() + YOUNG_MS + YOUNG_MARGIN_MS);
    else this.#youngUntilMs.delete(tag.etag);
  }

  /** Milliseconds, a second or so at most, until `etag` is old enough to be strong. */
  youngMs(etag: ETag): number {
    return Math.max(0, (this.#youngUntilMs.get(etag) ?? 0) - this.#clock.nowMs());
  }
}
