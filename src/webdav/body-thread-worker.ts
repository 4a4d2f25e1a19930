/**
 * The thread that takes large bodies and listings, over connections of its own: each chunk is written into its file, or
 * parsed, where it arrives. It decides nothing: what is asked, with which credentials, how long, and whether the answer is
 * the right one, is said by the thread that started it (body-thread.ts).
 *
 * Node's own HTTP client, not undici: its parser is native and in the process already, which halves the processor time
 * of a body (0.37 s instead of 0.70 s of user time for 256 MiB) and the start of the thread.
 */

import * as http from 'node:http';
import * as https from 'node:https';
import { constants, getPriority, setPriority } from 'node:os';
import { rootCertificates, type TLSSocket } from 'node:tls';
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { type GatedWrite, systemErrorCode } from '../base/index.js';
import { BlockWriter } from './block-writer.js';
import { BATCHES_AHEAD, type FromThread, type ThreadFailure, type ToThread } from './body-thread-messages.js';
import { type DavResponse, MultistatusError, MultistatusReader } from './multistatus.js';
import { KEEP_ALIVE_MS, type PoolOptions } from './pool-options.js';

/**
 * The thread that answers the kernel goes first where processors are few: getattr beside 256 MiB that come down is answered in
 * half the time (median 0.5 ms instead of 1.0, 99th percentile 15 instead of 24), and the bytes come as fast.
 */
const NICER_BY = 4;

/** Progress is told this often: a message costs both threads more than a chunk does. */
const TELL_EVERY_MS = 1;
const TELL_EVERY_BYTES = 256 * 1024;

type Opening = Extract<ToThread, { readonly kind: 'open' }>;

/** 207 Multi-Status (RFC 4918 section 11.1). */
const MULTI_STATUS = 207;

/** What becomes of the bytes that come. */
type Use =
  | { readonly kind: 'save'; readonly writer: BlockWriter }
  | { readonly kind: 'parse'; readonly reader: MultistatusReader }
  | { readonly kind: 'drain'; left: number };

/** Connections to one server, kept for the next request. */
class Connections {
  readonly #origin: URL;
  readonly #agent: http.Agent;
  readonly #request: typeof http.request;

  constructor({ origin, ca }: PoolOptions) {
    this.#origin = new URL(origin);
    const kept = { keepAlive: true, timeout: KEEP_ALIVE_MS };
    if (this.#origin.protocol === 'https:') {
      this.#request = https.request;
      const trusted = ca === undefined ? {} : { ca: [...rootCertificates, ca] };
      this.#agent = new https.Agent({ ...kept, ...trusted, minVersion: 'TLSv1.2' });
    } else {
      this.#request = http.request;
      this.#agent = new http.Agent(kept);
    }
  }

  open({ method, path, headers }: Opening): http.ClientRequest {
    return this.#request(this.#origin, { method, path, headers: { ...headers }, agent: this.#agent });
  }
}

class Request {
  readonly #id: number;
  readonly #thread: BodyServer;
  readonly #request: http.ClientRequest;
  readonly #parses: boolean;
  #answer: http.IncomingMessage | undefined;
  #writer: BlockWriter | undefined;
  #reader: MultistatusReader | undefined;
  /** Batches of responses that were not used up yet. */
  #batches = 0;
  #isOver = false;

