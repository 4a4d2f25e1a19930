/**
 * A server whose address or settings may change while requests run: each request goes to the store of the moment and
 * ends there. What fails on one that was replaced meanwhile, and surely had no effect, is asked of the present one.
 */

import type { Clock, Timer } from '../../base/index.js';
import type {
  Capabilities,
  ETag,
  MoveOptions,
  Quota,
  ReadOptions,
  RemoteBody,
  RemoteDelivery,
  RemoteEntry,
  RemotePath,
  RemoteStore,
  RequestOptions,
  UploadBody,
  WriteOptions,
  WriteResult,
} from '../../remote/index.js';
import { isRemoteError } from '../../remote/index.js';

export interface SwitchableStore extends RemoteStore {
  /** Requests at a time. */
  maxConnections: number;
  /** Requests that run now, to the end of their bodies. */
  readonly running: number;
}

/** How often it is looked whether a replaced store has done its last request; each has deadlines of its own. */
const LOOK_EVERY_MS = 1_000;

export class SwitchedStore implements RemoteStore {
  readonly #clock: Clock;
  readonly #onCloseError: (error: unknown) => void;
  /** Replaced, with requests that run still. */
  readonly #retired = new Map<SwitchableStore, Timer>();
  #current: SwitchableStore;

  /** @param onCloseError told when a store that was replaced does not close. */
  constructor(first: SwitchableStore, clock: Clock, onCloseError: (error: unknown) => void) {
    this.#current = first;
    this.#clock = clock;
    this.#onCloseError = onCloseError;
  }

  get capabilities(): Capabilities {
    return this.#current.capabilities;
  }

  get maxConnections(): number {
    return this.#current.maxConnections;
  }

  set maxConnections(limit: number) {
    this.#current.maxConnections = limit;
  }

  /** Requests from now on go to `next`; the one before is closed when its last request has ended. */
  switchTo(next: SwitchableStore): void {
    const before = this.#current;
    this.#current = next;
    this.#retire(before);
  }

  async *list(dir: RemotePath, options?: RequestOptions): AsyncGenerator<readonly RemoteEntry[]> {
    const store = this.#current;
    let hasBegun = false;
    try {
      for await (const batch of store.list(dir, options)) {
        hasBegun = true;
        yield batch;
      }
    } catch (error) {
      if (hasBegun || !this.#isWorthAnother(store, error)) throw error;
      yield* this.list(dir, options);
    }
  }

  stat(path: RemotePath, options?: RequestOptions): Promise<RemoteEntry> {
    return this.#on((store) => store.stat(path, options));
  }

  read(path: RemotePath, options?: ReadOptions): Promise<RemoteBody> {
    return this.#on((store) => store.read(path, options));
  }

  deliver(path: RemotePath, options?: ReadOptions): Promise<RemoteDelivery> {
    return this.#on((store) => store.deliver(path, options));
  }

  write(path: RemotePath, body: UploadBody, options: WriteOptions): Promise<WriteResult> {
    return this.#on((store) => store.write(path, body, options));
  }

  makeDirectory(path: RemotePath, options?: RequestOptions): Promise<void> {
    return this.#on((store) => store.makeDirectory(path, options));
  }

  remove(
    path: RemotePath,
    options?: RequestOptions & { readonly etag?: ETag; readonly directory?: boolean },
  ): Promise<void> {
    return this.#on((store) => store.remove(path, options));
  }

  move(from: RemotePath, to: RemotePath, options: RequestOptions & MoveOptions): Promise<void> {
    return this.#on((store) => store.move(from, to, options));
  }

  copy(from: RemotePath, to: RemotePath, options: RequestOptions & MoveOptions): Promise<void> {
    return this.#on((store) => store.copy(from, to, options));
  }

  quota(options?: RequestOptions): Promise<Quota | undefined> {
    return this.#on((store) => store.quota(options));
  }

  probe(options?: RequestOptions): Promise<Capabilities> {
    return this.#on((store) => store.probe(options));
  }

  async close(): Promise<void> {
    const stores = [this.#current, ...this.#retired.keys()];
    for (const timer of this.#retired.values()) timer.cancel();
    this.#retired.clear();
    await Promise.all(stores.map((store) => store.close()));
  }

  async #on<T>(request: (store: SwitchableStore) => Promise<T>): Promise<T> {
    for (;;) {
      const store = this.#current;
      try {
        return await request(store);
      } catch (error) {
        if (!this.#isWorthAnother(store, error)) throw error;
      }
    }
  }

  /** Whatever a server says that was left meanwhile: it is the present one that counts. */
  #isWorthAnother(store: SwitchableStore, error: unknown): boolean {
    if (store === this.#current || !isRemoteError(error)) return false;
    return error.code !== 'aborted' && error.outcome === 'none';
  }

  #retire(store: SwitchableStore): void {
    if (store.running === 0) {
      this.#retired.delete(store);
      store.close().catch(this.#onCloseError);
      return;
    }
    this.#retired.set(
      store,
      this.#clock.after(LOOK_EVERY_MS, () => this.#retire(store)),
    );
  }
}
