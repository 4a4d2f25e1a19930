/**
 * Brings bytes of clean files to this machine: the range a reader waits for, and what a sequential reader will want
 * next. One flight a range; readers wait for bytes, not for requests.
 *
 * Every request carries the version that the body holds, so that two versions never mix; a server that ignores ranges
 * is streamed from the start.
 */

import { type Clock, type Ino, type Interruptible, type Log, sleep } from '../base/index.js';
import type { Body, ContentStore, Filling } from '../content/index.js';
import {
  isRemoteError,
  REMOTE_ROOT,
  type RemoteBody,
  type RemoteDelivery,
  RemoteError,
  type RemotePath,
  type RemoteStore,
} from '../remote/index.js';
import type { StateStore } from '../state/index.js';
import type { Connectivity } from './connectivity.js';
import type { LineMeter } from './line-meter.js';
import { originalOf } from './original.js';
import type { RateMeter } from './rates.js';
import { serverPath } from './server-tree.js';

const KIB = 1024;
const MIB = 1024 * KIB;
/** A file up to this size is fetched whole. */
const WHOLE_FILE_BYTES = 256 * KIB;
/** Bounds of what one request asks for. */
const UNIT_MIN_BYTES = 128 * KIB;
const UNIT_MAX_BYTES = 4 * MIB;
/** What is asked for where a reader that goes on jumping has jumped to; a page and what lies around it. */
const JUMP_BYTES = 32 * KIB;
/** Jumps in a row that are taken for the beginning of something else. */
const FIRST_JUMPS = 2;
/**
 * A reader who jumps on has all of the file fetched once he waited for an n-th of the time that it takes: on a thick line
 * soon, on a thin one never.
 */
const REST_SHARE = 4;
/** Larger files are not fetched whole on a guess: others would have to leave the cache. */
const REST_MAX_BYTES = 1024 * MIB;
/** What one request for the rest asks for: whoever jumps into the middle of it waits for its beginning. */
const REST_UNIT_BYTES = 2 * MIB;
/** The jump at which a larger piece tells what the line brings. */
const MEASURED_JUMP = 4;
const MEASURED_BYTES = MIB;
/** How far ahead of a sequential reader bytes are asked for: grows from one unit to this. */
const WINDOW_MAX_BYTES = 32 * MIB;
const FLIGHTS_PER_FILE = 4;
/** From this size on, a range is worth the way through another thread, which costs a message or two more. */
const DELIVERED_FROM_BYTES = 512 * KIB;
/** Times that a flight goes on after its connection broke, without a byte having come. */
const MAX_RESUMES = 3;
const RESUME_DELAY_MS = 200;
/** What is fetched behind waits for readers so long at most, looking again after each step. */
const BEHIND_LONGEST_MS = 5_000;
const BEHIND_STEP_MS = 100;

interface Waiter {
  readonly start: number;
  readonly end: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

interface Flight {
  /** First byte not yet here. */
  position: number;
  end: number;
  readonly abort: AbortController;
}

/** What is under way for one file. */
interface FileFetch {
  readonly flights: Set<Flight>;
  readonly waiters: Set<Waiter>;
  /** Where the reader stopped last; reading on from there is sequential. */
  nextStart: number;
  windowBytes: number;
  /** How often in a row it jumped to what was not here, and did not read on from there. */
  jumps: number;
  /** Whether all that is missing is to come, in the order of the file. */
  wantsRest: boolean;
}

export class Fetcher {
  readonly #state: StateStore;
  readonly #content: ContentStore;
  readonly #store: RemoteStore;
  readonly #connectivity: Connectivity;
  readonly #meter: LineMeter;
  readonly #rates: RateMeter;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #fetches = new Map<Ino, FileFetch>();
  /** Waits of programs, of all files. */
  #waiting = 0;
  /** Flights of all files. */
  #flying = 0;
  #closed = false;

