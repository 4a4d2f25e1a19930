import assert from 'node:assert/strict';
import { closeSync } from 'node:fs';
import { describe, test } from 'node:test';
import {
  type EntryReply,
  ERRNO,
  FuseError,
  type FuseHandlers,
  type InitFlag,
  type Negotiated,
  NOTIFY,
  OPCODES,
} from '../../../src/fuse/index.js';
import * as l from '../../../src/fuse/layouts.js';
import { seededRandom } from '../../support/random.js';
import { body, FakeKernel, opcode, strings, until, withSession } from './fake-kernel.js';

const attr = {
  ino: 9,
  size: 0,
  blocks: 0,
  atimeNs: 0n,
  mtimeNs: 0n,
  ctimeNs: 0n,
  mode: 0o100644,
  nlink: 1,
  uid: 0,
  gid: 0,
  rdev: 0,
  blksize: 4096,
};
const entry = (nodeId: number): EntryReply => ({
  nodeId,
  generation: 0,
  entryTimeoutMs: 0,
  attrTimeoutMs: 0,
  attr,
});

describe('errors', () => {
  test('FuseError is its number, anything else EIO and reported, and the session goes on', async () => {
    const handlers: FuseHandlers = {
      lookup: ({ name }) => {
        if (name === 'enoent') throw new FuseError('ENOENT');
        if (name === 'late') return Promise.reject(new FuseError('EACCES'));
        if (name === 'odd') return Promise.reject(new Error('surprise'));
        throw new TypeError('bug');
      },
    };
    await withSession(handlers, async ({ kernel, unexpected }) => {
      assert.equal((await kernel.call('LOOKUP', 1, strings('enoent'))).errno, ERRNO.ENOENT);
      assert.equal((await kernel.call('LOOKUP', 1, strings('late'))).errno, ERRNO.EACCES);
      assert.deepEqual(unexpected, []);
      assert.equal((await kernel.call('LOOKUP', 1, strings('bug'))).errno, ERRNO.EIO);
      assert.equal((await kernel.call('LOOKUP', 1, strings('odd'))).errno, ERRNO.EIO);
      assert.deepEqual(
        unexpected.map(({ operation, error }) => [operation, (error as Error).message]),
        [
          ['LOOKUP', 'bug'],
          ['LOOKUP', 'surprise'],
        ],
      );
    });
  });

  test('values that a request cannot have', async () => {
    const touched: string[] = [];
    const handlers = new Proxy<FuseHandlers>(
      {},
      { get: (_, name) => (name === 'answered' ? () => {} : () => void touched.push(String(name))) },
    );
    const huge = 2n ** 53n;
    await withSession(handlers, async ({ kernel, session }) => {
      const rows: readonly (readonly [string, number | bigint, Buffer, keyof typeof ERRNO])[] = [
        ['LOOKUP', huge, strings('a'), 'ESTALE'],
        ['LOOKUP', 1, Buffer.from([0xff, 0x41, 0]), 'EILSEQ'],
        ['SYMLINK', 1, Buffer.concat([strings('a'), Buffer.from([0xc0, 0x80, 0])]), 'EILSEQ'],
        ['WRITE', 1, body(l.WRITE_IN, { offset: huge }), 'EFBIG'],
        ['READ', 1, body(l.READ_IN, { offset: huge, size: 1 }), 'EINVAL'],
        ['READ', 1, body(l.READ_IN, { size: 2 ** 31 }), 'EINVAL'],
        ['READDIR', 1, body(l.READ_IN, { size: 2 ** 31 }), 'EINVAL'],
        ['READ', 1, body(l.READ_IN, { fh: huge }), 'EINVAL'],
        ['SETATTR', 1, body(l.SETATTR_IN, { valid: 8, size: huge }), 'EFBIG'],
        ['FALLOCATE', 1, body(l.FALLOCATE_IN, { length: huge }), 'EFBIG'],
        ['RENAME', 1, body(l.RENAME_IN, { newdir: huge }, 'a', 'b'), 'ESTALE'],
        ['LINK', 1, body(l.LINK_IN, { oldnodeid: huge }, 'a'), 'ESTALE'],
      ];
      for (const [name, nodeId, content, code] of rows) {
        assert.equal((await kernel.call(name, nodeId, content)).errno, ERRNO[code], `${name} ${code}`);
      }
      assert.deepEqual(touched, []);
      assert.equal(session.counters.malformed, 2);
    });
  });

  test('the replacement character itself is a valid name', async () => {
    const names: string[] = [];
    const handlers: FuseHandlers = {
      unlink: ({ name }) => void names.push(name),
    };
    await withSession(handlers, async ({ kernel }) => {
      assert.equal((await kernel.call('UNLINK', 1, strings('\ufffd'))).errno, 0);
      assert.deepEqual(names, ['\ufffd']);
    });
  });

  test('xattr buffers that are too small are ERANGE', async () => {
    await withSession({ getxattr: () => Buffer.from('four') }, async ({ kernel }) => {
      const ask = (size: number) => kernel.call('GETXATTR', 1, body(l.GETXATTR_IN, { size }, 'user.a'));
      assert.equal((await ask(3)).errno, ERRNO.ERANGE);
      assert.equal((await ask(4)).body.toString(), 'four');
    });
  });
});

