/**
 * The product's core on a descriptor that another process holds, for the tests of taking a mount over: it serves until
 * it is killed, or kills itself at the point that it is told to. Its server is in memory, the same at each start, and
 * takes no changes. Its argument is a JSON object of {@link TakeoverOptions}; it sends `ready` over IPC.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Log, SystemClock } from '../../../src/base/index.js';
import { connectInvalidation, createBridge, settleReferences } from '../../../src/bridge/index.js';
import { openContentStore } from '../../../src/content/index.js';
import { nodeContents } from '../../../src/daemon/node-contents.js';
import { FuseSession, type InitFlag, type Negotiated } from '../../../src/fuse/index.js';
import { joinRemote, REMOTE_ROOT } from '../../../src/remote/index.js';
import { openState } from '../../../src/state/index.js';
import { SyncEngine } from '../../../src/sync/index.js';
import { openHandleLog, Vfs } from '../../../src/vfs/index.js';
import { FakeRemoteStore } from '../fake-remote.js';
import { FaultyRemoteStore } from '../faulty-remote.js';
import { SERVER_FILE, serverBytes } from './takeover-files.js';

export interface TakeoverOptions {
  readonly fd: number;
  /** Where state, content, handle log and session record are. */
  readonly dir: string;
  readonly connection: string;
  readonly maskInitFlags?: readonly InitFlag[];
}

/** When to die: the `nth` time that an operation was just received, or is about to be answered. */
export interface DeathWish {
  readonly operation: string;
  readonly when: 'received' | 'done';
  readonly nth: number;
}

export type TakeoverMessage =
  | { readonly ready: true; readonly adopted: { readonly files: number; readonly directories: number } }
  | { readonly armed: true }
  | { readonly trouble: string }
  | { readonly ended: string };

const HOUR_MS = 3_600_000;
/** Long enough for a kill in the middle of a large read. */
const CHUNK_PAUSE_MS = 2;

const options = JSON.parse(process.argv[2] ?? '{}') as TakeoverOptions;
const recordPath = join(options.dir, 'session.json');
const tell = (message: TakeoverMessage) => process.send?.(message);

const log: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: (fields, message) => tell({ trouble: `${message} ${text(fields)}` }),
  error: (fields, message) => tell({ trouble: `${message} ${text(fields)}` }),
};

function text(fields: object): string {
  return JSON.stringify(fields, (_, value: unknown) =>
    value instanceof Error ? value.stack : typeof value === 'bigint' ? String(value) : value,
  );
}

function earlierSession(): Negotiated | undefined {
  try {
    const { flags, ...rest } = JSON.parse(readFileSync(recordPath, 'utf8')) as Negotiated & {
      readonly flags: readonly InitFlag[];
    };
    return { ...rest, flags: new Set(flags) };
  } catch {
    return undefined;
  }
}

const clock = new SystemClock();
const resume = earlierSession();
const state = openState({ dir: join(options.dir, 'state'), clock, log });
state.origins.begin(options.connection);
const content = openContentStore({
  dir: join(options.dir, 'content'),
  presence: state.sideTable('presence'),
  clock,
  log,
  limits: { maxCleanBytes: 1 << 30, minFreeBytes: 0 },
});
await content.reconcile(nodeContents(state));
const store = new FakeRemoteStore({
  // The same times, and so the same tags, at each start.
  clock: { nowMs: () => 0, nowNs: () => 0n, after: (delayMs, act) => clock.after(delayMs, act) },
  pause: (verb) => new Promise((resolve) => setTimeout(resolve, verb === 'read' ? CHUNK_PAUSE_MS : 0)),
});
store.writeDirect(joinRemote(REMOTE_ROOT, SERVER_FILE), serverBytes());
// A server in memory forgets with the process what it took.
const WRITES: readonly string[] = ['write', 'makeDirectory', 'remove', 'move', 'copy'];
const refusing = new FaultyRemoteStore(store, ({ verb }) =>
  WRITES.includes(verb) ? { kind: 'before', code: 'forbidden' } : undefined,
);
const engine = new SyncEngine(
  { state, content, store: refusing, clock, random: Math.random, log: { ...log, warn: () => undefined } },
  {
    hostName: 'here',
    owner: { uid: 0, gid: 0, fileMode: 0o644, dirMode: 0o755 },
    freshnessMs: HOUR_MS,
    uploadDelayMs: HOUR_MS,
    copyIntervalMs: HOUR_MS,
    maxConnections: 4,
  },
);
const handleLog = openHandleLog({ path: join(options.dir, 'handles'), connection: options.connection, log });
const vfs = new Vfs({
  state,
  content,
  sync: engine,
  clock,
  options: { readOnly: false, sync: 'write-back', volumeSizeBytes: undefined },
  handleLog,
});
const adopted = resume === undefined ? { files: 0, directories: 0, lost: [] } : vfs.adopt();
if (adopted.lost.length > 0) tell({ trouble: `lost handles of ${adopted.lost}` });
engine.start();

let wish: DeathWish | undefined;
let seen = 0;
function dieIf(line: string): void {
  if (wish === undefined) return;
  if (!line.startsWith(`${wish.when === 'received' ? '->' : '<-'} ${wish.operation} `)) return;
  seen += 1;
  if (seen === wish.nth) process.kill(process.pid, 'SIGKILL');
}

const timeouts = { entryTimeoutMs: 1000, attrTimeoutMs: 1000, negativeTimeoutMs: 1000 };
const session = new FuseSession({
  fd: options.fd,
  handlers: createBridge({ vfs, timeouts, log }),
  clock,
  options: {
    extraFlags: ['HANDLE_KILLPRIV_V2'],
    ...(options.maskInitFlags === undefined ? {} : { maskInitFlags: options.maskInitFlags }),
  },
  ...(resume === undefined ? {} : { resume }),
  trace: dieIf,
  onUnexpectedError: (error, operation) => tell({ trouble: `${operation}: ${String(error)}` }),
});
connectInvalidation({
  sync: engine,
  notify: session.notify,
  isKnown: (ino) => vfs.inodes.isInUse(ino),
  log,
});
process.on('message', (message: DeathWish | 'hand over') => {
  if (message === 'hand over') {
    void session.close({ keepDescriptor: true }).then(async () => {
      await engine.close();
      await content.close();
      await state.close();
      process.disconnect();
    });
    return;
  }
  wish = message;
  seen = 0;
  tell({ armed: true });
});
void session.closed.then((end) => tell({ ended: end.reason }));
session.start();
if (resume !== undefined) settleReferences({ vfs, notify: session.notify, clock, log });
const negotiated = await session.ready;
writeFileSync(recordPath, JSON.stringify({ ...negotiated, flags: [...negotiated.flags] }));
tell({ ready: true, adopted });
