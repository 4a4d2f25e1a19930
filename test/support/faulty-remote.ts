/** Faults as a decorator of any RemoteStore: by script, or at random from a seed. */

import {
  type Capabilities,
  type ETag,
  isRemoteError,
  type MoveOptions,
  type Outcome,
  type Quota,
  REMOTE_ROOT,
  type ReadOptions,
  type RemoteBody,
  type RemoteDelivery,
  type RemoteEntry,
  RemoteError,
  type RemoteErrorCode,
  type RemotePath,
  type RemoteStore,
  type RequestOptions,
  type UploadBody,
  type WriteOptions,
  type WriteResult,
} from '../../src/remote/index.js';
import { asDelivery } from './delivery.js';
import type { FakeVerb } from './fake-remote.js';

/** What goes wrong with one call. */
export type Fault =
  /** The request never reaches the server. */
  | { readonly kind: 'before'; readonly code: RemoteErrorCode; readonly retryAfterMs?: number }
  /** The server does it, the answer is lost: the outcome is unknown. For reads the same as `before`. */
  | { readonly kind: 'after'; readonly code: RemoteErrorCode }
  /** The body of a read, a listing or a write ends with `interrupted` after so many bytes (batches of a listing). */
  | { readonly kind: 'cut'; readonly afterBytes: number }
  /** All of it was sent, the answer never comes, and the server does it when {@link FaultyRemoteStore.arrive} is called. */
  | { readonly kind: 'late' }
  /** The call gives way so many times first, so that others overtake it. */
  | { readonly kind: 'slow'; readonly turns: number };

export interface FaultCall {
  readonly verb: FakeVerb;
  readonly path: RemotePath;
  /** 1 for the first call of all. */
  readonly nth: number;
}

/** Says what goes wrong with a call, or undefined. */
export type FaultPlan = (call: FaultCall) => Fault | undefined;

/** A plan of rules, each used once, in order: the first whose verb and path match. */
export function scriptedFaults(
  rules: ReadonlyArray<{ readonly verb?: FakeVerb; readonly path?: string; readonly fault: Fault }>,
): FaultPlan {
  const left = [...rules];
  return (call) => {
    const index = left.findIndex(
      (rule) =>
        (rule.verb === undefined || rule.verb === call.verb) &&
        (rule.path === undefined || rule.path === call.path),
    );
    return index < 0 ? undefined : left.splice(index, 1)[0]?.fault;
  };
}

const RANDOM_CODES: readonly RemoteErrorCode[] = [
  'unreachable',
  'timeout',
  'server',
  'throttled',
  'interrupted',
];

/** Faults for a share of the calls (0 to 1), chosen by `random` (0 to 1). */
export function randomFaults(random: () => number, share: number): FaultPlan {
  return () => {
    if (random() >= share) return undefined;
    const code = RANDOM_CODES[Math.floor(random() * RANDOM_CODES.length)] ?? 'server';
    const kind = random();
    if (kind < 0.35) return { kind: 'before', code };
    if (kind < 0.65) return { kind: 'after', code: code === 'unreachable' ? 'interrupted' : code };
    if (kind < 0.85) return { kind: 'cut', afterBytes: Math.floor(random() * 64) };
    return { kind: 'slow', turns: 1 + Math.floor(random() * 8) };
  };
}

/** One that changes something. */
interface Request {
  readonly verb: FakeVerb;
  readonly path: RemotePath;
  /** What it makes, or removes. */
  readonly place: RemotePath;
}

/** All of a request was sent, and the server has not done it yet. */
interface UnderWay extends Request {
  readonly work: () => Promise<unknown>;
}

/** Verbs whose requests a server that honours conditions can carry out late without harm. */
const LATE_VERBS: ReadonlySet<FakeVerb> = new Set<FakeVerb>(['write', 'makeDirectory', 'copy']);

/** As {@link randomFaults}, where half of the faults of what may be late are just that. */
export function lateFaults(random: () => number, share: number): FaultPlan {
  const others = randomFaults(random, share);
  return (call) => (LATE_VERBS.has(call.verb) && random() < share / 2 ? { kind: 'late' } : others(call));
}

export class FaultyRemoteStore implements RemoteStore {
  readonly inner: RemoteStore;
  /** Every fault that was played. */
  readonly played: Array<FaultCall & { readonly fault: Fault }> = [];
  /** Reads whose bytes went into a file. */
  deliveries = 0;
  /** The same for all daemons. */
  readonly #line: { underWay: readonly UnderWay[]; readonly places: Set<RemotePath> };
  #plan: FaultPlan;
  #calls = 0;

