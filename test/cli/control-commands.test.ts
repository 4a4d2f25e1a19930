/**
 * The commands for running mounts as they are started, against a daemon that mounts nothing: what they ask, print and
 * give back. Needs the compiled program.
 */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { EXIT_CODES } from '../../src/cli/exit-codes.js';
import { ROUTES } from '../../src/control/index.js';
import { skipWithout, waitUntil } from '../support/exec.js';
import { INFINIMOUNT } from '../support/mount/index.js';
import { MIB, queueOf } from '../unit/cli/statuses.js';
import { FakeMounts, Refusal } from './fake-mount.js';

const BUSY_QUEUE = { pending: 3, running: 1, failing: 0, bytes: 10 * MIB, bytesDone: MIB };

function untilAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason));
  });
}

describe('which mount', () => {
  test('none runs: one helpful line, and an exit code of its own', async () => {
    await using mounts = new FakeMounts();
    for (const command of [['status'], ['queue'], ['flush'], ['pins'], ['cache', 'stats'], ['unmount']]) {
      const { stdout, stderr, code } = await mounts.run(command);
      assert.match(stderr, /^infinimount: Cannot find a running mount: [^\n]+\n$/);
      assert.deepEqual([stdout, code], ['', EXIT_CODES.noMount.code], command.join(' '));
    }
  });

  test('the socket of a daemon that died counts as none', async () => {
    await using mounts = new FakeMounts();
    const child = spawn(process.execPath, [
      '-e',
      `require('net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))`,
      `${mounts.directory}/0123456789ab.sock`,
    ]);
    await once(child, 'exit');
    const { code } = await mounts.run(['status']);
    assert.equal(code, EXIT_CODES.noMount.code);
  });

  test('the only one need not be named', async () => {
    await using mounts = new FakeMounts();
    await mounts.add();
    const { stdout, code } = await mounts.run(['status']);
    assert.match(
      stdout,
      /^home: https:\/\/node\.example\/dav\/ on \/home\/u\/cloud\n {2}Connection {4}online\n/,
    );
    assert.equal(code, 0);
  });

  test('of several: by profile, by mount point; else they are listed', async () => {
    await using mounts = new FakeMounts();
    await mounts.add();
    await mounts.add({ profile: 'work', mountPoint: '/mnt/office', url: 'https://other.example/' });
    const table = await mounts.run(['status']);
    assert.match(table.stdout, /^PROFILE .*\nhome .*\nwork .*\n$/);
    assert.deepEqual(JSON.parse((await mounts.run(['status', '--json'])).stdout).length, 2);

    const unnamed = await mounts.run(['queue']);
    assert.match(
      unnamed.stderr,
      /Cannot choose among 2 mounts: home on "\/home\/u\/cloud", work on "\/mnt\/office"/,
    );
    assert.match(unnamed.stderr, /infinimount queue home/);
    assert.equal(unnamed.code, EXIT_CODES.usage.code);

    for (const name of ['work', '/mnt/office', '/mnt/office/', '/mnt/../mnt/office']) {
      const named = await mounts.run(['status', name, '--json']);
      assert.equal(JSON.parse(named.stdout).url, 'https://other.example/', name);
    }
    const wrong = await mounts.run(['status', 'wrok']);
    assert.match(wrong.stderr, /Cannot find the mount "wrok": what runs is home on/);
    assert.equal(wrong.code, EXIT_CODES.noMount.code);
  });

  test('one profile mounted twice is named by mount point', async () => {
    await using mounts = new FakeMounts();
    await mounts.add();
    await mounts.add({ mountPoint: '/mnt/b' });
    const { stderr, code } = await mounts.run(['queue', 'home']);
    assert.match(stderr, /they are on "\/home\/u\/cloud", "\/mnt\/b"\. Name one/);
    assert.equal(code, EXIT_CODES.usage.code);
  });

  test('a daemon that takes the call and never answers is given up', async () => {
    await using mounts = new FakeMounts();
    await mounts.addSilent('/mnt/hung');
    for (const args of [['status'], ['status', '/mnt/hung'], ['unmount', '/mnt/hung']]) {
      const { stderr, code, timedOut } = await mounts.run(args);
      assert.equal(timedOut, false);
      assert.match(stderr, /does not answer/);
      assert.equal(code, EXIT_CODES.notAnswering.code, args.join(' '));
    }
    // One that lives is not held up by it.
    await mounts.add();
    assert.equal((await mounts.run(['queue'])).code, 0);
  });

  test('the completion knows the mounts', async () => {
    await using mounts = new FakeMounts();
    await mounts.add();
    const complete = async (...words: string[]) =>
      (await mounts.run(['--get-yargs-completions', 'infinimount', ...words])).stdout.split('\n');
    assert.ok((await complete('status', 'ho')).includes('home'));
    assert.ok((await complete('cache', '')).includes('verify'));
    assert.ok((await complete('log-level', 'debug', '')).includes('/home/u/cloud'));
    assert.ok((await complete('un')).some((word) => word.startsWith('unmount')));
  });
});

