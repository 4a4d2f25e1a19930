/**
 * The process that mounts and serves the tree for fuse-driver.test.ts, told what to do over IPC: one message, one
 * answer. Its argument is a JSON object of {@link ChildOptions}.
 */

import {
  FuseSession,
  type InitFlag,
  MountError,
  type MountMethod,
  mountKernel,
  type Negotiated,
  type SessionCounters,
  type SessionOptions,
  setReadAhead,
} from '../../src/fuse/index.js';
import { Tree, treeHandlers } from './fuse-driver-tree.js';

export interface ChildOptions {
  readonly mountPoint: string;
  readonly method?: 'auto' | MountMethod;
  readonly mixAsync?: boolean;
  readonly maxMinor?: number;
  readonly extraFlags?: readonly InitFlag[];
  readonly maskInitFlags?: readonly InitFlag[];
  readonly trace?: boolean;
  readonly readAheadKib?: number;
  readonly allowOther?: boolean;
  readonly lingerMicros?: number;
}

export type ChildRequest =
  | { readonly do: 'report' }
  | { readonly do: 'put'; readonly name: string; readonly sizeBytes: number }
  | { readonly do: 'remove'; readonly name: string }
  | { readonly do: 'hang'; readonly name: string }
  | { readonly do: 'invalEntry'; readonly name: string }
  | { readonly do: 'invalInode'; readonly name: string }
  | { readonly do: 'release'; readonly name: string }
  | { readonly do: 'fill'; readonly count: number }
  | { readonly do: 'handOver' }
  | { readonly do: 'exit' }
  | { readonly do: 'unmount'; readonly lazy: boolean };

export interface ChildReport {
  readonly lookups: Readonly<Record<string, number>>;
  readonly counts: Readonly<Record<string, number>>;
  readonly aborted: number;
  readonly resent: number;
  readonly counters: SessionCounters;
  readonly inFlight: number;
  readonly heldBytes: number;
  readonly held: readonly string[];
  readonly unexpected: readonly string[];
  readonly lines: readonly string[];
}

export interface ChildReady {
  readonly method: MountMethod;
  readonly device: string;
  readonly readAhead: boolean;
  readonly minor: number;
  readonly flags: readonly InitFlag[];
}

const options = JSON.parse(process.argv[2] ?? '{}') as ChildOptions;
const tree = new Tree({ mixAsync: options.mixAsync ?? false, timeoutMs: 60_000 });
const unexpected: string[] = [];
const lines: string[] = [];

function answer(value: unknown): void {
  // The parent lets go of the channel to say that it is done.
  if (process.connected) process.send?.(value);
}

try {
  const mounted = await mountKernel({
    mountPoint: options.mountPoint,
    fsName: 'tiny,tree with\\signs',
    method: options.method ?? 'auto',
    allowOther: options.allowOther ?? false,
  });
  const sessionOptions: SessionOptions = {
    closeWaitMs: 1000,
    ...(options.maxMinor !== undefined && { maxMinor: options.maxMinor }),
    ...(options.extraFlags !== undefined && { extraFlags: options.extraFlags }),
    ...(options.maskInitFlags !== undefined && { maskInitFlags: options.maskInitFlags }),
    ...(options.lingerMicros !== undefined && { lingerMicros: options.lingerMicros }),
  };
  const open = (resume?: Negotiated): FuseSession => {
    const opened = new FuseSession({
      fd: mounted.fd,
      handlers: treeHandlers(tree),
      options: sessionOptions,
      ...(resume !== undefined && { resume }),
      onUnexpectedError: (error, operation) => {
        unexpected.push(`${operation}: ${error instanceof Error ? error.message : String(error)}`);
      },
      ...(options.trace && { trace: (line: string) => void lines.push(line) }),
    });
    opened.start();
    void opened.closed.then((end) => answer({ ended: end.reason }));
    return opened;
  };
  let session = open();
  const negotiated = await session.ready;
  const kib = options.readAheadKib ?? 0;
  const readAhead = kib > 0 && (await setReadAhead(mounted.device, kib));

  const perform = async (request: ChildRequest): Promise<unknown> => {
    switch (request.do) {
      case 'report':
        return {
          lookups: Object.fromEntries(tree.lookups),
          counts: Object.fromEntries(tree.counts),
          aborted: tree.aborted,
          resent: tree.resent,
          counters: session.counters,
          inFlight: session.inFlight,
          heldBytes: session.heldBytes,
          held: [...tree.held.keys()],
          unexpected,
          lines,
        } satisfies ChildReport;
      case 'put': {
        const node = tree.add(1, request.name, 0o100644);
        node.data = Buffer.alloc(request.sizeBytes, 'abcdefgh');
        return node.ino;
      }
      case 'remove':
        return tree.get(1).children.delete(request.name);
      case 'hang':
        return tree.hanging.add(request.name).size;
      case 'invalEntry':
        return session.notify.invalEntry(1, request.name);
      case 'invalInode':
        return session.notify.invalInode(tree.child(1, request.name).ino);
      case 'release':
        tree.held.get(request.name)?.();
        return tree.held.delete(request.name);
      case 'fill':
        for (let index = 0; index < request.count; index++) tree.add(1, `file-${index}`, 0o100644);
        return request.count;
      case 'handOver':
        // As a daemon that dies with requests unanswered, and its successor on the same descriptor.
        await session.close({ keepDescriptor: true });
        // It asks for what is unanswered by itself.
        session = open(negotiated);
        return 'done';
      case 'exit':
        process.exit(0);
        break;
      case 'unmount':
        await mounted.unmount({ lazy: request.lazy });
        return 'unmounted';
    }
  };
  process.on('message', (request: ChildRequest & { readonly id: number }) => {
    perform(request).then(
      (value) => answer({ id: request.id, value }),
      (error: unknown) =>
        answer({ id: request.id, error: error instanceof MountError ? error.code : String(error) }),
    );
  });
  process.once('disconnect', () => {
    const stop = async (): Promise<void> => {
      await mounted.unmount({ lazy: true });
      await session.close();
    };
    stop().catch((error: unknown) => process.stderr.write(`${String(error)}\n`));
  });
  const ready: ChildReady = {
    method: mounted.method,
    device: mounted.device,
    readAhead,
    minor: negotiated.minor,
    flags: [...negotiated.flags],
  };
  answer({ ready });
} catch (error) {
  answer({ failed: error instanceof MountError ? error.code : String(error) });
  if (process.connected) process.disconnect();
}