describe('read', () => {
  const handlers: FuseHandlers = {
    read: (request) => {
      if (request.fh === 1) return Buffer.alloc(request.size, 'x');
      if (request.fh === 2) return request.buffer.fill('y').length;
      if (request.fh === 3) return 7;
      if (request.fh === 4) return Buffer.alloc(request.size + 1);
      if (request.fh === 5) return 0;
      return new Promise((resolve) => setImmediate(() => resolve(request.buffer.fill('z').length)));
    },
  };
  const ask = (fh: number, size: number) => body(l.READ_IN, { fh: BigInt(fh), size });

  test('own data, the buffer, at once and late, small and large', async () => {
    await withSession(handlers, async ({ kernel, session, unexpected }) => {
      const held = session.heldBytes;
      for (const [fh, letter] of [
        [1, 'x'],
        [2, 'y'],
        [6, 'z'],
      ] as const) {
        for (const size of [1, 4096, 100_000]) {
          const reply = await kernel.call('READ', 1, ask(fh, size));
          assert.equal(reply.errno, 0);
          assert.ok(reply.body.equals(Buffer.alloc(size, letter)), `${letter} ${size}`);
        }
      }
      assert.equal((await kernel.call('READ', 1, ask(5, 100))).body.length, 0);
      assert.deepEqual(unexpected, []);
      assert.equal(session.heldBytes, held);
    });
  });

  test('a handler that says what cannot be is EIO, not wrong data', async () => {
    await withSession(handlers, async ({ kernel, unexpected }) => {
      assert.equal((await kernel.call('READ', 1, ask(3, 100))).errno, ERRNO.EIO);
      assert.equal((await kernel.call('READ', 1, ask(4, 100))).errno, ERRNO.EIO);
      assert.equal(unexpected.length, 2);
    });
  });

  test('many at a time keep their own buffers', async () => {
    await withSession(handlers, async ({ kernel }) => {
      const sent = new Set(Array.from({ length: 20 }, () => kernel.send('READ', 1, ask(6, 3000))));
      for (let count = 0; count < 20; count++) {
        const reply = await kernel.receive();
        assert.ok(reply);
        assert.ok(reply.body.equals(Buffer.alloc(3000, 'z')));
        assert.ok(sent.delete(reply.unique));
      }
    });
  });
});