  /** `before`: that of a daemon which was killed, whose requests may still be on their way. */
  constructor(inner: RemoteStore, plan: FaultPlan, before?: FaultyRemoteStore) {
    this.inner = inner;
    this.#plan = plan;
    this.#line = before === undefined ? { underWay: [], places: new Set() } : before.#line;
  }

  get capabilities(): Capabilities {
    return this.inner.capabilities;
  }

  /** Replaces the plan; `undefined` plays no more faults. */
  setPlan(plan: FaultPlan | undefined): void {
    this.#plan = plan ?? (() => undefined);
  }

  async *list(dir: RemotePath, options?: RequestOptions): AsyncIterable<readonly RemoteEntry[]> {
    const fault = this.#next('list', dir);
    await failBefore('list', dir, fault, true);
    let batches = 0;
    for await (const batch of this.inner.list(dir, options)) {
      if (fault?.kind === 'cut' && batches >= fault.afterBytes) throw cut('list', dir, 'none');
      batches += 1;
      yield batch;
    }
  }

  stat(path: RemotePath, options?: RequestOptions): Promise<RemoteEntry> {
    return this.#ask('stat', path, () => this.inner.stat(path, options));
  }

  async read(path: RemotePath, options?: ReadOptions): Promise<RemoteBody> {
    const fault = this.#next('read', path);
    await failBefore('read', path, fault, true);
    const body = await this.inner.read(path, options);
    if (fault?.kind !== 'cut') return body;
    return { ...body, chunks: cutChunks(body.chunks, fault.afterBytes, () => cut('read', path, 'none')) };
  }

  async deliver(path: RemotePath, options: ReadOptions = {}): Promise<RemoteDelivery> {
    this.deliveries += 1;
    return asDelivery(path, await this.read(path, options));
  }

