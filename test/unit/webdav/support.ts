/** A store behind the fault proxy, and a clock whose timers a test fires by hand while real sockets move. */

import { after } from 'node:test';
import { BasicAuth } from '../../../src/auth/index.js';
import { type Clock, type Ns, Secret, type Timer } from '../../../src/base/index.js';
import type { ResponseInfo, SkippedEntry, WebdavOptions, WebdavStore } from '../../../src/webdav/index.js';
import { createWebdavStore } from '../../../src/webdav/index.js';

export interface ArmedTimer {
  readonly delayMs: number;
  readonly callback: () => void;
  cancelled: boolean;
}

/** Time passes only when a timer is fired, or by {@link HandFiredClock.pass}. */
export class HandFiredClock implements Clock {
  readonly #timers: ArmedTimer[] = [];
  readonly #watchers = new Set<() => void>();
  #nowMs = Date.UTC(2026, 0, 1);

  nowMs(): number {
    return this.#nowMs;
  }

  nowNs(): Ns {
    return BigInt(this.#nowMs) * 1_000_000n;
  }

  after(delayMs: number, callback: () => void): Timer {
    const timer: ArmedTimer = { delayMs, callback, cancelled: false };
    this.#timers.push(timer);
    for (const watcher of this.#watchers) watcher();
    return {
      cancel: () => {
        timer.cancelled = true;
      },
    };
  }

  /** Lets time pass without firing a timer. */
  pass(ms: number): void {
    this.#nowMs += ms;
  }

  /** Waits until a timer of a delay within the bounds is armed, and fires it. Gives its delay. */
  async fire(fromMs: number, toMs: number): Promise<number> {
    const timer = await this.#find((each) => each.delayMs >= fromMs && each.delayMs <= toMs);
    timer.cancelled = true;
    this.#nowMs += Math.ceil(timer.delayMs);
    timer.callback();
    return timer.delayMs;
  }

  #find(matches: (timer: ArmedTimer) => boolean): Promise<ArmedTimer> {
    return new Promise((resolve) => {
      const look = () => {
        const found = this.#timers.find((timer) => !timer.cancelled && matches(timer));
        if (found === undefined) return;
        this.#watchers.delete(look);
        resolve(found);
      };
      this.#watchers.add(look);
      look();
    });
  }
}

export interface Rig {
  readonly store: WebdavStore;
  readonly auth: BasicAuth;
  readonly clock: HandFiredClock;
  readonly responses: ResponseInfo[];
  readonly skipped: SkippedEntry[];
}

/** A store on `url` with a hand-fired clock and `random` always one half. */
export function makeRig(url: string, options: Partial<WebdavOptions> = {}): Rig {
  const auth = new BasicAuth({ user: 'tester', password: new Secret('correct horse') });
  const clock = new HandFiredClock();
  const responses: ResponseInfo[] = [];
  const skipped: SkippedEntry[] = [];
  const store = createWebdavStore({
    url,
    auth,
    userAgent: 'infinimount-test',
    clock,
    random: () => 0.5,
    onResponse: (info) => void responses.push(info),
    onSkippedEntry: (entry) => void skipped.push(entry),
    ...options,
  });
  after(() => store.close());
  return { store, auth, clock, responses, skipped };
}

/** A multistatus body of raw response elements. */
export function multistatus(...responses: string[]): string {
  return `<?xml version="1.0" encoding="utf-8"?><D:multistatus xmlns:D="DAV:">${responses.join('')}</D:multistatus>`;
}

export function collectionXml(href: string): string {
  return `<D:response><D:href>${href}</D:href><D:propstat><D:prop><D:resourcetype><D:collection/></D:resourcetype></D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>`;
}

export function fileXml(
  href: string,
  { size = '3', etag = '"t1"' }: { size?: string; etag?: string } = {},
): string {
  return `<D:response><D:href>${href}</D:href><D:propstat><D:prop><D:resourcetype/><D:getcontentlength>${size}</D:getcontentlength><D:getetag>${etag}</D:getetag><D:getlastmodified>Mon, 23 Nov 2026 20:54:26 GMT</D:getlastmodified></D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>`;
}