test('write: the data stays while a handler waits, and reading stops when too much is held', async () => {
  const finish: (() => void)[] = [];
  const wrote: string[] = [];
  const handlers: FuseHandlers = {
    write: ({ data }) =>
      new Promise((resolve) => {
        finish.push(() => {
          wrote.push(data.toString());
          resolve(data.length);
        });
      }),
  };
  // Room for two receive buffers of 128 KiB.
  const options = { maxWriteBytes: 131_072, maxHeldBytes: 2 * 131_072 };
  await withSession(
    handlers,
    async ({ kernel, session }) => {
      for (const text of ['first', 'second', 'third']) {
        kernel.send('WRITE', 1, body(l.WRITE_IN, { size: text.length }, Buffer.from(text)));
      }
      await until(() => session.inFlight === 2);
      assert.ok(session.heldBytes >= options.maxHeldBytes);
      assert.equal(finish.length, 2);
      finish[0]?.();
      assert.equal((await kernel.receive())?.view.getUint32(0, true), 5);
      await until(() => finish.length === 3);
      assert.equal(session.inFlight, 2);
      finish[1]?.();
      finish[2]?.();
      for (const size of [6, 5]) assert.equal((await kernel.receive())?.view.getUint32(0, true), size);
      assert.deepEqual(wrote, ['first', 'second', 'third']);
    },
    { options },
  );
});

describe('interrupts', () => {
  const waiting = (aborted: string[]): FuseHandlers => ({
    lookup: ({ name }, context) =>
      new Promise((resolve, reject) => {
        context.signal.addEventListener('abort', () => {
          aborted.push(name);
          if (name === 'finishes') resolve(entry(4));
          else reject(new Error('given up'));
        });
      }),
  });
  const interrupt = (unique: number | bigint): Buffer => body(l.INTERRUPT_IN, { unique: BigInt(unique) });

  test('abort the signal; a rejection is EINTR and no surprise; a reply stays a reply', async () => {
    const aborted: string[] = [];
    await withSession(waiting(aborted), async ({ kernel, unexpected }) => {
      const first = kernel.send('LOOKUP', 1, strings('gives up'));
      const second = kernel.send('LOOKUP', 1, strings('finishes'));
      kernel.send('INTERRUPT', 0, interrupt(second));
      assert.deepEqual(await kernel.receive().then((r) => [r?.unique, r?.errno]), [second, 0]);
      kernel.send('INTERRUPT', 0, interrupt(first));
      assert.deepEqual(await kernel.receive().then((r) => [r?.unique, r?.errno]), [first, ERRNO.EINTR]);
      assert.deepEqual(aborted, ['finishes', 'gives up']);
      assert.deepEqual(unexpected, []);
    });
  });

  test('of a resent request, and of one long answered', async () => {
    const aborted: string[] = [];
    await withSession(waiting(aborted), async ({ kernel, session }) => {
      const unique = 2n ** 63n + 500n;
      kernel.send('LOOKUP', 1, strings('resent'), { unique });
      kernel.send('INTERRUPT', 0, interrupt(12_345));
      kernel.send('INTERRUPT', 0, interrupt(unique));
      const reply = await kernel.receive();
      assert.deepEqual([reply?.unique, reply?.errno], [500, ERRNO.EINTR]);
      assert.equal(session.counters.interrupts, 2);
      assert.equal((await kernel.call('RMDIR', 1, strings('a'))).errno, ERRNO.ENOSYS);
    });
  });
});