describe('every command', () => {
  test('prints the answer of the schema with --json', async () => {
    await using mounts = new FakeMounts();
    const mount = await mounts.add();
    const at = ['--mount', 'home'];
    const lines: [keyof typeof ROUTES, string[]][] = [
      ['status', ['status']],
      ['queue', ['queue', '--limit', '5']],
      ['flush', ['flush', '--timeout', '1s']],
      ['refresh', ['refresh', '/a', '--recursive', ...at]],
      ['pin', ['pin', '/a', ...at]],
      ['unpin', ['unpin', 'a/../b', ...at]],
      ['pins', ['pins']],
      ['evict', ['evict']],
      ['evict', ['evict', '/a', ...at]],
      ['evict', ['cache', 'clear']],
      ['pause', ['pause', 'home']],
      ['resume', ['resume']],
      ['conflicts', ['conflicts']],
      ['conflicts', ['conflicts', 'list', 'home']],
      ['resolve', ['conflicts', 'resolve', '/a (conflict)', '--keep', 'local', ...at]],
      ['cache', ['cache', 'stats']],
      ['verify', ['cache', 'verify', 'home']],
      ['logLevel', ['log-level']],
      ['setLogLevel', ['log-level', 'debug', 'home']],
      ['rotate', ['rotate', '--force']],
      ['remount', ['remount', '--read-only', '--cache-size', '20G']],
    ];
    for (const [route, args] of lines) {
      const { stdout, stderr, code } = await mounts.run([...args, '--json']);
      assert.deepEqual([stderr, code], ['', 0], args.join(' '));
      ROUTES[route].answer.parse(JSON.parse(stdout));
    }
    const requests = mount.service.calls.map(({ name, request }) => [name, request]);
    assert.deepEqual(
      requests.filter(([name]) => ['refresh', 'unpin', 'evict', 'resolve', 'remount'].includes(String(name))),
      [
        ['refresh', { path: '/a', recursive: true }],
        ['unpin', { path: '/b' }],
        ['evict', {}],
        ['evict', { path: '/a' }],
        ['evict', {}],
        ['resolve', { copy: '/a (conflict)', keep: 'local' }],
        [
          'remount',
          { options: { 'cache-size': '20G', 'read-only': 'true' }, reestablish: false, force: false },
        ],
      ],
    );
  });

  test('says what the daemon refuses, in its words and with its exit code', async () => {
    await using mounts = new FakeMounts();
    const mount = await mounts.add();
    mount.on('pin', () => {
      throw new Refusal('not-found', 'Cannot pin "/a": there is no such file', 'Look again.');
    });
    mount.on('rotate', () => {
      throw new Refusal('unauthorized', 'Cannot use the new password: the server refuses it');
    });
    const pin = await mounts.run(['pin', '/a', '--mount', 'home']);
    assert.equal(pin.stderr, 'infinimount: Cannot pin "/a": there is no such file. Look again.\n');
    assert.equal(pin.code, EXIT_CODES.refused.code);
    const rotate = await mounts.run(['rotate', '--password-stdin'], 'n3w\n');
    assert.equal(rotate.code, EXIT_CODES.denied.code);
  });

  test('wrong words are refused before anything is asked', async () => {
    await using mounts = new FakeMounts();
    const mount = await mounts.add();
    for (const args of [
      ['cache'],
      ['cache', 'burn'],
      ['pin'],
      ['conflicts', 'resolve', '/a'],
      ['queue', '--limit', 'many'],
      ['flush', '--timeout', 'soon'],
      ['status', 'home', 'work'],
      ['remount', '--keeper'],
      ['remount', '--cache-size', 'big'],
    ]) {
      const { stderr, code } = await mounts.run(args);
      assert.match(stderr, /^infinimount: Cannot [^\n]+\n$/, args.join(' '));
      assert.equal(code, EXIT_CODES.usage.code, args.join(' '));
    }
    assert.deepEqual(mount.service.calls, []);
  });
});

describe('paths', () => {
  test('outside every mount', async () => {
    await using mounts = new FakeMounts();
    await mounts.add();
    const { stderr, code } = await mounts.run(['pin', 'some/file']);
    assert.match(stderr, /Cannot find a running mount with ".*some\/file" in it/);
    assert.equal(code, EXIT_CODES.noMount.code);
  });
});

