/**
 * The whole driver against the kernel: a child process mounts and serves a tiny tree, and this process never touches
 * the mount itself; other processes do, each with a time limit.
 */

import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, chown, mkdir, mkdtemp, rmdir, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { mountedAt } from '../../src/fuse/index.js';
import { bundled } from '../support/bundled.js';
import type { ChildOptions, ChildReady, ChildReport, ChildRequest } from './fuse-driver-child.js';

const CHILD = fileURLToPath(new URL('./fuse-driver-child.ts', import.meta.url));
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const LIMIT_MS = 30_000;
const NOBODY = 65_534;

const canMount = process.getuid?.() === 0 && existsSync('/dev/fuse');
const hasHelper = spawnSync('fusermount3', ['--version']).status === 0;
const inCi = process.env.CI !== undefined;
const skip = canMount || inCi ? false : 'needs root and /dev/fuse';
const skipHelper = (canMount && hasHelper) || inCi ? false : 'needs root, /dev/fuse and fusermount3';

type Answer =
  | { readonly ready: ChildReady }
  | { readonly failed: string }
  | { readonly ended: string }
  | { readonly id: number; readonly value?: unknown; readonly error?: string };

function limited<T>(what: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took too long`)), LIMIT_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** A mounted child, seen from the test. */
class Mounted {
  readonly path: string;
  readonly child: ChildProcess;
  readonly started: Promise<Answer>;
  readonly ended: Promise<string>;
  readonly exited: Promise<number | NodeJS.Signals | null>;
  ready: ChildReady | undefined;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  #id = 0;

  constructor(path: string, options: Omit<ChildOptions, 'mountPoint'>, uid?: number) {
    this.path = path;
    const given: ChildOptions = { ...options, mountPoint: path };
    this.child = spawn(process.execPath, ['--enable-source-maps', bundled(CHILD), JSON.stringify(given)], {
      cwd: ROOT,
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      ...(uid !== undefined && { uid, gid: uid }),
    });
    this.exited = new Promise((resolve) => {
      this.child.once('exit', (code, signal) => resolve(code ?? signal));
    });
    let onStarted: (answer: Answer) => void = () => {};
    let onEnded: (reason: string) => void = () => {};
    this.started = new Promise((resolve) => {
      onStarted = resolve;
    });
    this.ended = new Promise((resolve) => {
      onEnded = resolve;
    });
    this.child.on('message', (answer: Answer) => {
      if ('id' in answer) this.#waiting.get(answer.id)?.(answer);
      else if ('ended' in answer) onEnded(answer.ended);
      else onStarted(answer);
    });
    this.child.once('exit', (code, signal) => onStarted({ failed: `exit ${code ?? signal}` }));
  }

  async ask(request: ChildRequest): Promise<unknown> {
    const id = ++this.#id;
    const answer = new Promise<Answer>((resolve) => this.#waiting.set(id, resolve));
    this.child.send({ ...request, id });
    const got = await limited(request.do, answer);
    if ('error' in got && got.error !== undefined) throw new Error(got.error);
    return 'value' in got ? got.value : undefined;
  }

  async report(): Promise<ChildReport> {
    return (await this.ask({ do: 'report' })) as ChildReport;
  }

  /** Asks until `check` holds, at most {@link LIMIT_MS}: a program may need seconds to start on a busy machine. */
  async until(what: string, check: (report: ChildReport) => boolean): Promise<ChildReport> {
    const untilMs = performance.now() + LIMIT_MS;
    for (;;) {
      const report = await this.report();
      if (check(report)) return report;
      if (performance.now() > untilMs) assert.fail(`${what} did not come about: ${JSON.stringify(report)}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** Runs a program in the mount, with a time limit. */
  run(command: string, args: readonly string[], uid?: number): Promise<{ code: number; out: string }> {
    return new Promise((resolve) => {
      const options = { cwd: '/', timeout: LIMIT_MS, killSignal: 'SIGKILL' as const, maxBuffer: 64 << 20 };
      execFile(
        command,
        args,
        { ...options, ...(uid !== undefined && { uid, gid: uid }) },
        (error, stdout, stderr) => {
          const code = typeof error?.code === 'number' ? error.code : error === null ? 0 : -1;
          resolve({ code, out: stdout + stderr });
        },
      );
    });
  }

  async shell(script: string): Promise<string> {
    const { code, out } = await this.run('/bin/sh', ['-ec', script, 'sh', this.path]);
    assert.equal(code, 0, `${script}\n${out}`);
    return out.trim();
  }

  async close(): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null && this.child.connected) {
      this.child.disconnect();
    }
    const gone = await limited('exit', this.exited).catch(() => {
      this.child.kill('SIGKILL');
      return 'hung';
    });
    const there = await mountedAt(this.path);
    if (there !== undefined) spawnSync('umount', ['-l', this.path], { timeout: LIMIT_MS });
    await rmdir(this.path);
    assert.notEqual(gone, 'hung', 'the child did not exit');
  }
}