  constructor({ id, content, parses }: Opening, thread: BodyServer, request: http.ClientRequest) {
    this.#id = id;
    this.#thread = thread;
    this.#request = request;
    this.#parses = parses;
    request.on('socket', (socket) => {
      const started = () => {
        if (!this.#isOver) this.#thread.tell({ kind: 'started', id });
      };
      if (!socket.connecting) started();
      else socket.once(isTls(socket) ? 'secureConnect' : 'connect', started);
    });
    request.on('response', (answer) => this.#onAnswer(answer));
    request.on('error', (error) => this.#failLine(error));
    request.end(content);
  }

  /** Until it is said what becomes of the body, the connection rests. */
  use(use: Use): void {
    if (use.kind === 'save') this.#writer = use.writer;
    if (use.kind === 'parse') this.#reader = use.reader;
    this.#answer?.on('data', (chunk: Buffer) => {
      if (this.#isOver) return;
      if (use.kind === 'save') this.#write((writer) => writer.push(chunk));
      else if (use.kind === 'parse') this.#parse(chunk.length, () => use.reader.write(chunk));
      else this.#drop(use, chunk);
    });
  }

  /** A batch of responses was used up. */
  more(): void {
    this.#batches -= 1;
    if (this.#batches < BATCHES_AHEAD) this.#answer?.resume();
  }

  /** Ends it without a word. */
  abort(): void {
    this.#isOver = true;
    this.#thread.forget(this.#id);
    this.#request.destroy();
  }

  #onAnswer(answer: http.IncomingMessage): void {
    if (this.#isOver) return;
    this.#answer = answer;
    answer.on('end', () => {
      if (!this.#isOver) this.#end();
    });
    answer.on('error', (error) => this.#failLine(error));
    const { statusCode: status = 0, headers } = answer;
    const isParsed = this.#parses && status === MULTI_STATUS;
    this.#thread.tell({ kind: 'head', id: this.#id, status, headers, isParsed });
    if (isParsed) this.use({ kind: 'parse', reader: new MultistatusReader() });
  }

  #drop(use: Extract<Use, { kind: 'drain' }>, chunk: Buffer): void {
    use.left -= chunk.length;
    if (use.left >= 0) return;
    this.#end();
    this.#request.destroy();
  }

  /** Brings what has come into the file, also what fills no block. False where that came to nothing, which is told. */
  flush(): boolean {
    return this.#write((writer) => writer.flush());
  }

  #write(write: (writer: BlockWriter) => GatedWrite): boolean {
    const writer = this.#writer;
    if (writer === undefined) return true;
    const before = writer.end;
    try {
      const written = write(writer);
      if (written !== 'written') {
        this.#fail({ kind: written });
        return false;
      }
    } catch (error) {
      this.#fail({ kind: 'file', ...describe(error) });
      return false;
    }
    if (writer.end > before) this.#thread.noteProgress(this.#id, writer.end, writer.end - before);
    this.#thread.noteHeld(this, writer.holds);
    return true;
  }

  /** False where what came is no multistatus, which is told. */
  #parse(bytes: number, read: () => readonly DavResponse[]): boolean {
    let responses: readonly DavResponse[];
    try {
      responses = read();
    } catch (error) {
      if (!(error instanceof MultistatusError)) throw error;
      this.#fail({ kind: 'multistatus', message: error.message });
      return false;
    }
    this.#thread.tell({ kind: 'responses', id: this.#id, bytes, responses });
    this.#batches += 1;
    if (this.#batches >= BATCHES_AHEAD) this.#answer?.pause();
    return true;
  }

  #end(): void {
    const reader = this.#reader;
    if (!this.flush() || (reader !== undefined && !this.#parse(0, () => reader.end()))) return;
    this.#thread.tellProgress();
    this.#thread.tell({ kind: 'end', id: this.#id });
    this.#isOver = true;
    this.#thread.forget(this.#id);
  }

  #failLine(error: Error): void {
    // What has come need not come again.
    if (this.#isOver || !this.flush()) return;
    this.#fail({ kind: 'line', code: systemErrorCode(error), message: error.message });
  }

  #fail(failure: ThreadFailure): void {
    this.#thread.tellProgress();
    this.#thread.tell({ kind: 'failed', id: this.#id, failure });
    this.abort();
  }
}

function isTls(socket: object): socket is TLSSocket {
  return 'encrypted' in socket;
}

class BodyServer {
  readonly #port: MessagePort;
  readonly #connections: Connections;
  readonly #requests = new Map<number, Request>();
  /** How far files are written, by request, as far as that was not told. */
  readonly #ends = new Map<number, number>();
  /** Who may hold bytes that are not in the file yet. */
  readonly #holding = new Set<Request>();
  #untoldBytes = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(port: MessagePort, options: PoolOptions, refusal: string | undefined) {
    this.#port = port;
    this.#connections = new Connections(options);
    port.on('message', (message: ToThread) => this.#hear(message));
    this.tell({ kind: 'ready', refusal });
  }

  tell(message: FromThread): void {
    this.#port.postMessage(message);
  }

  noteProgress(id: number, end: number, bytes: number): void {
    this.#ends.set(id, end);
    this.#untoldBytes += bytes;
    if (this.#untoldBytes >= TELL_EVERY_BYTES) this.tellProgress();
    else this.#armTimer();
  }

  /** Whether bytes are held that somebody may wait for: on a slow line their block is not full soon. */
  noteHeld(request: Request, holds: boolean): void {
    if (!holds) {
      this.#holding.delete(request);
      return;
    }
    this.#holding.add(request);
    this.#armTimer();
  }

  tellProgress(): void {
    if (this.#holding.size === 0) {
      clearTimeout(this.#timer);
      this.#timer = undefined;
    }
    this.#untoldBytes = 0;
    if (this.#ends.size === 0) return;
    this.tell({ kind: 'progress', ends: [...this.#ends].flat() });
    this.#ends.clear();
  }

  forget(id: number): void {
    const request = this.#requests.get(id);
    if (request !== undefined) this.#holding.delete(request);
    this.#requests.delete(id);
    this.#ends.delete(id);
  }

  #armTimer(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      for (const request of [...this.#holding]) request.flush();
      this.tellProgress();
    }, TELL_EVERY_MS);
  }

  #hear(message: ToThread): void {
    if (message.kind === 'open') {
      const request = this.#connections.open(message);
      this.#requests.set(message.id, new Request(message, this, request));
      return;
    }
    // What ended meanwhile has been told of.
    const request = this.#requests.get(message.id);
    switch (message.kind) {
      case 'save':
        request?.use({ kind: 'save', writer: new BlockWriter(message.file, message.position) });
        return;
      case 'more':
        request?.more();
        return;
      case 'drain':
        request?.use({ kind: 'drain', left: message.limit });
        return;
      case 'abort':
        request?.abort();
        return;
    }
  }
}

function describe(error: unknown): {
  readonly code: string | undefined;
  readonly errno: number | undefined;
  readonly message: string;
} {
  const message = error instanceof Error ? error.message : String(error);
  const errno = error instanceof Error && 'errno' in error ? error.errno : undefined;
  return { code: systemErrorCode(error), errno: typeof errno === 'number' ? errno : undefined, message };
}

/** setpriority(2) of this thread alone: on Linux the niceness is the thread's. Gives the reason where that is not allowed. */
function giveWay(): string | undefined {
  try {
    setPriority(Math.min(constants.priority.PRIORITY_LOW, getPriority() + NICER_BY));
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

if (parentPort !== null) new BodyServer(parentPort, workerData as PoolOptions, giveWay());