describe('references', () => {
  test('FORGET and BATCH_FORGET reach the handler, the root never, and nothing is answered', async () => {
    const seen: (readonly [number, number])[] = [];
    const handlers: FuseHandlers = { forget: (nodeId, count) => void seen.push([nodeId, count]) };
    await withSession(handlers, async ({ kernel, session }) => {
      const one = (nodeid: bigint, nlookup: bigint): Buffer => body(l.FORGET_ONE, { nodeid, nlookup });
      kernel.send('FORGET', 7, body(l.FORGET_IN, { nlookup: 3n }));
      kernel.send('FORGET', 1, body(l.FORGET_IN, { nlookup: 3n }));
      kernel.send('BATCH_FORGET', 0, body(l.BATCH_FORGET_IN, { count: 2 }, one(8n, 1n), one(9n, 5n)));
      // One more than came: what came is taken.
      kernel.send('BATCH_FORGET', 0, body(l.BATCH_FORGET_IN, { count: 2 }, one(10n, 1n)));
      assert.equal((await kernel.call('RMDIR', 1, strings('a'))).errno, ERRNO.ENOSYS);
      assert.deepEqual(seen, [
        [7, 3],
        [8, 1],
        [9, 5],
        [10, 1],
      ]);
      assert.equal(session.counters.malformed, 1);
    });
  });

  test('a reply to READDIR is short, whatever the kernel has room for', async () => {
    const handlers: FuseHandlers = {
      readdirplus: ({ entries, offset }) => {
        for (let at = offset; entries.add(`name-${at}`, at + 2, 8, at + 1, entry(at + 2)); at += 1);
      },
    };
    await withSession(handlers, async ({ kernel }) => {
      const reply = await kernel.call('READDIRPLUS', 1, body(l.READ_IN, { size: 128 * 1024, offset: 7n }));
      assert.equal(reply.errno, 0);
      assert.ok(
        reply.body.length > 15 * 1024 && reply.body.length <= 16 * 1024,
        `${reply.body.length} bytes`,
      );
    });
  });

  test('a reply that cannot be delivered, or fails after entries were added, gives them back', async () => {
    const given: (readonly [number, number])[] = [];
    let answer: () => void = () => {};
    const handlers: FuseHandlers = {
      forget: (nodeId, count) => void given.push([nodeId, count]),
      readdirplus: ({ entries }) => {
        entries.add('.', 1, 4, 1, entry(1));
        entries.add('a', 20, 8, 2, entry(20));
        entries.add('b', 21, 8, 3, entry(21));
        throw new FuseError('EIO');
      },
      create: () =>
        new Promise((resolve) => {
          answer = () => resolve({ entry: entry(30), open: { fh: 1 } });
        }),
    };
    await withSession(handlers, async ({ kernel, session }) => {
      assert.equal((await kernel.call('READDIRPLUS', 1, body(l.READ_IN, { size: 4096 }))).errno, ERRNO.EIO);
      assert.deepEqual(given.splice(0), [
        [20, 1],
        [21, 1],
      ]);
      kernel.send('CREATE', 1, body(l.CREATE_IN, {}, 'n'));
      await until(() => session.inFlight === 1);
      kernel.close();
      answer();
      await session.closed;
      assert.deepEqual(given, [[30, 1]]);
      assert.equal(session.counters.undelivered, 1);
    });
  });
});

describe('the end', () => {
  test('close interrupts, waits, answers what did not stop, calls destroy once', async () => {
    let destroyed = 0;
    const handlers: FuseHandlers = {
      lookup: () => new Promise(() => {}),
      destroy: () => void destroyed++,
    };
    const options = { closeWaitMs: 1 };
    await withSession(
      handlers,
      async ({ kernel, session }) => {
        const unique = kernel.send('LOOKUP', 1, strings('stuck'));
        await until(() => session.inFlight === 1);
        const closing = session.close();
        const reply = await kernel.receive();
        assert.deepEqual([reply?.unique, reply?.errno], [unique, ERRNO.EINTR]);
        assert.deepEqual(await closing, { reason: 'closed' });
        assert.deepEqual(await session.close(), { reason: 'closed' });
        assert.equal(destroyed, 1);
      },
      { options },
    );
  });

  test('DESTROY is answered and ends the session', async () => {
    await withSession({}, async ({ kernel, session }) => {
      assert.equal((await kernel.call('DESTROY', 0)).errno, 0);
      assert.deepEqual(await session.closed, { reason: 'unmounted' });
    });
  });

  test('the hook hears of each answer', async () => {
    const heard: (readonly [string, number])[] = [];
    const onAnswered = (operation: string, durationMs: number, errno: number): void => {
      assert.ok(durationMs >= 0);
      heard.push([operation, errno]);
    };
    await withSession(
      { unlink: () => {} },
      async ({ kernel }) => {
        await kernel.call('UNLINK', 1, strings('a'));
        await kernel.call('RMDIR', 1, strings('a'));
        assert.deepEqual(heard.slice(1), [
          ['UNLINK', 0],
          ['RMDIR', ERRNO.ENOSYS],
        ]);
      },
      { onAnswered },
    );
  });
});