async function mountPoint(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'fuse-driver-'));
  await chmod(path, 0o755);
  return path;
}

async function withMount(
  options: Omit<ChildOptions, 'mountPoint'>,
  body: (mounted: Mounted) => Promise<void>,
  uid?: number,
): Promise<void> {
  const path = await mountPoint();
  if (uid !== undefined) await chown(path, uid, uid);
  const mounted = new Mounted(path, options, uid);
  try {
    const started = await limited('mount', mounted.started);
    assert.ok('ready' in started, JSON.stringify(started));
    mounted.ready = started.ready;
    await body(mounted);
  } finally {
    await mounted.close();
  }
}

const NAMES = [
  'plain',
  'with space',
  '100%',
  'a#b?c&d',
  `quote'"`,
  'back\\slash',
  'emoji 🦆',
  '日本語',
  'x'.repeat(255),
];

/** One pass over the operations, the same on each protocol version. */
async function exercise(mounted: Mounted): Promise<void> {
  const sh = (script: string): Promise<string> => mounted.shell(script);
  assert.equal(await sh('cd "$1"; echo one > a; cat a'), 'one');
  assert.equal(await sh('cd "$1"; echo two >> a; cat a; wc -c < a'), 'one\ntwo\n8');
  assert.equal(await sh('cd "$1"; : > a; stat -c %s a'), '0');
  assert.equal(await sh('cd "$1"; truncate -s 10 a; stat -c "%s %F" a'), '10 regular file');
  assert.equal(await sh('cd "$1"; chmod 640 a; chown 7:8 a; stat -c "%a %u %g" a'), '640 7 8');
  assert.equal(
    await sh('cd "$1"; touch -d "1960-01-02 03:04:05.123456789 UTC" a; TZ=UTC stat -c %y a'),
    '1960-01-02 03:04:05.123456789 +0000',
  );
  assert.equal(await sh('cd "$1"; mkdir d; echo x > d/f; mv d e; cat e/f; mv e/f g; rmdir e; cat g'), 'x\nx');
  assert.equal(
    await sh('cd "$1"; ln -s some/where l; readlink l; ln g h; stat -c %h g; rm h; stat -c %h g'),
    'some/where\n2\n1',
  );
  assert.equal(await sh('cd "$1"; echo new > n; mv -n n g; cat g n; rm n'), 'x\nnew');
  assert.equal(
    await sh('cd "$1"; rmdir a 2>&1 || true; mkdir k; touch k/f; rmdir k 2>&1 || true; rm -r k').then(
      (out) => out.split('\n').length,
    ),
    2,
  );
  assert.equal(await sh('cd "$1"; df --output=size,avail -k . | tail -1 | tr -s " "'), '4000 3200');
  assert.equal(
    await sh(
      'cd "$1"; setfattr -n user.t -v hello g; getfattr --only-values -n user.t g; setfattr -x user.t g; getfattr -d g',
    ),
    'hello',
  );
  assert.equal(
    await sh('cd "$1"; fallocate -l 5000 z; stat -c %s z; cp --sparse=always z y; cmp z y; rm y z'),
    '5000',
  );
  assert.equal(await sh('cd "$1"; cat nothing 2>&1 || true'), 'cat: nothing: No such file or directory');
  const big = 'head -c 3145733 /dev/zero | tr "\\0" k > big; sync big; sha256sum < big; sha256sum < big';
  const [first, second] = (await sh(`cd "$1"; ${big}; rm big`)).split('\n');
  assert.equal(first, second);
  assert.equal(
    first?.slice(0, 64),
    spawnSync('sh', ['-c', 'head -c 3145733 /dev/zero | tr "\\0" k | sha256sum'])
      .stdout.toString()
      .slice(0, 64),
  );
  for (const name of NAMES) {
    const { code, out } = await mounted.run('/bin/sh', [
      '-ec',
      'echo hi > "$1/$2"; cat "$1/$2"; rm "$1/$2"',
      'sh',
      mounted.path,
      name,
    ]);
    assert.equal(code, 0, out);
  }
  assert.match((await mounted.run('touch', [join(mounted.path, 'n'.repeat(256))])).out, /too long/);
  await mounted.ask({ do: 'fill', count: 1500 });
  assert.equal(await sh('cd "$1"; ls | grep -c ^file-; ls -l | grep -c file-'), '1500\n1500');
  assert.match(await sh('touch "$1/$(printf "\\377bad")" 2>&1 || true'), /Invalid or incomplete multibyte/);
}

