/**
 * Receive and reply buffers with a bound: reused, handed out one owner at a time, and counted while a handler holds
 * them. The pool refuses nobody; the reader looks at `exhausted` before it takes another request, so that what is held
 * goes over the limit by one request at most.
 */

/** A buffer with the view that decoders and encoders use on it. */
export interface Lease {
  readonly bytes: Buffer;
  readonly view: DataView;
}

/** Free buffers of each size that are kept for reuse. */
const KEPT_PER_SIZE = 4;

function allocate(sizeBytes: number): Lease {
  const bytes = Buffer.allocUnsafeSlow(sizeBytes);
  return { bytes, view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength) };
}

export class BufferPool {
  /** Ascending; a request larger than the last gets a buffer of its own size. */
  readonly #sizes: readonly number[];
  readonly #free = new Map<number, Lease[]>();
  readonly #limitBytes: number;
  #heldBytes = 0;

  constructor(sizes: readonly number[], limitBytes: number) {
    this.#sizes = [...new Set(sizes)].sort((a, b) => a - b);
    this.#limitBytes = limitBytes;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  get exhausted(): boolean {
    return this.#heldBytes >= this.#limitBytes;
  }

  /** A buffer of at least `minBytes`, its content undefined. Give it back exactly once. */
  take(minBytes: number): Lease {
    const size = this.#sizes.find((each) => each >= minBytes) ?? minBytes;
    const lease = this.#free.get(size)?.pop() ?? allocate(size);
    this.#heldBytes += lease.bytes.length;
    return lease;
  }

  give(lease: Lease): void {
    const size = lease.bytes.length;
    this.#heldBytes -= size;
    if (!this.#sizes.includes(size)) return;
    const free = this.#free.get(size);
    if (free === undefined) this.#free.set(size, [lease]);
    else if (free.length < KEPT_PER_SIZE) free.push(lease);
  }
}