describe('a session that follows another one', () => {
  const handlers: FuseHandlers = { lookup: ({ name }) => entry(name.length) };

  async function negotiatedBefore(maskInitFlags: readonly InitFlag[] = []): Promise<Negotiated> {
    let negotiated: Negotiated | undefined;
    await withSession(
      handlers,
      async ({ session }) => {
        negotiated = await session.ready;
      },
      { options: { maskInitFlags } },
    );
    assert(negotiated !== undefined);
    return negotiated;
  }

  test('asks for what is unanswered before it reads, and lets names expire', async () => {
    const resume = await negotiatedBefore();
    await withSession(
      handlers,
      async ({ kernel, session }) => {
        assert.deepEqual(await session.ready, resume);
        assert.equal((await kernel.receive())?.errno, -NOTIFY.RESEND);
        assert.equal((await kernel.receive())?.errno, -NOTIFY.INC_EPOCH);
        assert.equal((await kernel.call('LOOKUP', 1, strings('abc'))).errno, 0);
      },
      { minor: 0, resume },
    );
  });

  test('of an older kernel interrupts all that may be unanswered, once a request tells its number', async () => {
    const resume = { ...(await negotiatedBefore(['HAS_RESEND'])), minor: 39 };
    await withSession(
      handlers,
      async ({ kernel }) => {
        kernel.send('LOOKUP', 1, strings('abc'), { unique: 200n });
        const first = await kernel.receive();
        assert.deepEqual([first?.unique, first?.errno], [200, 0]);
        for (let unique = 198; unique >= 2; unique -= 2) {
          const reply = await kernel.receive();
          assert.deepEqual([reply?.unique, reply?.errno], [unique, ERRNO.EINTR]);
        }
        kernel.send('LOOKUP', 1, strings('abc'), { unique: 202n });
        assert.equal((await kernel.receive())?.unique, 202);
      },
      { minor: 0, resume },
    );
  });

  test('a request that must not be done twice is told of when it is answered, others are not', async () => {
    const told: number[] = [];
    const once: FuseHandlers = {
      lookup: () => entry(3),
      unlink: () => undefined,
      mkdir: () => Promise.resolve(entry(4)),
      rmdir: () => {
        throw new FuseError('ENOTEMPTY');
      },
      answered: (unique) => void told.push(unique),
    };
    await withSession(once, async ({ kernel }) => {
      await kernel.call('LOOKUP', 1, strings('a'));
      const uniques = [
        (await kernel.call('UNLINK', 1, strings('a'))).unique,
        (await kernel.call('MKDIR', 1, body(l.MKDIR_IN, {}, 'd'))).unique,
        (await kernel.call('RMDIR', 1, strings('d'))).unique,
      ];
      await until(() => told.length === 3);
      assert.deepEqual(told, uniques);
    });
  });

  test('handing over tells that it is no end, and not that what is left is answered', async () => {
    const told: string[] = [];
    let finish: () => void = () => {};
    const left: FuseHandlers = {
      unlink: () =>
        new Promise((resolve) => {
          finish = resolve;
        }),
      answered: () => void told.push('answered'),
      destroy: (handedOver) => void told.push(`destroy ${handedOver}`),
    };
    await withSession(
      left,
      async ({ kernel, session }) => {
        kernel.send('UNLINK', 1, strings('a'));
        await until(() => session.inFlight === 1);
        let closed = false;
        const closing = session.close({ keepDescriptor: true }).finally(() => {
          closed = true;
        });
        await until(() => closed);
        await closing;
        finish();
        await until(() => session.inFlight === 0);
        assert.deepEqual(told, ['destroy true']);
        closeSync(kernel.deviceFd);
      },
      { options: { closeWaitMs: 1 } },
    );
  });
});