  constructor(deps: {
    readonly state: StateStore;
    readonly content: ContentStore;
    readonly store: RemoteStore;
    readonly connectivity: Connectivity;
    readonly meter: LineMeter;
    readonly rates: RateMeter;
    readonly clock: Clock;
    readonly log: Log;
  }) {
    this.#state = deps.state;
    this.#content = deps.content;
    this.#store = deps.store;
    this.#connectivity = deps.connectivity;
    this.#meter = deps.meter;
    this.#rates = deps.rates;
    this.#clock = deps.clock;
    this.#log = deps.log;
  }

  close(): void {
    this.#closed = true;
    for (const fetch of this.#fetches.values()) for (const flight of fetch.flights) flight.abort.abort();
  }

  get isFetching(): boolean {
    return this.#flying > 0;
  }

  /** See `Sync.present`. */
  present(file: Ino, start: number, end: number, request?: Interruptible): Promise<void> | undefined {
    const body = this.#content.peek(file);
    if (body === undefined || body.kind === 'staged' || body.isComplete) return undefined;
    const fetch = this.#fetchOf(file);
    const stop = Math.min(end, body.size);
    this.#adaptWindow(fetch, start, stop);
    if (body.has(start, stop)) {
      this.#readAhead(file, body, fetch, stop);
      return undefined;
    }
    try {
      this.#connectivity.check();
    } catch (error) {
      return Promise.reject(error);
    }
    const waiting = this.#waitFor(fetch, start, stop, request?.signal);
    if (fetch.windowBytes === 0) fetch.jumps += 1;
    this.#launch(file, body, fetch, start, stop);
    this.#readAhead(file, body, fetch, stop);
    fetch.wantsRest ||= this.#isWorthWhole(body, fetch);
    this.#fetchRest(file, body, fetch);
    return waiting;
  }

  /** Makes the whole file present. */
  async whole(file: Ino, request?: Interruptible): Promise<void> {
    for (;;) {
      const body = this.#content.peek(file);
      const gap = body?.kind === 'clean' ? body.firstGap(0, body.size) : undefined;
      if (gap === undefined) return;
      const end = Math.min(gap.end, gap.start + FLIGHTS_PER_FILE * UNIT_MAX_BYTES);
      const fetch = this.#fetchOf(file);
      fetch.nextStart = gap.start;
      fetch.windowBytes = WINDOW_MAX_BYTES;
      await this.present(file, gap.start, end, request);
    }
  }

  /** Makes the whole file present, behind whatever programs wait for: a piece at a time, when nobody does. */
  async wholeBehind(file: Ino, signal: AbortSignal): Promise<void> {
    for (;;) {
      for (let waitedMs = 0; this.#waiting > 0 && waitedMs < BEHIND_LONGEST_MS; waitedMs += BEHIND_STEP_MS)
        await sleep(this.#clock, BEHIND_STEP_MS, signal);
      const body = this.#content.peek(file);
      const gap = body?.kind === 'clean' ? body.firstGap(0, body.size) : undefined;
      if (body === undefined || gap === undefined) return;
      this.#connectivity.check();
      const fetch = this.#fetchOf(file);
      const end = Math.min(gap.end, gap.start + UNIT_MAX_BYTES);
      const waiting = this.#waitFor(fetch, gap.start, end, signal, true);
      this.#launch(file, body, fetch, gap.start, end);
      await waiting;
    }
  }

  /** Whether the body still is what the file's reader reads: not replaced, and not emptied to be written anew. */
  #isCurrent(file: Ino, body: Body): boolean {
    return this.#content.peek(file) === body && body.kind === 'clean';
  }

  #fetchOf(file: Ino): FileFetch {
    let fetch = this.#fetches.get(file);
    if (fetch === undefined) {
      fetch = {
        flights: new Set(),
        waiters: new Set(),
        nextStart: 0,
        windowBytes: 0,
        jumps: 0,
        wantsRest: false,
      };
      this.#fetches.set(file, fetch);
    }
    return fetch;
  }

  /** The last use of the file's body was given back: what the reader did is no longer of interest. */
  forget(file: Ino): void {
    const fetch = this.#fetches.get(file);
    if (fetch === undefined || fetch.waiters.size > 0) return;
    // One that has all its bytes only waits for the end of the answer: called off, it would cost its connection.
    for (const flight of fetch.flights) if (flight.position < flight.end) flight.abort.abort();
    this.#fetches.delete(file);
  }

  /** `behind`: no program waits for it. */
  #waitFor(
    fetch: FileFetch,
    start: number,
    end: number,
    signal: AbortSignal | undefined,
    behind = false,
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      const onAbort = () => waiter.reject(signal?.reason);
      const done = () => {
        if (fetch.waiters.delete(waiter) && !behind) this.#waiting -= 1;
        signal?.removeEventListener('abort', onAbort);
      };
      const waiter: Waiter = {
        start,
        end,
        resolve: () => {
          done();
          resolve();
        },
        reject: (error) => {
          done();
          reject(error);
        },
      };
      fetch.waiters.add(waiter);
      if (!behind) this.#waiting += 1;
      if (signal?.aborted) onAbort();
      else signal?.addEventListener('abort', onAbort, { once: true });
    });
  }

  /** Doubles the window while the reader goes on where it stopped, and closes it when it jumps. */
  #adaptWindow(fetch: FileFetch, start: number, end: number): void {
    const near = start >= fetch.nextStart - UNIT_MIN_BYTES && start <= fetch.nextStart + UNIT_MIN_BYTES;
    if (near && end > fetch.nextStart) {
      if (fetch.nextStart > 0) {
        fetch.windowBytes = Math.min(WINDOW_MAX_BYTES, Math.max(this.#unitBytes(), fetch.windowBytes * 2));
        fetch.jumps = 0;
      }
    } else if (!near) {
      fetch.windowBytes = 0;
    }
    fetch.nextStart = near ? Math.max(end, fetch.nextStart) : end;
  }

  #readAhead(file: Ino, body: Body, fetch: FileFetch, from: number): void {
    if (fetch.windowBytes > 0)
      this.#launch(file, body, fetch, from, Math.min(body.size, from + fetch.windowBytes), UNIT_MAX_BYTES);
  }

  /** What the line moves in one round trip comes at no extra wait. */
  #unitBytes(): number {
    return Math.min(UNIT_MAX_BYTES, Math.max(UNIT_MIN_BYTES, this.#meter.bytesPerRoundTrip));
  }

  /**
   * What is fetched where the reader jumped to. One that goes on jumping waits for the rest of it at its next jump, and
   * gains by it only when it comes back: worth it where as many more jumps as there were may well hit what is fetched.
   */
  #jumpBytes(body: Body, { jumps, wantsRest }: FileFetch): number {
    if (wantsRest) return JUMP_BYTES;
    if (jumps === MEASURED_JUMP) return MEASURED_BYTES;
    const unit = this.#unitBytes();
    const mayHit = jumps * unit >= body.size - body.presentBytes;
    return jumps <= FIRST_JUMPS || mayHit ? unit : JUMP_BYTES;
  }

  #isWorthWhole(body: Body, { jumps }: FileFetch): boolean {
    if (jumps <= FIRST_JUMPS || body.size > REST_MAX_BYTES) return false;
    return jumps * this.#meter.roundTripMs * REST_SHARE >= this.#meter.timeOf(body.size - body.presentBytes);
  }

  #fetchRest(file: Ino, body: Body, fetch: FileFetch): void {
    if (fetch.wantsRest) this.#launch(file, body, fetch, 0, body.size, REST_UNIT_BYTES);
  }

  /**
   * Starts flights for what is missing of [start, end) and not under way. `aheadBytes`: no reader waits for it, and one
   * request is to ask for so much.
   */
  #launch(file: Ino, body: Body, fetch: FileFetch, start: number, end: number, aheadBytes?: number): void {
    if (body.size <= WHOLE_FILE_BYTES) {
      if (fetch.flights.size === 0) this.#fly(file, body, fetch, 0, body.size);
      return;
    }
    const unit = aheadBytes ?? (fetch.windowBytes > 0 ? UNIT_MAX_BYTES : this.#jumpBytes(body, fetch));
    let at = start;
    while (at < end) {
      const gap = body.firstGap(at, end);
      if (gap === undefined) return;
      const covered = this.#coveredUntil(fetch, gap.start);
      if (covered > gap.start) {
        at = covered;
        continue;
      }
      if (aheadBytes !== undefined && fetch.flights.size >= FLIGHTS_PER_FILE) return;
      const stop = this.#nextCovered(
        fetch,
        gap.start,
        Math.min(body.size, Math.max(gap.end, gap.start + unit)),
      );
      const limit = Math.min(stop, gap.start + (aheadBytes ?? UNIT_MAX_BYTES));
      const flightEnd = body.firstGap(gap.start, limit)?.end ?? limit;
      this.#fly(file, body, fetch, gap.start, flightEnd);
      at = flightEnd;
    }
  }

  #coveredUntil(fetch: FileFetch, position: number): number {
    for (const flight of fetch.flights)
      if (flight.position <= position && position < flight.end) return flight.end;
    return position;
  }

  #nextCovered(fetch: FileFetch, position: number, end: number): number {
    let next = end;
    for (const flight of fetch.flights)
      if (flight.position > position) next = Math.min(next, flight.position);
    return next;
  }

  #fly(file: Ino, body: Body, fetch: FileFetch, start: number, end: number): void {
    const flight: Flight = { position: start, end, abort: new AbortController() };
    fetch.flights.add(flight);
    this.#flying += 1;
    this.#stream(file, body, fetch, flight)
      .then(() => undefined)
      .catch((error: unknown) => error)
      .then((error) => {
        fetch.flights.delete(flight);
        this.#flying -= 1;
        this.#settleWaiters(file, body, fetch, flight, error);
        if (error !== undefined || !this.#isCurrent(file, body)) fetch.wantsRest = false;
        else if (!this.#closed && this.#fetches.get(file) === fetch) this.#fetchRest(file, body, fetch);
      })
      .catch((error: unknown) => this.#log.error({ ino: file, err: error }, 'a fetch could not be ended'));
  }

  async #stream(file: Ino, body: Body, fetch: FileFetch, flight: Flight): Promise<void> {
    for (let resumes = 0; flight.position < flight.end; resumes += 1) {
      const before = flight.position;
      try {
        await this.#streamOnce(file, body, fetch, flight);
        if (this.#closed || !this.#isCurrent(file, body)) return;
        if (flight.position === before) throw this.#endedEarly(file);
        this.#connectivity.succeeded();
      } catch (error) {
        if (flight.abort.signal.aborted || !isRemoteError(error, 'interrupted', 'timeout', 'not-found'))
          throw error;
        if (flight.position > before) resumes = 0;
        if (resumes >= MAX_RESUMES) throw error;
        // The path of a file that moves on the server is another one when the move is done.
        await sleep(this.#clock, RESUME_DELAY_MS * 2 ** resumes, flight.abort.signal);
      }
    }
  }

  async #streamOnce(file: Ino, body: Body, fetch: FileFetch, flight: Flight): Promise<void> {
    const path = this.#pathOf(file);
    if (path === undefined) throw this.#outdated(file);
    const version = body.etag === undefined ? {} : { etag: body.etag };
    const began = this.#clock.nowMs();
    const options = {
      start: flight.position,
      end: flight.end,
      ...version,
      signal: flight.abort.signal,
    };
    const isLarge = flight.end - flight.position >= DELIVERED_FROM_BYTES;
    const filling = isLarge ? body.beginFilling() : undefined;
    try {
      const answer =
        filling === undefined
          ? await this.#store.read(path, options)
          : await this.#store.deliver(path, options);
      this.#meter.noteRoundTrip(this.#clock.nowMs() - began);
      if (answer.totalSize !== undefined && answer.totalSize !== body.size) {
        if ('abandon' in answer) answer.abandon();
        throw this.#resized(path, answer.totalSize, body.size);
      }
      // A whole body where a range was asked for: everything that comes along is kept.
      if (answer.start < flight.position) flight.end = body.size;
      const streamBegan = this.#clock.nowMs();
      let moved = 0;
      const arrived = (start: number, end: number) => {
        moved += end - start;
        this.#rates.noteDown(end - start);
        flight.position = Math.max(flight.position, end);
        this.#wake(body, fetch);
      };
      if ('chunks' in answer) await this.#fill(file, body, flight, answer, arrived);
      else if (filling !== undefined) await this.#save(file, body, flight, answer, filling, arrived);
      this.#meter.noteTransfer(moved, this.#clock.nowMs() - streamBegan);
    } finally {
      filling?.end();
    }
  }

  async #fill(
    file: Ino,
    body: Body,
    flight: Flight,
    answer: RemoteBody,
    arrived: (start: number, end: number) => void,
  ): Promise<void> {
    let at = answer.start;
    for await (const chunk of answer.chunks) {
      if (this.#closed || !this.#isCurrent(file, body)) return;
      body.fill(at, chunk);
      arrived(at, at + chunk.length);
      at += chunk.length;
      if (flight.abort.signal.aborted) return;
    }
  }

  /** The same without the bytes coming by here. */
  async #save(
    file: Ino,
    body: Body,
    flight: Flight,
    delivery: RemoteDelivery,
    filling: Filling,
    arrived: (start: number, end: number) => void,
  ): Promise<void> {
    try {
      await delivery.saveTo(filling.file, (start, end) => {
        if (this.#closed || !this.#isCurrent(file, body)) {
          flight.abort.abort();
          return;
        }
        filling.filled(start, end);
        arrived(start, end);
      });
    } catch (error) {
      // Called off above, or by the body, which takes no bytes of the server any more.
      if (!this.#closed && this.#isCurrent(file, body)) throw error;
    }
  }

  #resized(path: RemotePath, found: number, expected: number): RemoteError {
    return new RemoteError('changed', `Cannot read "${path}": its size is ${found}, not ${expected}.`, {
      method: 'GET',
      path,
      outcome: 'none',
    });
  }

  /** The file's own path, or that of a further name of it, or of what it is a copy of. */
  #pathOf(file: Ino): RemotePath | undefined {
    const own = serverPath(this.#state, file);
    if (own !== undefined) return own;
    const node = this.#state.get(file);
    const original = node === undefined ? undefined : originalOf(this.#state, node);
    if (original !== undefined) return serverPath(this.#state, original.ino);
    for (const alias of node?.kind === 'file' ? node.aliases : []) {
      const path = serverPath(this.#state, alias);
      if (path !== undefined) return path;
    }
    return undefined;
  }

  /** The reader's version is not to be had any more. */
  #outdated(file: Ino): RemoteError {
    const context = { method: 'GET', path: this.#pathOf(file) ?? REMOTE_ROOT, outcome: 'none' as const };
    return new RemoteError(
      'changed',
      `Cannot read inode ${file}: the server no longer has this version.`,
      context,
    );
  }

  #endedEarly(file: Ino): RemoteError {
    const context = { method: 'GET', path: this.#pathOf(file) ?? REMOTE_ROOT, outcome: 'none' as const };
    return new RemoteError(
      'protocol',
      `Cannot read inode ${file}: the server sent nothing of what was asked for.`,
      context,
    );
  }

  #wake(body: Body, fetch: FileFetch): void {
    for (const waiter of [...fetch.waiters]) if (body.has(waiter.start, waiter.end)) waiter.resolve();
  }

  #settleWaiters(file: Ino, old: Body, fetch: FileFetch, flight: Flight, error: unknown): void {
    // The file may have been closed and opened again since: the same version in another body.
    const current = this.#content.peek(file);
    const body = current?.kind === 'clean' && current.etag === old.etag ? current : old;
    this.#wake(body, fetch);
    if (isRemoteError(error)) this.#connectivity.failed(error);
    for (const waiter of [...fetch.waiters]) {
      const gap = body.firstGap(waiter.start, waiter.end);
      if (gap === undefined || this.#coveredUntil(fetch, gap.start) > gap.start) continue;
      if (error !== undefined) waiter.reject(error);
      else if (this.#closed || !this.#isCurrent(file, body)) waiter.reject(this.#outdated(file));
      else this.#launch(file, body, fetch, gap.start, waiter.end);
    }
    if (error !== undefined && !flight.abort.signal.aborted && !isRemoteError(error)) {
      this.#log.error({ ino: file, err: error }, 'a fetch failed');
    }
  }
}
