/**
 * A program that changes the configuration file is killed at every system call of the write, one run for each: what is
 * left is the old file or the new one. strace(1) does the killing, before the call takes effect.
 */

import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { run, runOk, skipWithout } from '../support/exec.js';
import { INFINIMOUNT } from '../support/mount/index.js';

const home = mkdtempSync(join(tmpdir(), 'infinimount-kill-'));
after(() => rmSync(home, { recursive: true, force: true }));

const folder = join(home, 'config');
const config = join(folder, 'config.toml');
const log = join(home, 'strace.log');

const OLD = '# kept\n[profile.home] # mine\nurl = "https://h/"\nuser = "me"\npassword = "s3cret"\n';
const NEW = OLD.replace('password = "s3cret"\n', '');

/** All that a write may consist of. */
const CALLS = [
  ...[
    'open',
    'openat',
    'creat',
    'read',
    'pread64',
    'write',
    'pwrite64',
    'writev',
    'fsync',
    'fdatasync',
    'close',
  ],
  ...[
    'rename',
    'renameat',
    'renameat2',
    'unlink',
    'unlinkat',
    'chmod',
    'fchmod',
    'ftruncate',
    'link',
    'linkat',
  ],
  ...['stat', 'lstat', 'newfstatat', 'fstat', 'statx', 'mkdir', 'mkdirat', 'getdents64', 'readlink', 'lseek'],
];

interface Call {
  readonly name: string;
  /** Which call of this name it is, from 1: of those on the configuration file for `read`, else of all in the process. */
  readonly number: number;
}

/** Node wakes its threads by pipes that are read an unforeseeable number of times. */
const COUNTED_ON_FILE = 'read';

/** The command whose write is cut; the main thread makes all its calls, since nothing else runs meanwhile. */
const COMMAND = [...INFINIMOUNT, 'logout', 'home', '--config', config];

function reset(): void {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { mode: 0o700 });
  writeFileSync(config, OLD, { mode: 0o600 });
}

function traced(...options: string[]) {
  const filter = `trace=${CALLS.map((name) => `?${name}`).join(',')}`;
  return run(['strace', '-y', '-o', log, '-e', filter, '-e', 'signal=none', ...options, ...COMMAND], {
    env: { HOME: home, XDG_STATE_HOME: join(home, 'state') },
  });
}

/** The calls from the first that makes the new file to the last that touches the directory. */
function callsOfWrite(): Call[] {
  const counts = new Map<string, number>();
  const calls = readFileSync(log, 'utf8')
    .split('\n')
    .flatMap((line): (Call & { readonly line: string })[] => {
      const name = /^(\w+)\(/.exec(line)?.[1];
      if (name === undefined || (name === COUNTED_ON_FILE && !line.includes(`<${config}>`))) return [];
      const number = (counts.get(name) ?? 0) + 1;
      counts.set(name, number);
      return [{ name, number, line }];
    });
  const touches = calls.map(({ line }) => line.includes(folder));
  const first = calls.findIndex(({ line }) => line.includes('.tmp') && line.includes('O_CREAT'));
  return calls.slice(first, touches.lastIndexOf(true) + 1).filter(({ line }) => line.includes(folder));
}

/** The calls of a run that nobody cuts. */
async function callsOfWhole(): Promise<Call[]> {
  reset();
  const whole = await traced();
  assert.equal(whole.code, 0, whole.stderr);
  assert.equal(readFileSync(config, 'utf8'), NEW);
  return callsOfWrite();
}

/** Kills the command at one of its calls; where that came under another number this time, they are counted anew. */
async function killAt(calls: readonly Call[], index: number, attempt = 1): Promise<void> {
  const call = calls[index] ?? assert.fail(`there is no call ${index}`);
  const { name, number } = call;
  const onFile = name === COUNTED_ON_FILE ? ['-P', config] : [];
  reset();
  const killed = await traced(...onFile, '-e', `inject=${name}:signal=KILL:when=${number}`);
  if ((killed.signal ?? killed.code) === 'SIGKILL') return;
  assert.ok(attempt < 5, `${name} ${number} was not come to: ${killed.stderr}`);
  await killAt(await callsOfWhole(), index, attempt + 1);
}

describe('kill -9 during a write of the configuration', {
  skip: skipWithout('strace'),
  timeout: 300_000,
}, () => {
  test('leaves the old file or the new one, at every system call', async () => {
    const calls = await callsOfWhole();
    for (const needed of ['pwrite64', 'fsync', 'rename']) {
      assert.ok(
        calls.some(({ name }) => name === needed),
        `there is no ${needed} in ${JSON.stringify(calls)}`,
      );
    }
    // The order that makes it safe against a power loss too.
    const order = calls
      .map(({ name }) => name)
      .filter((name) => ['pwrite64', 'fsync', 'rename'].includes(name));
    assert.deepEqual(order, ['pwrite64', 'fsync', 'rename', 'fsync']);

    const seen = { old: 0, new: 0, temporary: 0 };
    for (const [index, { name, number }] of calls.entries()) {
      await killAt(calls, index);
      const text = readFileSync(config, 'utf8');
      assert.ok(text === OLD || text === NEW, `${name} ${number} left: ${JSON.stringify(text)}`);
      if (text === OLD) seen.old += 1;
      else seen.new += 1;
      if (readdirSync(folder).length > 1) seen.temporary += 1;
    }
    assert.ok(
      seen.old > 0 && seen.new > 0 && seen.temporary > 0,
      `nothing was at stake: ${JSON.stringify(seen)}`,
    );

    // The next write clears up after the killed ones.
    reset();
    writeFileSync(join(folder, '.config.toml.99999999-0123456789abcdef.tmp'), 'half');
    await runOk(COMMAND, { env: { HOME: home, XDG_STATE_HOME: join(home, 'state') } });
    assert.deepEqual(readdirSync(folder), ['config.toml']);
    assert.ok(!existsSync(join(home, 'state', 'infinimount', 'tokens', 'home.json')));
  });
});
