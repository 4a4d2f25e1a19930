import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { FuseError, type FuseHandlers } from '../../../src/fuse/index.js';
import type { FuseNative, NativeHandler } from '../../../src/libfuse/binding.js';
import { NATIVE_CALLS } from '../../../src/libfuse/native-calls.js';
import { PathCalls } from '../../../src/libfuse/path-calls.js';
import { Serving } from '../../../src/libfuse/serving.js';

const NAMES = ['init', ...Object.keys(NATIVE_CALLS)];
const SLOT = Buffer.alloc(256);

function serve(handlers: FuseHandlers) {
  const signals: unknown[][] = [];
  const unexpected: unknown[] = [];
  const native: FuseNative = {
    threadBytes: 0,
    slots: NAMES.length + 1,
    mount: () => undefined,
    letGo: () => undefined,
    operation: (name) => NAMES.indexOf(name),
    signal:
      (name) =>
      (_, ...values) =>
        signals.push([name, ...values]),
  };
  const signal = new AbortController().signal;
  const calls = new PathCalls({ handlers, owner: { uid: 0, gid: 0 }, signal });
  const serving = new Serving(native, calls, (error) => unexpected.push(error));
  const ask = async (name: string, ...args: unknown[]) => {
    const handler = serving.handlers[NAMES.indexOf(name)] as NativeHandler;
    (handler as (...all: unknown[]) => void)(SLOT, NAMES.indexOf(name), ...args);
    await turn();
    return signals.pop();
  };
  return { serving, ask, signals, unexpected };
}

const lookup: FuseHandlers['lookup'] = () => {
  throw new FuseError('EACCES');
};

describe('answers to the threads of libfuse', () => {
  test('the first request makes it ready', async () => {
    const { serving, ask } = serve({});
    assert.deepEqual(await ask('init'), ['init', 0]);
    await serving.ready;
  });

  test('a failure has the values without which the thread would wait for ever', async () => {
    const { ask } = serve({ lookup });
    assert.deepEqual(await ask('getattr', '/f'), ['getattr', -13, new Uint32Array(18)]);
    assert.deepEqual(await ask('readdir', '/f'), ['readdir', -13, [], []]);
    assert.deepEqual(await ask('unlink', '/'), ['unlink', -22]);
    const room = Buffer.alloc(4);
    assert.deepEqual(await ask('getxattr', '/f', 'user.a', room, 0), ['getxattr', -13, room.buffer]);
    assert.deepEqual(await ask('read', '/f', 9, room, 4, 0, 0), ['read', -9, 0, room.buffer]);
  });

  test('what nobody expects is EIO and told', async () => {
    const error = new Error('unexpected');
    const { ask, unexpected } = serve({
      statfs: () => {
        throw error;
      },
    });
    assert.deepEqual((await ask('statfs', '/'))?.slice(0, 2), ['statfs', -5]);
    assert.deepEqual(unexpected, [error]);
  });

  test('the size protocol of getxattr and listxattr', async () => {
    const { ask } = serve({
      getxattr: () => Buffer.from('value'),
      listxattr: () => ['user.a', 'user.b'],
    });
    assert.deepEqual((await ask('getxattr', '/', 'user.a', Buffer.alloc(0), 0))?.[1], 5);
    assert.deepEqual((await ask('getxattr', '/', 'user.a', Buffer.alloc(4), 0))?.[1], -34);
    const room = Buffer.alloc(20);
    assert.deepEqual((await ask('listxattr', '/', room))?.[1], 14);
    assert.equal(room.toString('latin1', 0, 14), 'user.a\0user.b\0');
  });

  test('after the end every question is refused without asking the file system', async () => {
    const { serving, ask } = serve({ lookup });
    serving.end();
    assert.deepEqual(await ask('unlink', '/f'), ['unlink', -107]);
  });
});