  write(path: RemotePath, body: UploadBody, options: WriteOptions): Promise<WriteResult> {
    return this.#change('write', path, async (fault) => {
      if (fault?.kind === 'late') {
        const content = await collect(asChunks(body.open()));
        options.onSent?.();
        const { condition } = options;
        return this.#delay('write', path, path, () =>
          this.inner.write(path, { size: body.size, open: () => content }, { condition }),
        );
      }
      if (fault?.kind !== 'cut' || fault.afterBytes >= body.size)
        return this.inner.write(path, body, options);
      const broken: UploadBody = {
        size: body.size,
        open: () => cutChunks(asChunks(body.open()), fault.afterBytes, () => cut('write', path, 'none')),
      };
      return this.inner.write(path, broken, options);
    });
  }

  makeDirectory(path: RemotePath, options?: RequestOptions): Promise<void> {
    return this.#change('makeDirectory', path, () => this.inner.makeDirectory(path, options));
  }

  remove(
    path: RemotePath,
    options?: RequestOptions & { readonly etag?: ETag; readonly directory?: boolean },
  ): Promise<void> {
    return this.#change('remove', path, () => this.inner.remove(path, options));
  }

  move(from: RemotePath, to: RemotePath, options: RequestOptions & MoveOptions): Promise<void> {
    return this.#change('move', from, () => this.inner.move(from, to, options), to);
  }

  copy(from: RemotePath, to: RemotePath, options: RequestOptions & MoveOptions): Promise<void> {
    return this.#change('copy', from, () => this.inner.copy(from, to, options), to);
  }

  quota(options?: RequestOptions): Promise<Quota | undefined> {
    return this.#ask('quota', REMOTE_ROOT, () => this.inner.quota(options));
  }

  probe(options?: RequestOptions): Promise<Capabilities> {
    return this.#ask('probe', REMOTE_ROOT, () => this.inner.probe(options));
  }

  close(): Promise<void> {
    return this.inner.close();
  }

  /**
   * What is still on its way reaches the server, the first `count` in order, unless another that makes
   * (or removes) the same was answered since: that proves the first one dead. Returns the codes of what the server refuses.
   */
  async arrive(count = Number.POSITIVE_INFINITY): Promise<readonly RemoteErrorCode[]> {
    const refused: RemoteErrorCode[] = [];
    for (let left = count; left > 0; left -= 1) {
      const [first, ...others] = this.#line.underWay;
      if (first === undefined) break;
      this.#line.underWay = others;
      await first.work().catch((error: unknown) => {
        if (!isRemoteError(error)) throw error;
        refused.push(error.code);
      });
      this.#overtake(first);
    }
    return refused;
  }

  #delay(verb: FakeVerb, path: RemotePath, place: RemotePath, work: () => Promise<unknown>): never {
    this.#line.underWay = [...this.#line.underWay, { verb, path, place, work }];
    throw makeError('timeout', verb, path, 'unknown');
  }

  /**
   * A request was answered. Of earlier ones those that make or remove the same never reach the server, nor what was sent
   * into a directory that has moved since, nor a copy of what has changed since.
   */
  #overtake(by: Request): void {
    const isOver = (late: Request) =>
      (late.place === by.place && (late.verb === 'remove') === (by.verb === 'remove')) ||
      (by.verb === 'move' && late.place.startsWith(`${by.path}/`)) ||
      (late.verb === 'copy' && (late.path === by.path || late.path === by.place));
    this.#line.underWay = this.#line.underWay.filter((late) => !isOver(late));
  }

  #next(verb: FakeVerb, path: RemotePath): Fault | undefined {
    this.#calls += 1;
    const call: FaultCall = { verb, path, nth: this.#calls };
    const fault = this.#plan(call);
    if (fault !== undefined) this.played.push({ ...call, fault });
    return fault;
  }

  async #ask<T>(verb: FakeVerb, path: RemotePath, work: () => Promise<T>): Promise<T> {
    const fault = this.#next(verb, path);
    await failBefore(verb, path, fault, true);
    if (fault?.kind === 'cut') throw cut(verb, path, 'none');
    return work();
  }

  async #change<T>(
    verb: FakeVerb,
    path: RemotePath,
    work: (fault: Fault | undefined) => Promise<T>,
    place = path,
  ): Promise<T> {
    const planned = this.#next(verb, path);
    // One for each place.
    const isSecond = planned?.kind === 'late' && this.#line.places.has(place);
    const fault: Fault | undefined = isSecond ? { kind: 'before', code: 'timeout' } : planned;
    if (planned?.kind === 'late') this.#line.places.add(place);
    await failBefore(verb, path, fault, false);
    if (fault?.kind === 'late' && verb !== 'write') this.#delay(verb, path, place, () => work(undefined));
    const result = await work(fault).finally(() => {
      if (fault?.kind !== 'late') this.#overtake({ verb, path, place });
    });
    if (fault?.kind === 'after') throw makeError(fault.code, verb, path, 'unknown');
    // A cut of what has no body to cut is a lost answer.
    if (fault?.kind === 'cut') throw cut(verb, path, 'unknown');
    return result;
  }
}

async function failBefore(
  verb: FakeVerb,
  path: RemotePath,
  fault: Fault | undefined,
  isRead: boolean,
): Promise<void> {
  if (fault?.kind === 'slow') for (let turn = 0; turn < fault.turns; turn += 1) await Promise.resolve();
  if (fault?.kind === 'before') throw makeError(fault.code, verb, path, 'none', fault.retryAfterMs);
  if (isRead && fault?.kind === 'after') throw makeError(fault.code, verb, path, 'none');
}

async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) parts.push(chunk);
  return Buffer.concat(parts);
}

async function* asChunks(source: Uint8Array | AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  if (source instanceof Uint8Array) yield source;
  else yield* source;
}

async function* cutChunks(
  chunks: AsyncIterable<Uint8Array>,
  afterBytes: number,
  error: () => RemoteError,
): AsyncIterable<Uint8Array> {
  let left = afterBytes;
  for await (const chunk of chunks) {
    if (chunk.length > left) {
      if (left > 0) yield chunk.subarray(0, left);
      throw error();
    }
    left -= chunk.length;
    yield chunk;
  }
}

function cut(verb: FakeVerb, path: RemotePath, outcome: Outcome): RemoteError {
  return makeError('interrupted', verb, path, outcome);
}

function makeError(
  code: RemoteErrorCode,
  verb: FakeVerb,
  path: RemotePath,
  outcome: Outcome,
  retryAfterMs?: number,
): RemoteError {
  return new RemoteError(code, `Cannot ${verb} "${path}": played fault ${code}`, {
    method: verb,
    path,
    outcome,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}
