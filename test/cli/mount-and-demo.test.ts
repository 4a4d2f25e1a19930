/** The program from its ready line to its end: the fixed command on Apache, and the demo. */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
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
import { afterEach, beforeEach, describe, test } from 'node:test';
import { run, runOk, skipUnless, waitUntil } from '../support/exec.js';
import { INFINIMOUNT } from '../support/mount/index.js';
import { requireComponent, startApache } from '../support/servers/index.js';

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'infinimount-run-'));
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

const needsFuse = {
  skip: skipUnless(process.getuid?.() === 0 && existsSync('/dev/fuse'), 'root and /dev/fuse'),
  timeout: 120_000,
};

/** A program in the foreground, with all that it printed so far. */
class Foreground {
  stdout = '';
  stderr = '';
  readonly #child: ChildProcess;
  readonly #exit: Promise<unknown[]>;

  constructor(args: readonly string[]) {
    const [command = '', ...rest] = [...INFINIMOUNT, ...args];
    this.#child = spawn(command, rest, {
      env: { ...process.env, HOME: home },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child.stdout?.on('data', (data: Buffer) => {
      this.stdout += data;
    });
    this.#child.stderr?.on('data', (data: Buffer) => {
      this.stderr += data;
    });
    this.#exit = once(this.#child, 'close');
  }

  async said(text: string): Promise<void> {
    await waitUntil(text, () => {
      if (this.#child.exitCode !== null) throw new Error(`ended early: ${this.stderr}`);
      return this.stdout.includes(text);
    });
  }

  /** Sends the signal and gives the exit code back. */
  async end(signal: NodeJS.Signals): Promise<unknown> {
    this.#child.kill(signal);
    return await this.ended();
  }

  /** Waits for the end; gives the exit code back. */
  async ended(): Promise<unknown> {
    return (await this.#exit)[0];
  }

  /** Whatever happened, leaves neither process nor mount. */
  async discard(mountPoint: string): Promise<void> {
    if (this.#child.exitCode === null) this.#child.kill('SIGKILL');
    await run(['umount', '-l', mountPoint]);
  }
}

function isMounted(path: string): boolean {
  return readFileSync('/proc/self/mounts', 'utf8').includes(` ${path} `);
}

/** The fixed command's arguments for a server; makes the mount point and the password file. */
function mountArguments(server: { readonly url: string; readonly user: string; readonly password: string }): {
  readonly drive: string;
  readonly args: readonly string[];
} {
  const drive = join(home, 'drive');
  const passwordFile = join(home, 'password');
  mkdirSync(drive);
  writeFileSync(passwordFile, `${server.password}\n`, { mode: 0o600 });
  const options = [
    '--user',
    server.user,
    '--password-file',
    passwordFile,
    '--cache-dir',
    join(home, 'cache'),
  ];
  return { drive, args: ['mount', server.url, drive, ...options] };
}

describe('mount', needsFuse, () => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    test(`one line when ready, the end by ${signal}`, async (t) => {
      if (!requireComponent(t, 'apache')) return;
      await using server = await startApache();
      const { drive, args } = mountArguments(server);
      const mount = new Foreground(args);
      try {
        await mount.said('\n');
        assert.equal(mount.stdout, `infinimount: mounted ${server.url} on ${drive}\n`);
        assert.ok(isMounted(drive));
        assert.equal(await mount.end(signal), 0, mount.stderr);
        assert.ok(!isMounted(drive));
        assert.equal(mount.stdout.split('\n').length, 2);
      } finally {
        await mount.discard(drive);
      }
    });
  }

  test('changes that were not sent are counted, kept, and sent by the next mount', async (t) => {
    if (!requireComponent(t, 'apache')) return;
    await using server = await startApache();
    const { drive, args } = mountArguments(server);
    const first = new Foreground([...args, '--upload-delay', '1h']);
    try {
      await first.said('mounted');
      await runOk(['sh', '-c', 'echo hello > "$1/file"', 'sh', drive], { timeoutMs: 10_000 });
      assert.equal(await first.end('SIGTERM'), 0, first.stderr);
      assert.match(
        first.stderr,
        /^infinimount: 1 change is not on the server yet, and safe in "[^"]+cache": /m,
      );
      assert.ok(!existsSync(join(server.root, 'file')));
    } finally {
      await first.discard(drive);
    }
    const second = new Foreground(args);
    try {
      await second.said('mounted');
      const onServer = join(server.root, 'file');
      await waitUntil(
        'the file on the server',
        () => existsSync(onServer) && readFileSync(onServer, 'utf8') === 'hello\n',
      );
      assert.equal(await second.end('SIGTERM'), 0, second.stderr);
    } finally {
      await second.discard(drive);
    }
  });

  test('the end by umount', async (t) => {
    if (!requireComponent(t, 'apache')) return;
    await using server = await startApache();
    const { drive, args } = mountArguments(server);
    const mount = new Foreground(args);
    try {
      await mount.said('mounted');
      await runOk(['umount', drive]);
      assert.equal(await mount.ended(), 0, mount.stderr);
    } finally {
      await mount.discard(drive);
    }
  });
});

describe('demo', needsFuse, () => {
  test('a drive and the files behind it; afterwards only the files', async () => {
    const base = join(home, 'my demo');
    const demo = new Foreground(['demo', base]);
    const drive = join(base, 'drive');
    try {
      await demo.said('Ctrl-C ends the demo');
      assert.ok(demo.stdout.includes(drive));
      const welcome = await runOk(['cat', join(drive, 'welcome.txt')], { timeoutMs: 10_000 });
      assert.match(welcome, /^Welcome to infinimount/);
      await runOk(
        ['sh', '-c', 'echo hello > "$1/hello.txt" && mkdir "$1/a" && echo 2 > "$1/a/b"', 'sh', drive],
        { timeoutMs: 10_000 },
      );
      assert.equal(await demo.end('SIGINT'), 0, demo.stderr);
      assert.deepEqual(readdirSync(base), ['server']);
      assert.deepEqual(readdirSync(join(base, 'server')).sort(), ['a', 'hello.txt', 'welcome.txt']);
      assert.equal(readFileSync(join(base, 'server', 'a', 'b'), 'utf8'), '2\n');
    } finally {
      await demo.discard(drive);
    }
    const again = new Foreground(['demo', base]);
    try {
      await again.said('Ctrl-C ends the demo');
      assert.equal(await runOk(['cat', join(drive, 'hello.txt')], { timeoutMs: 10_000 }), 'hello\n');
      assert.equal(await again.end('SIGTERM'), 0, again.stderr);
    } finally {
      await again.discard(drive);
    }
  });

  test('a directory that cannot be made', async () => {
    const file = join(home, 'file');
    writeFileSync(file, '');
    const result = await run([...INFINIMOUNT, 'demo', join(file, 'demo')]);
    assert.match(
      result.stderr,
      /^infinimount: Cannot make the folders of the demo in "[^"]+": ENOTDIR\. [^\n]+\n$/,
    );
    assert.deepEqual([result.stdout, result.code], ['', 71]);
  });
});