describe('the driver through the kernel', { skip }, () => {
  const versions: readonly { name: string; options: Omit<ChildOptions, 'mountPoint'>; minor?: number }[] = [
    { name: 'newest', options: {} },
    { name: 'newest, half of the answers late', options: { mixAsync: true } },
    { name: 'no lingering', options: { lingerMicros: 0 } },
    { name: '7.40', options: { maxMinor: 40 }, minor: 40 },
    { name: '7.36', options: { maxMinor: 36, mixAsync: true }, minor: 36 },
    { name: '7.31', options: { maxMinor: 31 }, minor: 31 },
    { name: 'writeback cache', options: { extraFlags: ['WRITEBACK_CACHE'], mixAsync: true } },
    { name: 'without MAX_PAGES', options: { maskInitFlags: ['MAX_PAGES', 'SETXATTR_EXT'] } },
  ];
  for (const { name, options, minor } of versions) {
    test(`operations: ${name}`, async () => {
      await withMount(options, async (mounted) => {
        assert.equal(mounted.ready?.method, 'mount');
        if (minor !== undefined) assert.equal(mounted.ready?.minor, minor);
        await exercise(mounted);
        const report = await mounted.report();
        assert.deepEqual(report.unexpected, []);
        assert.equal(report.inFlight, 0);
        assert.equal(report.counters.malformed, 0);
        assert.equal(report.counters.undelivered, 0);
        const large = report.lookups;
        for (const [ino, count] of Object.entries(large))
          assert.ok(count >= 0, `node ${ino} has ${count} references`);
        assert.equal(await mounted.ask({ do: 'unmount', lazy: false }), 'unmounted');
        assert.equal(await limited('end', mounted.ended), 'unmounted');
        assert.equal(await mountedAt(mounted.path), undefined);
      });
    });
  }

  test('references come back when the kernel drops its caches', async () => {
    await withMount({ mixAsync: true }, async (mounted) => {
      await mounted.ask({ do: 'fill', count: 300 });
      await mounted.shell(
        'cd "$1"; ls -l > /dev/null; stat file-* > /dev/null; for i in 1 2 3; do echo $i > new-$i; done',
      );
      const before = await mounted.report();
      assert.ok(Object.values(before.lookups).reduce((sum, count) => sum + count, 0) >= 303);
      await mounted.shell('echo 2 > /proc/sys/vm/drop_caches');
      await mounted.until('all references given back', (report) =>
        Object.values(report.lookups).every((count) => count === 0),
      );
    });
  });

  test('an interrupted caller aborts the signal and is answered, and others go on', async () => {
    await withMount({}, async (mounted) => {
      await mounted.ask({ do: 'hang', name: 'never' });
      const reader = spawn('stat', [join(mounted.path, 'never')], { stdio: 'ignore' });
      const exit = new Promise((resolve) => reader.once('exit', (_code, signal) => resolve(signal)));
      await mounted.until('request in work', (report) => report.inFlight === 1);
      // Not a change of that directory: the kernel holds its lock while the look-up lasts.
      await mounted.ask({ do: 'fill', count: 1 });
      assert.equal(await mounted.shell('ls "$1"; stat -c %s "$1/file-0"'), 'file-0\n0');
      reader.kill('SIGINT');
      assert.equal(await limited('interrupted reader', exit), 'SIGINT');
      const report = await mounted.until('request answered', ({ inFlight }) => inFlight === 0);
      assert.equal(report.aborted, 1);
      assert.ok(report.counters.interrupts >= 1);
      assert.deepEqual(report.unexpected, []);
    });
  });

  test('a broken handler is EIO, reported, and nothing else', async () => {
    await withMount({}, async (mounted) => {
      assert.match(await mounted.shell('stat "$1/broken" 2>&1 || true'), /Input\/output error/);
      assert.equal(await mounted.shell('echo fine > "$1/f"; cat "$1/f"'), 'fine');
      assert.deepEqual((await mounted.report()).unexpected, ['LOOKUP: this handler is broken']);
    });
  });

  test('invalidation: entries, missing names, data', async () => {
    await withMount({}, async (mounted) => {
      const missing = 'No such file or directory';
      assert.match(await mounted.shell('stat "$1/late" 2>&1 || true'), new RegExp(missing));
      await mounted.ask({ do: 'put', name: 'late', sizeBytes: 5 });
      assert.match(await mounted.shell('stat "$1/late" 2>&1 || true'), new RegExp(missing));
      assert.equal(await mounted.ask({ do: 'invalEntry', name: 'late' }), 'done');
      assert.equal(await mounted.shell('cat "$1/late"'), 'abcde');
      const { counts } = await mounted.report();
      assert.equal(await mounted.shell('cat "$1/late"'), 'abcde');
      assert.equal((await mounted.report()).counts.read, counts.read);
      assert.equal(await mounted.ask({ do: 'invalInode', name: 'late' }), 'done');
      assert.equal(await mounted.shell('cat "$1/late"'), 'abcde');
      assert.ok(((await mounted.report()).counts.read ?? 0) > (counts.read ?? 0));
      assert.equal(await mounted.ask({ do: 'invalEntry', name: 'never-seen' }), 'absent');
    });
  });

  test('a notification on a directory whose look-up waits does not lock up', async () => {
    await withMount({}, async (mounted) => {
      await mounted.ask({ do: 'put', name: 'held-a', sizeBytes: 1 });
      await mounted.ask({ do: 'put', name: 'seen', sizeBytes: 1 });
      await mounted.shell('stat "$1/seen"');
      const waiting = mounted.shell('stat -c %s "$1/held-a"');
      await mounted.until('look-up in work', (report) => report.held.includes('held-a'));
      const notified = mounted.ask({ do: 'invalEntry', name: 'seen' });
      // Longer than a notification is held back, so that it sits in the kernel when the look-up ends.
      await new Promise((resolve) => setTimeout(resolve, 2500));
      assert.equal((await mounted.report()).inFlight, 1);
      await mounted.ask({ do: 'release', name: 'held-a' });
      assert.equal(await waiting, '1');
      assert.equal(await notified, 'done');
    });
  });

  test('requests left unanswered are sent again to the next session', async () => {
    await withMount({}, async (mounted) => {
      await mounted.ask({ do: 'put', name: 'held-b', sizeBytes: 3 });
      const waiting = mounted.shell('stat -c %s "$1/held-b"');
      await mounted.until('look-up in work', (report) => report.held.includes('held-b'));
      assert.equal(await mounted.ask({ do: 'handOver' }), 'done');
      await mounted.until(
        'look-up resent',
        (report) => report.resent === 1 && report.held.includes('held-b'),
      );
      await mounted.ask({ do: 'release', name: 'held-b' });
      assert.equal(await waiting, '3');
    });
  });

  test('unmount says busy, and an unmount by someone else ends the session', async () => {
    await withMount({}, async (mounted) => {
      await mounted.shell('echo x > "$1/open"');
      const user = spawn('sleep', ['60'], { stdio: 'ignore', cwd: mounted.path });
      await mounted.until('directory in use', () => existsSync(`/proc/${user.pid}/cwd`));
      await assert.rejects(mounted.ask({ do: 'unmount', lazy: false }), { message: 'busy' });
      const left = new Promise((resolve) => user.once('exit', resolve));
      user.kill('SIGKILL');
      await left;
      assert.equal(spawnSync('umount', [mounted.path], { timeout: LIMIT_MS }).status, 0);
      assert.equal(await limited('end', mounted.ended), 'unmounted');
      assert.equal(await mounted.ask({ do: 'unmount', lazy: false }), 'unmounted');
    });
  });

  test('the process can exit while mounted', async () => {
    await withMount({}, async (mounted) => {
      mounted.child.send({ do: 'exit', id: 0 });
      assert.equal(await limited('exit', mounted.exited), 0);
    });
  });

  test('trace: each request with its reply, all fields', async () => {
    await withMount({ trace: true }, async (mounted) => {
      await mounted.shell(
        'echo hi > "$1/f"; ls -l "$1"; cat "$1/none" || true; setfattr -n user.a -v b "$1/f"; getfattr -d "$1/f"',
      );
      const { lines } = await mounted.report();
      const text = lines.join('\n');
      assert.match(
        text,
        /^-> INIT unique=\d+ node=0 .*\{major=7 minor=\d+ max_readahead=\d+ flags=\d+ flags2=\d+\}$/m,
      );
      assert.match(
        text,
        /^-> CREATE unique=\d+ node=1 uid=0 gid=0 pid=\d+ \{flags=\d+ mode=\d+ umask=\d+ open_flags=\d+\} "f"$/m,
      );
      assert.match(
        text,
        /^<- CREATE unique=\d+ OK \{nodeid=2 .*attr=\{ino=2 .*\{fh=2 open_flags=0 backing_id=0\}$/m,
      );
      assert.match(text, /^-> WRITE .* 3 bytes: 68690a$/m);
      assert.match(text, /^<- READDIRPLUS unique=\d+ OK .*"f" \{entry_out=/m);
      assert.doesNotMatch(text, /malformed/);
      const sent = lines.filter(
        (line) => line.startsWith('-> ') && !/^-> (FORGET|BATCH_FORGET)/.test(line),
      ).length;
      assert.equal(lines.filter((line) => line.startsWith('<- ')).length, sent);
    });
  });
});

describe('mount points', { skip }, () => {
  const attempt = async (path: string, options: Omit<ChildOptions, 'mountPoint'> = {}): Promise<string> => {
    const child = new Mounted(path, options);
    const started = await limited('mount', child.started);
    if ('ready' in started) {
      child.child.disconnect();
      assert.fail('it was mounted');
    }
    await limited('exit', child.exited);
    return 'failed' in started ? started.failed : 'nothing';
  };

  test('missing, a file, not empty', async () => {
    const path = await mountPoint();
    assert.equal(await attempt(join(path, 'no', 'where')), 'missing');
    assert.equal(await attempt(join(path, 'nowhere')), 'missing');
    await writeFile(join(path, 'file'), '');
    assert.equal(await attempt(join(path, 'file')), 'not-a-directory');
    assert.equal(await attempt(path), 'not-empty');
    spawnSync('rm', ['-r', path]);
  });

  test('occupied, and dead after its daemon was killed', async () => {
    await withMount({}, async (mounted) => {
      assert.equal(await attempt(mounted.path), 'occupied');
      mounted.child.kill('SIGKILL');
      await limited('exit', mounted.exited);
      assert.equal(await attempt(mounted.path), 'dead');
    });
  });
});

describe('an ordinary user, through fusermount3', { skip: skipHelper }, () => {
  // Where no udev runs (containers) only root may open the device; udev's own rules give it this mode.
  const OPEN_TO_ALL = 0o666;
  let modeBefore = OPEN_TO_ALL;
  before(async () => {
    modeBefore = (await stat('/dev/fuse')).mode & 0o777;
    await chmod('/dev/fuse', OPEN_TO_ALL);
  });
  after(() => chmod('/dev/fuse', modeBefore));

  test('mounts, works, unmounts', async () => {
    await withMount(
      {},
      async (mounted) => {
        assert.equal(mounted.ready?.method, 'fusermount3');
        const script = 'cd "$1"; echo mine > f; cat f; stat -c %u f';
        const { code, out } = await mounted.run('/bin/sh', ['-ec', script, 'sh', mounted.path], NOBODY);
        assert.equal(code, 0, out);
        assert.equal(out, `mine\n${NOBODY}\n`);
        // The kernel keeps others out of a user's mount, root as well.
        assert.match((await mounted.run('ls', [mounted.path])).out, /Permission denied/);
        assert.equal((await mountedAt(mounted.path))?.source, 'tiny,tree with\\signs');
        assert.equal((await mountedAt(mounted.path))?.type, 'fuse.infinimount');
        assert.equal(await mounted.ask({ do: 'unmount', lazy: false }), 'unmounted');
        assert.equal(await limited('end', mounted.ended), 'unmounted');
      },
      NOBODY,
    );
  });

  test('may not share the mount unless the machine allows it', async () => {
    const path = await mountPoint();
    await mkdir(join(path, 'm'));
    await chown(join(path, 'm'), NOBODY, NOBODY);
    const child = new Mounted(join(path, 'm'), { allowOther: true }, NOBODY);
    const started = await limited('mount', child.started);
    const allowed = spawnSync('grep', ['-qx', 'user_allow_other', '/etc/fuse.conf']).status === 0;
    if (allowed) assert.ok('ready' in started);
    else assert.deepEqual(started, { failed: 'allow-other-denied' });
    await child.close();
    await rmdir(path);
  });
});
