/**
 * A TCP proxy on loopback that makes a near server far: it adds a round trip and, where asked, limits the line to a
 * number of bytes a second, shared by all connections. It knows nothing of HTTP. What it does not model is TCP's slow
 * start and loss.
 */

import { connect, createServer, type Server, type Socket } from 'node:net';

export interface LatencyProxyOptions {
  /** Port on loopback that connections are passed on to. */
  readonly targetPort: number;
  /** Milliseconds added to each round trip, half of it each way; a new connection costs one whole round trip more. */
  readonly rttMs: number;
  /** Bytes a second each way for all connections together; no limit when absent. */
  readonly rateBytesPerS?: number;
}

export interface LatencyStats {
  /** Bytes from clients to the server. */
  readonly upBytes: number;
  /** Bytes from the server to clients. */
  readonly downBytes: number;
  readonly connections: number;
  readonly openConnections: number;
}

export interface LatencyProxy {
  readonly port: number;
  stats(): LatencyStats;
  resetStats(): void;
  /** `false` cuts all connections and refuses new ones, as an unplugged machine does; `true` lets them in again. */
  setOnline(online: boolean): void;
  /** While held, bytes are taken and never delivered, as on a line that went dead without a word. */
  setHeld(held: boolean): void;
  setRttMs(rttMs: number): void;
  stop(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Bytes under way on an unlimited line before the sender is made to wait: 10 ms at more than 3 GB/s. */
const UNLIMITED_WINDOW_BYTES = 32 * 1024 * 1024;
/** The least window of a limited line, as of a TCP connection after its first few round trips. */
const LEAST_WINDOW_BYTES = 256 * 1024;

/** One direction of the line: when it is free to take the next byte. */
class Line {
  freeAtMs = 0;
  bytes = 0;
  readonly #rate: number | undefined;

  constructor(rateBytesPerS: number | undefined) {
    this.#rate = rateBytesPerS;
  }

  /** Books `length` bytes and says when their last one has left. */
  book(length: number, notBeforeMs: number): number {
    this.bytes += length;
    if (this.#rate === undefined) return notBeforeMs;
    this.freeAtMs = Math.max(this.freeAtMs, notBeforeMs) + (length / this.#rate) * 1000;
    return this.freeAtMs;
  }
}

interface Shared {
  rttMs: number;
  held: boolean;
  readonly windowBytes: number;
}

/** Carries what comes from one socket to another, late and in order. */
class Pipe {
  readonly #queue: Array<{ readonly dueMs: number; readonly chunk: Buffer | undefined }> = [];
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #shared: Shared;
  #queuedBytes = 0;
  #blocked = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(from: Socket, to: Socket, line: Line, shared: Shared, openAtMs: number) {
    this.#from = from;
    this.#to = to;
    this.#shared = shared;
    from.on('data', (chunk: Buffer) => {
      const leftMs = line.book(chunk.length, Math.max(performance.now(), openAtMs));
      this.#queue.push({ dueMs: leftMs + shared.rttMs / 2, chunk });
      this.#queuedBytes += chunk.length;
      if (this.#queuedBytes > shared.windowBytes) from.pause();
      this.#schedule();
    });
    from.on('end', () => {
      const last = this.#queue.at(-1)?.dueMs ?? 0;
      this.#queue.push({ dueMs: Math.max(last, performance.now() + shared.rttMs / 2), chunk: undefined });
      this.#schedule();
    });
    to.on('drain', () => {
      this.#blocked = false;
      this.#schedule();
    });
    to.on('close', () => clearTimeout(this.#timer));
  }

  /** Goes on after the line was held. */
  wake(): void {
    this.#schedule();
  }

  #schedule(): void {
    if (this.#timer !== undefined || this.#blocked || this.#shared.held || this.#to.destroyed) return;
    const head = this.#queue[0];
    if (head === undefined) return;
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined;
        this.#deliver();
      },
      Math.max(0, head.dueMs - performance.now()),
    );
  }

  #deliver(): void {
    for (;;) {
      const head = this.#queue[0];
      if (head === undefined || this.#shared.held || head.dueMs > performance.now()) break;
      this.#queue.shift();
      if (head.chunk === undefined) {
        this.#to.end();
        continue;
      }
      this.#queuedBytes -= head.chunk.length;
      if (!this.#to.write(head.chunk)) {
        this.#blocked = true;
        break;
      }
    }
    if (this.#from.isPaused() && this.#queuedBytes <= this.#shared.windowBytes / 2) this.#from.resume();
    this.#schedule();
  }
}

export async function startLatencyProxy(options: LatencyProxyOptions): Promise<LatencyProxy> {
  const rate = options.rateBytesPerS;
  const shared: Shared = {
    rttMs: options.rttMs,
    held: false,
    windowBytes:
      rate === undefined
        ? UNLIMITED_WINDOW_BYTES
        : Math.max(LEAST_WINDOW_BYTES, Math.ceil((2 * rate * options.rttMs) / 1000)),
  };
  const up = new Line(rate);
  const down = new Line(rate);
  const sockets = new Set<Socket>();
  const pipes = new Set<Pipe>();
  let connections = 0;
  let open = 0;
  let online = true;

  const server: Server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    if (!online) {
      client.resetAndDestroy();
      return;
    }
    connections += 1;
    open += 1;
    const target = connect({
      port: options.targetPort,
      host: '127.0.0.1',
      allowHalfOpen: true,
      noDelay: true,
    });
    const openAtMs = performance.now() + shared.rttMs;
    const pair = [
      new Pipe(client, target, up, shared, openAtMs),
      new Pipe(target, client, down, shared, openAtMs),
    ];
    for (const pipe of pair) pipes.add(pipe);
    const closeBoth = () => {
      if (!sockets.delete(client)) return;
      sockets.delete(target);
      open -= 1;
      for (const pipe of pair) pipes.delete(pipe);
      client.destroy();
      target.destroy();
    };
    for (const socket of [client, target]) {
      sockets.add(socket);
      // A cut on one side is a cut on the other; what it was called does not matter here.
      socket.on('error', closeBoth);
      socket.on('close', (hadError) => {
        // The server's orderly end travels through the queue; the client's needs nobody to wait for it.
        if (hadError || socket === client) closeBoth();
      });
    }
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port');

  const cutAll = () => {
    for (const socket of [...sockets]) socket.resetAndDestroy();
  };
  const stop = async () => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    cutAll();
    await closed;
  };
  return {
    port: address.port,
    stats: () => ({ upBytes: up.bytes, downBytes: down.bytes, connections, openConnections: open }),
    resetStats: () => {
      up.bytes = 0;
      down.bytes = 0;
      connections = 0;
    },
    setOnline: (value) => {
      online = value;
      if (!value) cutAll();
    },
    setHeld: (value) => {
      shared.held = value;
      if (!value) for (const pipe of pipes) pipe.wake();
    },
    setRttMs: (rttMs) => {
      shared.rttMs = rttMs;
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}