describe('rotate', () => {
  test('secrets come from stdin, and show nowhere', async () => {
    await using mounts = new FakeMounts();
    const mount = await mounts.add();
    const key = '0123456789ABCDEF0123456789ABCDEF';
    const outputs = [
      await mounts.run(['rotate', '--password-stdin'], 'n3w-p4ss\n'),
      await mounts.run(['rotate', '--api-key-stdin', 'home'], `${key}\n`),
      await mounts.run(['rotate', '--refresh-token-stdin'], 'tok3n'),
    ];
    assert.deepEqual(
      mount.service.calls.map(({ request }) => request),
      [
        { password: 'n3w-p4ss', force: false },
        { apiKey: key, force: false },
        { refreshToken: 'tok3n', force: false },
      ],
    );
    for (const { stdout, stderr, code } of outputs) {
      assert.equal(code, 0);
      assert.doesNotMatch(stdout + stderr, /n3w-p4ss|0123456789ABCDEF|tok3n/);
    }
    const empty = await mounts.run(['rotate', '--password-stdin'], '\n');
    assert.equal(empty.code, EXIT_CODES.configuration.code);
    const badKey = await mounts.run(['rotate', '--api-key-stdin'], 'nokey\n');
    assert.equal(badKey.code, EXIT_CODES.usage.code);
  });

  test('what the server does not take yet', async () => {
    await using mounts = new FakeMounts();
    const mount = await mounts.add();
    mount.on('rotate', () => ({ accepted: false, note: 'HTTP 401' }));
    const forced = await mounts.run(['rotate', '--force']);
    assert.match(forced.stdout, /does not accept them yet[^\n]*\nHTTP 401\n/);
    assert.equal(forced.code, 0);
    assert.equal((await mounts.run(['rotate'])).code, EXIT_CODES.denied.code);
  });
});