describe('malformed messages', () => {
  const handlers: FuseHandlers = new Proxy<FuseHandlers>(
    {},
    {
      get: (_, name) =>
        name === 'forget' || name === 'destroy' || name === 'answered'
          ? () => {}
          : () => {
              throw new FuseError('EPERM');
            },
      has: () => true,
    },
  );

  test('every opcode, cut at every length: an error, and never a crash', async () => {
    await withSession(handlers, async ({ kernel, session, unexpected }) => {
      for (const row of OPCODES) {
        if (row.name === 'INIT' || row.name === 'DESTROY') continue;
        const whole = Buffer.concat([
          Buffer.alloc(row.in?.size ?? 0),
          ...Array<Buffer>(row.strings ?? 0).fill(strings('n')),
        ]);
        for (let length = 0; length < whole.length; length++) {
          const unique = kernel.send(row.number, 5, whole.subarray(0, length));
          if (!row.answered) continue;
          const reply = await kernel.receive();
          assert.equal(reply?.unique, unique, `${row.name} ${length}`);
          const expected = row.by === 'refused' ? ERRNO[row.missing] : ERRNO.EINVAL;
          // SYNCFS carries nothing that is read.
          if (row.name !== 'SYNCFS') assert.equal(reply.errno, expected, `${row.name} cut at ${length}`);
        }
      }
      assert.ok(session.counters.malformed > 300);
      assert.deepEqual(unexpected, []);
    });
  });

  test('garbage with a fixed seed', async () => {
    const random = seededRandom(20_260_101);
    await withSession(handlers, async ({ kernel, session, unexpected }) => {
      const numbers = [
        ...OPCODES.filter((row) => row.name !== 'INIT' && row.name !== 'DESTROY').map((row) => row.number),
        7,
        60,
        4096,
      ];
      for (let round = 0; round < 3000; round++) {
        const number = random.pick(numbers) ?? 0;
        const content = Buffer.from(
          Array.from({ length: random.below(160) }, () => (random.chance(0.4) ? 0 : random.below(256))),
        );
        const lying = random.chance(0.1) ? { len: random.below(300) } : {};
        const extensions = random.chance(0.1) ? { total_extlen: random.below(40) } : {};
        const nodeId = random.chance(0.1) ? 2n ** 63n : 5;
        const unique = kernel.send(number, nodeId, content, { ...lying, ...extensions });
        if (OPCODES.find((row) => row.number === number)?.answered === false) continue;
        const reply = await kernel.receive();
        assert.equal(reply?.unique, unique, `round ${round}`);
        assert.notEqual(reply.errno, 0, `round ${round}`);
      }
      assert.deepEqual(unexpected, []);
      assert.ok(session.counters.malformed > 100);
    });
  });

  test('less than a header is dropped', async () => {
    await withSession({ unlink: () => {} }, async ({ kernel, session }) => {
      for (const length of [1, 8, 39]) kernel.sendRaw(Buffer.alloc(length));
      assert.equal((await kernel.call('UNLINK', 1, strings('a'))).errno, 0);
      assert.equal(session.counters.malformed, 3);
    });
  });

  test('extensions behind the names are not taken for names', async () => {
    const names: string[] = [];
    await withSession({ rmdir: ({ name }) => void names.push(name) }, async ({ kernel }) => {
      const padded = Buffer.concat([strings('dir'), Buffer.alloc(4), Buffer.alloc(16, 'e')]);
      kernel.send('RMDIR', 1, padded, { total_extlen: 2 });
      assert.equal((await kernel.receive())?.errno, 0);
      assert.deepEqual(names, ['dir']);
    });
  });
});

test('the fake kernel knows its opcodes', () => {
  assert.equal(opcode('COPY_FILE_RANGE_64'), 53);
  assert.throws(() => opcode('NONE'));
  new FakeKernel().close();
});
