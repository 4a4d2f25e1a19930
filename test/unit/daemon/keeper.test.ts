/** bin/keeper.sh and its starter, with a shell script for a daemon and /dev/null for the descriptor. */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import { Secret, SystemClock } from '../../../src/base/index.js';
import { type MountKeeper, ProcessKeeper } from '../../../src/daemon/mounting/keeper.js';
import { waitUntil } from '../../support/exec.js';

const SCRIPT = fileURLToPath(new URL('../../../bin/keeper.sh', import.meta.url));
/** A device that nothing is mounted from: there is nothing to release. */
const DEVICE = '0:1048575';

let dir: string;
let started: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'infinimount-keeper-'));
  started = join(dir, 'started');
});

afterEach(() => rmSync(dir, { recursive: true }));

/** The keeper of a daemon that writes down how it was started, and then runs `script`. */
class Kept {
  readonly child: ChildProcess;

  constructor(script: string, deaths = 0) {
    const daemon = `echo "$_INFINIMOUNT_INHERIT" >> "$1"; ${script}`;
    const args = [SCRIPT, DEVICE, String(deaths), dir, 'sh', '-c', daemon, 'sh', started];
    this.child = spawn('sh', args, { stdio: ['pipe', 'ignore', 'ignore', 'ignore', 'ignore'] });
  }

  say(...words: readonly string[]): void {
    this.child.stdin?.write(words.map((word) => `${word}\n`).join(''));
  }

  hangUp(): void {
    this.child.stdin?.end();
  }

  async end(): Promise<number | null> {
    await waitUntil(
      'the keeper to end',
      () => this.child.exitCode !== null || this.child.signalCode !== null,
      {
        intervalMs: 5,
      },
    );
    return this.child.exitCode;
  }

  [Symbol.dispose](): void {
    this.child.kill('SIGKILL');
  }
}

/** signal(7) */
const SIGURG = 23n;

/** The signals that a process has handlers for, as bits (proc_pid_status(5)). */
function catches(pid: number | undefined): bigint {
  const mask = /^SigCgt:\s*([0-9a-f]+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return BigInt(`0x${mask}`);
}

/** How the daemons were started, one a line. */
function starts(): readonly string[] {
  return existsSync(started) ? readFileSync(started, 'utf8').trim().split('\n') : [];
}

describe('the keeper', () => {
  test('starts a daemon when the other end hangs up without a word, and ends with it', async () => {
    using kept = new Kept('exit 0', 3);
    kept.hangUp();
    assert.equal(await kept.end(), 0);
    assert.deepEqual(starts(), [`keeper=${kept.child.pid} mount=3 told=4 deaths=4`]);
  });

  test('starts none when it was told that the mount is gone', async () => {
    using kept = new Kept('exit 0');
    kept.say('well', 'stop', 'done');
    assert.equal(await kept.end(), 0);
    assert.deepEqual(starts(), []);
  });

  test('starts none for a daemon that dies while it unmounts', async () => {
    using kept = new Kept('exit 0');
    kept.say('stop');
    kept.hangUp();
    assert.equal(await kept.end(), 0);
    assert.deepEqual(starts(), []);
  });

  test('does not count deaths before the daemon was well', async () => {
    using kept = new Kept('exit 0', 20);
    kept.say('well');
    kept.hangUp();
    await kept.end();
    assert.match(starts().join(), /deaths=1$/);
  });

  test('starts another for one that is killed, until one ends by itself', async () => {
    using kept = new Kept('[ "$(wc -l < "$1")" -ge 4 ] || kill -9 $$');
    kept.hangUp();
    await kept.end();
    assert.deepEqual(
      starts().map((line) => line.replace(/.*deaths=/, '')),
      ['1', '2', '3', '4'],
    );
  });

  test('gives up when they are killed again and again', async () => {
    using kept = new Kept('kill -9 $$');
    kept.hangUp();
    await kept.end();
    assert.equal(starts().length, 30);
  });

  test('starts no other for one that says what a person has to mend', async () => {
    using kept = new Kept('exit 65');
    kept.hangUp();
    await kept.end();
    assert.equal(starts().length, 1);
  });

  test('takes a signal for the death of a daemon whose descriptors stay open', async () => {
    using kept = new Kept('exit 0');
    await waitUntil('the trap', () => ((catches(kept.child.pid) >> (SIGURG - 1n)) & 1n) === 1n, {
      intervalMs: 5,
    });
    kept.child.kill('SIGURG');
    assert.equal(await kept.end(), 0);
    assert.equal(starts().length, 1);
  });
});

describe('the starter of keepers', () => {
  const fd = openSync('/dev/null', 'r');
  test.after(() => closeSync(fd));

  let password = new Secret('typed');

  async function start(script: string): Promise<MountKeeper> {
    return await ProcessKeeper.start({
      kept: { fd, mountPoint: dir, device: DEVICE },
      command: ['sh', '-c', script, 'sh', started],
      password: () => password,
      deaths: 0,
      clock: new SystemClock(),
      log: pino({ level: 'silent' }),
    });
  }

  test('replaces one that is killed, and the last one ends when told', async () => {
    const keeper = await start('exit 0');
    const first = keeper.pid;
    assert.ok(first !== undefined);
    process.kill(first, 'SIGKILL');
    await waitUntil('another keeper', () => keeper.pid !== undefined && keeper.pid !== first);
    const second = keeper.pid;
    await keeper.done();
    await waitUntil('its end', () => !existsSync(`/proc/${second}`) && keeper.pid === undefined);
  });

  test('another password means another keeper', async () => {
    const keeper = await start('exit 0');
    const first = keeper.pid;
    keeper.renew();
    assert.equal(keeper.pid, first);
    password = new Secret('typed again');
    keeper.renew();
    await waitUntil('the end of the first', () => !existsSync(`/proc/${first}`));
    assert.notEqual(keeper.pid, first);
    assert.match(readFileSync(`/proc/${keeper.pid}/fd/4`, 'utf8'), /typed again/);
    await keeper.done();
  });

  test('the password is in no command line and no environment', async () => {
    writeFileSync(started, '');
    const keeper = await start('exit 0');
    const of = (name: string) => readFileSync(`/proc/${keeper.pid}/${name}`, 'utf8');
    assert.ok(!of('cmdline').includes('typed') && !of('environ').includes('typed'));
    await keeper.done();
  });
});