describe('waiting', () => {
  test('flush tells why it waits, and what is left when the time is over', async () => {
    await using mounts = new FakeMounts();
    const mount = await mounts.add({
      queue: BUSY_QUEUE,
      connection: { kind: 'offline', reason: 'ECONNREFUSED', retryAtMs: Date.now() + 60_000 },
    });
    mount.on('flush', async () => {
      await new Promise((resolve) => setTimeout(resolve, 800));
      return { pending: 3 };
    });
    const { stdout, stderr, code } = await mounts.run(['flush', '--timeout', '800ms']);
    assert.match(stderr, /^infinimount: the server cannot be reached: ECONNREFUSED; waiting for it\n/);
    assert.match(stderr, /Cannot finish in time: 3 changes are not on the server/);
    assert.deepEqual([stdout, code], ['', EXIT_CODES.unfinished.code]);
  });

  test('flush --if-possible says what holds everything, and ends with a code for it', async () => {
    const connection = { reason: 'why', retryAtMs: Date.now() + 60_000 };
    const held = [
      { code: 68, key: 'offline', status: { connection: { kind: 'offline', ...connection } } },
      { code: 77, key: 'unauthorized', status: { connection: { kind: 'unauthorized', ...connection } } },
      { code: 80, key: 'full', status: { queue: { ...BUSY_QUEUE, full: 'why' } } },
    ] as const;
    await Promise.all(
      held.map(async ({ code, key, status }) => {
        await using mounts = new FakeMounts();
        const mount = await mounts.add({ queue: BUSY_QUEUE, ...status });
        mount.on('flush', (_, { signal }) => untilAborted(signal));
        const plain = await mounts.run(['flush', '--if-possible']);
        assert.match(
          plain.stderr,
          /^infinimount: the server [^\n]*why[^\n]*\ninfinimount: Cannot send [^\n]*\n$/,
        );
        assert.deepEqual([plain.stdout, plain.code], ['', code]);
        const json = await mounts.run(['flush', '--if-possible', '--json']);
        assert.deepEqual(JSON.parse(json.stdout), { pending: BUSY_QUEUE.pending, waitsFor: key });
        assert.equal(json.code, code);
      }),
    );
  });

  test('flush until the end', async () => {
    await using mounts = new FakeMounts();
    await mounts.add();
    const { stdout, stderr, code } = await mounts.run(['flush']);
    assert.deepEqual([stdout, stderr, code], ['infinimount: everything is on the server\n', '', 0]);
  });

  test('a daemon that goes while flush waits is told of', async () => {
    await using mounts = new FakeMounts();
    const mount = await mounts.add({ queue: BUSY_QUEUE });
    mount.on('flush', (_, { signal }) => {
      setTimeout(() => void mount.close(), 100);
      return untilAborted(signal);
    });
    const { code } = await mounts.run(['flush']);
    assert.ok(
      [EXIT_CODES.notAnswering.code, EXIT_CODES.noMount.code].some((each) => each === code),
      String(code),
    );
  });

  test('Ctrl-C ends the wait of unmount, and not the mount', async () => {
    await using mounts = new FakeMounts();
    const mount = await mounts.add({ queue: BUSY_QUEUE });
    let waiting = false;
    mount.on('flush', (_, { signal }) => {
      waiting = true;
      return untilAborted(signal);
    });
    const child = spawn(INFINIMOUNT[0] ?? '', [...INFINIMOUNT.slice(1), 'unmount'], {
      env: { ...process.env, INFINIMOUNT_RUNTIME_DIR: mounts.directory },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let stderr = '';
    child.stderr.on('data', (chunk) => {
      stderr += chunk;
    });
    await waitUntil('the wait to begin', () => waiting);
    child.kill('SIGINT');
    const [code] = await once(child, 'close');
    assert.equal(code, EXIT_CODES.unfinished.code);
    assert.match(stderr, /it is still mounted/);
    assert.equal(
      mount.service.calls.some(({ name }) => name === 'unmount'),
      false,
    );
  });

  test('unmount without waiting says what is left', async () => {
    await using mounts = new FakeMounts();
    const mount = await mounts.add({ queue: BUSY_QUEUE });
    const { stdout, stderr, code } = await mounts.run(['unmount', '--no-wait', '--lazy']);
    assert.equal(stdout, 'infinimount: unmounted /home/u/cloud\n');
    assert.match(stderr, /^infinimount: 2 changes are not on the server yet, and safe in /);
    assert.equal(code, 0);
    assert.deepEqual(mount.service.calls.at(-1)?.request, { wait: false, lazy: true });
  });
});

describe('status --watch', () => {
  test('not on a terminal: a line for each change, and the events', async () => {
    await using mounts = new FakeMounts();
    const mount = await mounts.add();
    const child = spawn(INFINIMOUNT[0] ?? '', [...INFINIMOUNT.slice(1), 'status', '--watch'], {
      env: { ...process.env, INFINIMOUNT_RUNTIME_DIR: mounts.directory, TZ: 'UTC' },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let out = '';
    child.stdout.on('data', (chunk) => {
      out += chunk;
    });
    await waitUntil('the first line', () => out.includes('home: online; queue empty'));
    await waitUntil('a listener', () => mount.service.listeners.size > 0);
    for (const listener of mount.service.listeners) listener({ type: 'uploaded', path: '/a', bytes: 5 });
    mount.status = { ...mount.status, paused: true };
    await waitUntil('the change', () => out.includes('home: online, paused;'));
    assert.match(out, /^ {2}sent \/a \(5 B\)$/m);
    child.kill('SIGINT');
    const [code] = await once(child, 'close');
    assert.equal(code, 0);
    // Nothing is said twice.
    assert.equal(out.match(/queue empty/g)?.length, 2, out);
  });

  test('with --json an event a line', async () => {
    await using mounts = new FakeMounts();
    await mounts.add();
    const child = spawn(INFINIMOUNT[0] ?? '', [...INFINIMOUNT.slice(1), 'status', '--watch', '--json'], {
      env: { ...process.env, INFINIMOUNT_RUNTIME_DIR: mounts.directory },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [first] = await once(child.stdout, 'data');
    child.stdout.resume();
    assert.equal(JSON.parse(String(first).split('\n')[0] ?? '').type, 'status');
    child.kill('SIGTERM');
    await once(child, 'close');
  });

  test('on a terminal: bars, and q ends it', { skip: skipWithout('script') }, async () => {
    await using mounts = new FakeMounts();
    const mount = await mounts.add({ queue: BUSY_QUEUE });
    mount.queue = queueOf({ path: '/big.iso', state: 'running', bytesTotal: 4 * MIB, bytesDone: MIB });
    const command = [...INFINIMOUNT, 'status', '--watch'].join(' ');
    const child = spawn('script', ['-qec', `stty cols 100 rows 30; ${command}`, '/dev/null'], {
      env: { ...process.env, INFINIMOUNT_RUNTIME_DIR: mounts.directory, TERM: 'xterm' },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    let out = '';
    child.stdout.on('data', (chunk) => {
      out += chunk;
    });
    await waitUntil('the bar', () => out.includes('█████░░░░░'));
    assert.match(out, /25 %/);
    assert.ok(out.includes('\u001b[32monline'), 'in colour');
    child.stdin.write('q');
    const [code] = await once(child, 'close');
    assert.equal(code, 0);
    // The cursor is shown again.
    assert.ok(out.lastIndexOf('\u001b[?25h') > out.lastIndexOf('\u001b[?25l'));
  });
});
