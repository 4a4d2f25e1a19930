import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { UserErrorCode } from '../../../src/base/index.js';
import { UserError } from '../../../src/base/index.js';
import { optionTexts, requireKnown } from '../../../src/cli/arguments.js';
import { EXIT_CODES, exitCodeOf } from '../../../src/cli/exit-codes.js';
import { finish, requireTarget } from '../../../src/cli/mount-command.js';
import type { CloseReason, RunningDaemon } from '../../../src/daemon/index.js';

function daemonThatEnds(reason: CloseReason, pendingUploads = 0): RunningDaemon {
  return {
    closed: Promise.resolve(reason),
    continuity: { takeovers: 0, lastTakeoverMs: undefined, keeper: 'none', keeperPid: undefined },
    flush: async () => undefined,
    reload: () => undefined,
    handOver: () => Promise.reject(new Error('not in these tests')),
    stop: async () => ({ pendingUploads }),
  };
}

/** What `finish` writes to stderr is checked by the tests of the whole command line. */
describe('the end of a mount', () => {
  test('its exit code', async () => {
    assert.equal(await finish(daemonThatEnds('stopped'), '/c'), 0);
    assert.equal(await finish(daemonThatEnds('unmounted'), '/c'), 0);
    assert.equal(await finish(daemonThatEnds('failed'), '/c'), EXIT_CODES.system.code);
  });
});

describe('arguments', () => {
  const command = { name: 'mount', options: ['cache-dir', 'user'], positionals: ['url', 'directory'] };

  test('known ones pass', () => {
    requireKnown({ _: ['mount'], $0: 'infinimount', url: 'x', 'cache-dir': '/c', help: false }, command);
  });

  test('unknown ones get a guess, or the way to the help', () => {
    assert.throws(() => requireKnown({ _: ['mount'], 'cach-dir': 'x' }, command), {
      code: 'usage',
      message: 'Cannot understand "--cach-dir": "mount" has no such option. Did you mean --cache-dir?',
    });
    assert.throws(() => requireKnown({ _: ['mount'], q: true }, command), {
      message: 'Cannot understand "-q": "mount" has no such option. See: infinimount mount --help',
    });
    assert.throws(() => requireKnown({ _: ['mount', 'extra'] }, command), {
      code: 'usage',
      message: /"extra"/,
    });
  });

  test('options as the text that was typed', () => {
    assert.deepEqual(optionTexts({ _: [], uid: '0123', 'read-only': true, nonempty: false, url: 'x' }), {
      uid: '0123',
      'read-only': 'true',
      nonempty: 'false',
    });
  });

  test('a URL needs a directory, a profile may know its own', () => {
    assert.throws(() => requireTarget(undefined, undefined), {
      code: 'usage',
      message: /the URL of the server, or the name of a profile, is missing/,
    });
    assert.throws(() => requireTarget('https://h/', undefined), {
      code: 'usage',
      message: /the directory to mount on is missing/,
    });
    assert.deepEqual(requireTarget('https://h/', 'd'), { url: 'https://h/', directory: 'd' });
    assert.deepEqual(requireTarget('home', undefined), { profile: 'home' });
    assert.deepEqual(requireTarget('home', 'd'), { profile: 'home', directory: 'd' });
    // What cannot be the name of a profile is taken for a URL, and complained of as one.
    assert.deepEqual(requireTarget('cloud.example', 'd'), { url: 'cloud.example', directory: 'd' });
  });
});

describe('exit codes', () => {
  test('are distinct, and those of sysexits(3) where above 2, but for two of our own', () => {
    const codes = Object.values(EXIT_CODES).map(({ code }) => code);
    assert.equal(new Set(codes).size, codes.length);
    assert.ok(codes.every((code) => code < 2 || (code >= 64 && code <= 80)));
  });

  test('of the causes that scripts tell apart', () => {
    const expected: Partial<Record<UserErrorCode, number>> = {
      usage: 64,
      'bad-url': 64,
      'cache-newer': 65,
      'mount-point-dead': 66,
      unreachable: 68,
      'no-fuse-device': 71,
      'cache-full': 73,
      'cache-busy': 75,
      tls: 76,
      unauthorized: 77,
      password: 78,
    };
    for (const [cause, code] of Object.entries(expected))
      assert.equal(exitCodeOf(cause as UserErrorCode), code, cause);
  });

  test('a message is one line: the problem, then what to do', () => {
    assert.equal(new UserError('usage', 'Cannot a: b', 'Do c.').message, 'Cannot a: b. Do c.');
    assert.equal(new UserError('usage', 'Cannot a: b').message, 'Cannot a: b.');
  });
});
