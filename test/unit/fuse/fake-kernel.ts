/**
 * The kernel's end of a FUSE device for tests: a socket pair that keeps message boundaries, as the device does. It knows
 * only headers; bodies are made and read by the tests.
 */

import { closeSync, readSync, writeSync } from 'node:fs';
import koffi from 'koffi';
import {
  type FuseHandlers,
  FuseSession,
  type SessionConfig,
  type SessionOptions,
} from '../../../src/fuse/index.js';
import { IN_HEADER, INIT_IN, OUT_HEADER } from '../../../src/fuse/layouts.js';
import { opcodeRow } from '../../../src/fuse/opcodes.js';
import type { Fields, PartialValues, Struct } from '../../../src/fuse/struct.js';

const AF_UNIX = 1;
const SOCK_SEQPACKET_NONBLOCK = 5 | 0o4000;
const socketpair = koffi.load(null).func('int socketpair(int domain, int type, int protocol, void *pair)');

/** Then a test has failed. */
const LIMIT_MS = 20_000;

/** Gives the driver turns until `check` holds. */
export async function until(check: () => boolean): Promise<void> {
  const lateMs = performance.now() + LIMIT_MS;
  while (!check()) {
    if (performance.now() > lateMs) throw new Error('it did not come about');
    await new Promise((resolve) => setImmediate(resolve));
  }
}

export interface FakeReply {
  readonly unique: number;
  /** Positive errno, 0 for a success; a notification code is negative here. */
  readonly errno: number;
  readonly body: Buffer;
  readonly view: DataView;
}

/** Encodes a struct and what follows it. */
export function body<F extends Fields>(
  layout: Struct<F>,
  values: PartialValues<F>,
  ...rest: readonly (string | Uint8Array)[]
): Buffer {
  const head = Buffer.alloc(layout.size);
  layout.encode(new DataView(head.buffer, head.byteOffset, head.length), 0, values);
  return Buffer.concat([head, ...rest.map((part) => (typeof part === 'string' ? strings(part) : part))]);
}

/** NUL-terminated strings. */
export function strings(...texts: readonly string[]): Buffer {
  return Buffer.from(texts.map((text) => `${text}\0`).join(''));
}

export function opcode(name: string): number {
  for (let number = 0; number < 64; number++) if (opcodeRow(number)?.name === name) return number;
  throw new Error(`no opcode ${name}`);
}

export const ALL_FLAGS = { low: 0x7fff_fffb, high: 0x7ff };

export class FakeKernel {
  readonly fd: number;
  /** The driver's end. */
  readonly deviceFd: number;
  #unique = 0;
  #open = true;

  constructor() {
    const pair = Buffer.alloc(8);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET_NONBLOCK, 0, pair) !== 0) throw new Error('socketpair');
    this.fd = pair.readInt32LE(0);
    this.deviceFd = pair.readInt32LE(4);
  }

  /** Sends a request and returns its unique. */
  send(
    name: string | number,
    nodeId: number | bigint,
    content: Uint8Array = Buffer.alloc(0),
    header: PartialValues<{ len: 'u32'; unique: 'u64'; total_extlen: 'u16' }> = {},
  ): number {
    this.#unique += 2;
    const bytes = body(
      IN_HEADER,
      {
        len: IN_HEADER.size + content.length,
        opcode: typeof name === 'number' ? name : opcode(name),
        unique: BigInt(this.#unique),
        nodeid: BigInt(nodeId),
        uid: 1000,
        gid: 1001,
        pid: 77,
        ...header,
      },
      content,
    );
    this.sendRaw(bytes);
    return this.#unique;
  }

  sendRaw(bytes: Uint8Array): void {
    writeSync(this.fd, bytes);
  }

  /** The next message of the driver's; undefined when none comes, or the driver has closed its end. */
  async receive(): Promise<FakeReply | undefined> {
    const buffer = Buffer.alloc(256 * 1024);
    const lateMs = performance.now() + LIMIT_MS;
    while (performance.now() < lateMs) {
      try {
        const length = readSync(this.fd, buffer, 0, buffer.length, null);
        if (length === 0) return undefined;
        const view = new DataView(buffer.buffer, buffer.byteOffset, length);
        const { len, error, unique } = OUT_HEADER.decode(view, 0);
        if (len !== length) throw new RangeError(`reply says ${len} bytes, has ${length}`);
        const content = buffer.subarray(OUT_HEADER.size, length);
        return {
          unique: Number(unique & 0x7fff_ffff_ffff_ffffn),
          errno: error === 0 ? 0 : -error,
          body: content,
          view: new DataView(buffer.buffer, buffer.byteOffset + OUT_HEADER.size, content.length),
        };
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
    return undefined;
  }

  /** Sends a request and waits for its reply. */
  async call(name: string | number, nodeId: number | bigint, content?: Uint8Array): Promise<FakeReply> {
    const unique = this.send(name, nodeId, content);
    const reply = await this.receive();
    if (reply === undefined) throw new Error(`${name} was not answered`);
    if (reply.unique !== unique) throw new Error(`reply to ${reply.unique} instead of ${unique}`);
    return reply;
  }

  init(minor: number, extended = true): Promise<FakeReply> {
    const flags = extended ? ALL_FLAGS.low : ALL_FLAGS.low & ~(1 << 30);
    const full = body(INIT_IN, { major: 7, minor, max_readahead: 131072, flags, flags2: ALL_FLAGS.high });
    return this.call('INIT', 0, extended ? full : full.subarray(0, 16));
  }

  close(): void {
    if (this.#open) closeSync(this.fd);
    this.#open = false;
  }
}

export interface Bench {
  readonly kernel: FakeKernel;
  readonly session: FuseSession;
  readonly unexpected: { readonly error: unknown; readonly operation: string }[];
  readonly lines: string[];
}

/** Runs `run` with a session of these handlers, INIT done unless `minor` is 0, and closes it. */
export async function withSession(
  handlers: FuseHandlers,
  run: (bench: Bench) => Promise<void>,
  more: { readonly minor?: number; readonly options?: SessionOptions } & Partial<SessionConfig> = {},
): Promise<void> {
  const kernel = new FakeKernel();
  const unexpected: { error: unknown; operation: string }[] = [];
  const lines: string[] = [];
  const { minor = 45, ...config } = more;
  const session = new FuseSession({
    fd: kernel.deviceFd,
    handlers,
    onUnexpectedError: (error, operation) => unexpected.push({ error, operation }),
    ...config,
    trace: (line) => lines.push(line),
  });
  try {
    session.start();
    if (minor !== 0) await kernel.init(minor);
    await run({ kernel, session, unexpected, lines });
  } finally {
    await session.close();
    kernel.close();
  }
}
