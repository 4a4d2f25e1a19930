/** The program as it is started: what it prints, where, and with which exit code. Needs the compiled program. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { FLAG_NAMES, optionSpec } from '../../src/config/index.js';
import { run } from '../support/exec.js';
import { INFINIMOUNT } from '../support/mount/index.js';

const home = mkdtempSync(join(tmpdir(), 'infinimount-cli-'));
after(() => rmSync(home, { recursive: true, force: true }));

function infinimount(...args: string[]) {
  return run([...INFINIMOUNT, ...args], { cwd: home, env: { HOME: home, NO_COLOR: '1' } });
}

/** Runs a command line that must fail with one line on stderr and nothing on stdout. */
async function refused(code: number, line: RegExp, ...args: string[]): Promise<void> {
  const result = await infinimount(...args);
  assert.match(result.stderr, /^infinimount: Cannot [^\n]+\n$/);
  assert.match(result.stderr, line);
  assert.deepEqual([result.stdout, result.code], ['', code]);
}

describe('help', () => {
  test('--version is that of package.json', async () => {
    const manifest: { version: string } = JSON.parse(
      readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
    );
    const { stdout, stderr, code } = await infinimount('--version');
    assert.deepEqual([stdout, stderr, code], [`${manifest.version}\n`, '', 0]);
  });

  test('--help names the commands', async () => {
    const { stdout, code } = await infinimount('--help');
    for (const command of ['mount', 'login', 'logout', 'config', 'doctor', 'demo', 'completion'])
      assert.match(stdout, new RegExp(`^  ${command} |infinimount ${command}`, 'm'));
    assert.equal(code, 0);
  });

  test('mount --help names every option', async () => {
    const { stdout, code } = await infinimount('mount', '--help');
    for (const name of FLAG_NAMES) assert.match(stdout, new RegExp(`--${name}\\b`));
    assert.equal(code, 0);
  });

  test('mount, login and remount tell of every option when a running mount takes a new value', async () => {
    const tags = {
      live: '{live}',
      credentials: '{next request}',
      'new-mount': '{new kernel mount}',
      'new-daemon': '{next start}',
    };
    for (const command of ['mount', 'login', 'remount']) {
      const { stdout } = await infinimount('help', command);
      const rows = stdout.split(/\n +(?=--)/).map((row) => row.replaceAll(/\s+/g, ' '));
      for (const tag of Object.values(tags))
        assert.ok(rows.at(-1)?.includes(`${tag} `), `${command}: ${tag}`);
      const shown = rows.flatMap((row) => {
        const name = FLAG_NAMES.find((flag) => row.startsWith(`--${flag} `));
        return name === undefined || !row.includes('{') ? [] : [{ name, row }];
      });
      assert.ok(shown.length > 10, command);
      for (const { name, row } of shown) assert.ok(row.includes(tags[optionSpec(name).applies]), row);
      if (command !== 'remount') assert.equal(shown.length, FLAG_NAMES.length);
    }
  });

  test('the completion script, and what it asks for', async () => {
    const script = await infinimount('completion');
    assert.match(script.stdout, /complete .*infinimount/);
    const { stdout } = await infinimount('--get-yargs-completions', 'infinimount', 'mount', '--cache');
    assert.match(stdout, /^--cache-dir\b/m);
  });
});

describe('command lines that cannot be understood', () => {
  test('no command', () => refused(64, /no command was given/));
  test('a wrong command', () => refused(64, /Did you mean "mount"\?/, 'mout', 'https://h/', 'd'));
  test('an option before the command', () => refused(64, /options come after/, '--user', 'me', 'mount'));
  test('an unknown option', () =>
    refused(64, /Did you mean --cache-dir\?/, 'mount', 'https://h/', 'd', '--cachedir', 'c'));
  test('an unknown option that swallows a word', () =>
    refused(64, /Did you mean --user\?/, 'mount', '--usr', 'https://h/', 'd'));
  test('a bad value', () =>
    refused(64, /--sync "x": it must be one of/, 'mount', 'https://h/', 'd', '--sync', 'x'));
  test('an option without its value', () =>
    refused(64, /--cache-size ""/, 'mount', 'https://h/', 'd', '--cache-size'));
  test('a word too many', () => refused(64, /"c"/, 'mount', 'https://h/', 'a', 'c'));
  test('a word too few', () => refused(64, /the directory to mount on is missing/, 'mount', 'https://h/'));
  test('a malformed URL', () => refused(64, /it is not a web address/, 'mount', 'cloud.example', 'd'));
  test('plain http to another machine', () =>
    refused(64, /plain http/, 'mount', 'http://cloud.example/', 'd'));
  test('no password', () => refused(78, /no terminal to ask on/, 'mount', 'https://h/', 'd', '--user', 'me'));
  test('a password file that others can read', () => {
    writeFileSync(join(home, 'pw'), 'pw', { mode: 0o644 });
    return refused(78, /Run: chmod 600/, 'mount', 'https://h/', 'd', '--user', 'me', '--password-file', 'pw');
  });
});

describe('the thread pool', () => {
  test('has room for reads that wait while others go on', () => {
    // Loads the very entry in its own process, then blocks more reads than the four threads of a pool left alone.
    const probe = join(home, 'probe.cjs');
    writeFileSync(
      probe,
      `const fs = require('fs');
       process.argv = [process.execPath, 'infinimount', '--version'];
       process.exit = () => {
         const fifo = fs.openSync(${JSON.stringify(join(home, 'fifo'))}, 'r+');
         for (let i = 0; i < 8; i++) fs.read(fifo, Buffer.alloc(1), 0, 1, null, () => {});
         fs.stat('/', () => {
           fs.writeSync(1, 'went on');
           // Lets the reads go, for the pool is joined at the end.
           fs.writeSync(fifo, '12345678');
         });
       };
       require(${JSON.stringify(INFINIMOUNT[1])});`,
    );
    execFileSync('mkfifo', [join(home, 'fifo')]);
    const environment = { ...process.env };
    delete environment.UV_THREADPOOL_SIZE;
    const output = execFileSync(process.execPath, [probe], {
      encoding: 'utf8',
      env: environment,
      timeout: 20_000,
      killSignal: 'SIGKILL',
    });
    assert.match(output, /went on$/);
  });
});
