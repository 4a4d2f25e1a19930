/** Whole programs at work on the mount: what they leave on the server, and what a second mount sees of it. */

import assert from 'node:assert/strict';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { runOk, sh, skipWithout, waitUntil } from '../support/exec.js';
import type { Driver } from '../support/mount/index.js';
import { pattern } from './posix/context.js';
import { ODD_NAMES } from './posix/directories.js';
import {
  DRAIN_TIMEOUT_MS,
  DRIVERS,
  diffTrees,
  ENV_GIT,
  packageTree,
  SKIP_MOUNT,
  startBench,
  TempDir,
  waitForTree,
} from './setup.js';

const LONG = { timeoutMs: 120_000 };

for (const driver of DRIVERS) {
  describe(`programs on the mount, driver ${driver}`, { skip: SKIP_MOUNT }, () => {
    // More than a minute through libfuse, and nothing that the others do not do.
    if (driver === 'kernel') {
      test('a tree of 3,000 files is the same on the mount, on the server and on a second mount', async () => {
        using temp = new TempDir('tree');
        const files = await packageTree(temp.at('source'));
        assert.ok(files >= 3_000, `only ${files} files to copy`);
        await using bench = await startBench({ driver });
        await bench.drive.sh('cp -a "$1" tree', [temp.at('source')], LONG);
        assert.equal(await diffTrees(temp.at('source'), bench.drive.at('tree')), '');
        await bench.serverEquals(temp.at('source'), 'tree');
        await using second = await bench.secondMount();
        assert.equal(await diffTrees(temp.at('source'), second.at('tree')), '');

        await bench.drive.sh(
          'mv tree moved; mkdir sub; mv moved/typescript sub/ts; rm -r moved/undici',
          [],
          LONG,
        );
        await sh('cd "$1"; mv source moved; mkdir sub; mv moved/typescript sub/ts; rm -r moved/undici', [
          temp.path,
        ]);
        assert.equal(await diffTrees(temp.at('moved'), bench.drive.at('moved')), '');
        await bench.serverEquals(temp.at('moved'), 'moved');
        await bench.serverEquals(temp.at('sub'), 'sub');
        assert.equal(existsSync(bench.onServer('tree')), false);

        await bench.drive.sh('rm -r moved sub', [], LONG);
        assert.deepEqual(await bench.drive.fs.readdir(bench.drive.path), []);
        await waitUntil(
          'the server to be empty',
          () => readdirSync(bench.server.root).every((name) => name === '.DAV'),
          { timeoutMs: DRAIN_TIMEOUT_MS },
        );
      });
    }

    test('git: clone, edit, commit, gc and fsck', { skip: skipWithout('git') }, async () => {
      using temp = new TempDir('git');
      await sh(MAKE_REPOSITORY, [temp.at('work'), temp.at('bare.git')], { env: ENV_GIT, timeoutMs: 60_000 });
      await using bench = await startBench({ driver });
      const inRepository = { env: ENV_GIT, timeoutMs: 120_000 };
      await bench.drive.sh('git clone -q "$1" repo', [temp.at('bare.git')], inRepository);
      await bench.drive.sh(
        `cd repo
      test -z "$(git status --porcelain)"
      for i in 1 2 3 4 5; do echo "edit $i" >> dir3/file7.txt; git commit -qam "edit $i"; done
      git mv dir4 moved; git rm -rq dir5; git commit -qm "move and remove"
      git checkout -qb branch HEAD~3; echo branch > new.txt; git add new.txt; git commit -qm branch
      git checkout -q -; git merge -q --no-edit branch
      git gc -q --prune=now
      git fsck --strict --full
      test -z "$(git status --porcelain)"`,
        [],
        inRepository,
      );
      await bench.drive.sh('cp -a repo "$1"', [temp.at('copy')], LONG);
      await waitForTree(temp.at('copy'), bench.onServer('repo'));
      await using second = await bench.secondMount();
      const log = (dir: string) => runOk(['git', '-C', dir, 'log', '--format=%H %s'], inRepository);
      assert.equal(await log(second.at('repo')), await log(temp.at('copy')));
      await second.sh(
        'cd repo; git fsck --strict --full; test -z "$(git status --porcelain)"',
        [],
        inRepository,
      );
    });

    test('sqlite: a database lives on the mount', { skip: skipWithout('sqlite3') }, async () => {
      await using bench = await startBench({ driver });
      const check = 'pragma integrity_check; select count(*), sum(length(text)) from t;';
      await bench.drive.sh(
        `sqlite3 data.db "create table t(id integer primary key, text); create index i on t(text);"
      for round in 1 2 3 4 5; do
        sqlite3 data.db "with recursive n(i) as (select 1 union all select i+1 from n where i<400)
          insert into t(text) select hex(randomblob(100)) from n;"
      done
      sqlite3 data.db "delete from t where id % 7 = 0; vacuum;"
      test "$(sqlite3 data.db "$1" | head -1)" = ok`,
        [check],
        LONG,
      );
      const local = await bench.drive.sh('sqlite3 data.db "$1"', [check]);
      const expected = await bench.drive.fs.readFile(bench.drive.at('data.db'));
      await bench.serverHas('data.db', expected);
      await using second = await bench.secondMount();
      assert.equal(await second.sh('sqlite3 data.db "$1"', [check]), local);
    });

    test('rsync -a: the second run finds nothing to do', { skip: skipWithout('rsync') }, async () => {
      using temp = new TempDir('rsync');
      await sh(makeFiles(driver), [temp.at('source')]);
      await using bench = await startBench({ driver });
      await bench.drive.sh('rsync -a "$1/" copy/', [temp.at('source')], LONG);
      assert.equal(await bench.drive.sh('rsync -ai --delete "$1/" copy/', [temp.at('source')], LONG), '');
      writeFileSync(temp.at('source', 'd1', 'f1'), 'changed content');
      assert.match(
        await bench.drive.sh('rsync -ai --delete "$1/" copy/', [temp.at('source')], LONG),
        /^>f\S+ d1\/f1\n$/,
      );
      await bench.serverEquals(temp.at('source'), 'copy');
    });

    test('tar x: unpacks what was packed', async () => {
      using temp = new TempDir('tar');
      await sh(`${makeFiles(driver)}; cd ..; tar -cf archive.tar source`, [temp.at('source')]);
      await using bench = await startBench({ driver });
      await bench.drive.sh('tar -xf "$1"; tar -df "$1"', [temp.at('archive.tar')], LONG);
      assert.equal(await diffTrees(temp.at('source'), bench.drive.at('source')), '');
      await bench.serverEquals(temp.at('source'), 'source');
    });

    test('odd names: on the server, back on a second mount, and from the server to the mount', async () => {
      await using bench = await startBench({ driver });
      const wanted = [...ODD_NAMES].sort();
      const { fs } = bench.drive;
      for (const parent of ['files', 'folders']) await fs.mkdir(bench.drive.at(parent));
      for (const name of wanted) {
        await fs.writeFile(bench.drive.at('files', name), `file ${name}`);
        await fs.mkdir(bench.drive.at('folders', name));
        await fs.writeFile(bench.drive.at('folders', name, name), `inner ${name}`);
      }
      for (const name of wanted) {
        await bench.serverHas(join('files', name), `file ${name}`);
        await bench.serverHas(join('folders', name, name), `inner ${name}`);
      }
      assert.deepEqual(readdirSync(bench.onServer('files')).sort(), wanted);
      await using second = await bench.secondMount();
      assert.deepEqual((await second.fs.readdir(second.at('files'))).sort(), wanted);
      for (const name of wanted) {
        assert.equal(String(await second.fs.readFile(second.at('files', name))), `file ${name}`);
        assert.equal(String(await second.fs.readFile(second.at('folders', name, name))), `inner ${name}`);
      }
      for (const name of wanted)
        await second.fs.rename(second.at('files', name), second.at(`renamed ${wanted.indexOf(name)}`));
      for (const [index, name] of wanted.entries()) await bench.serverHas(`renamed ${index}`, `file ${name}`);
    });

    test('a file renamed while it is written arrives whole under its new name only', async () => {
      await using bench = await startBench({ driver });
      const { fs } = bench.drive;
      const content = pattern(3_000_000);
      const fd = await fs.open(bench.drive.at('movie.part'), 'w');
      await fs.write(fd, content.subarray(0, 1_000_000));
      await fs.rename(bench.drive.at('movie.part'), bench.drive.at('movie.mp4'));
      await fs.write(fd, content.subarray(1_000_000));
      await fs.close(fd);
      await bench.serverHas('movie.mp4', content);
      assert.equal(existsSync(bench.onServer('movie.part')), false);
      assert.ok((await fs.readFile(bench.drive.at('movie.mp4'))).equals(content));
    });

    test('a download written beside and renamed after its close arrives whole', async () => {
      await using bench = await startBench({ driver });
      const { fs } = bench.drive;
      for (let i = 0; i < 10; i++) {
        const content = pattern(200_000, i + 1);
        await fs.writeFile(bench.drive.at(`page${i}.html.part`), content);
        await fs.rename(bench.drive.at(`page${i}.html.part`), bench.drive.at(`page${i}.html`));
      }
      for (let i = 0; i < 10; i++) await bench.serverHas(`page${i}.html`, pattern(200_000, i + 1));
      await waitUntil('no partial name to be left', () =>
        readdirSync(bench.server.root).every((name) => !name.endsWith('.part')),
      );
    });

    test('SIGTERM ends with code 0, nothing mounted, and what was pending goes up at the next mount', async () => {
      using temp = new TempDir('pending');
      await using bench = await startBench({ driver, cacheDir: temp.at('cache') });
      await bench.drive.fs.writeFile(bench.drive.at('first'), 'first');
      await bench.serverHas('first', 'first');
      bench.server.pause();
      await bench.drive.fs.writeFile(bench.drive.at('second'), 'second');
      const end = bench.drive.unmount();
      const status = await end;
      bench.server.resume();
      assert.deepEqual(status, { code: 0, signal: null });
      await using again = await bench.secondMount({ cacheDir: temp.at('cache') });
      assert.equal(String(await again.fs.readFile(again.at('second'))), 'second');
      await bench.serverHas('second', 'second');
    });
  });
}

/** $1: working tree, $2: bare repository made from it, with 30 commits over 150 files. */
const MAKE_REPOSITORY = `
  git init -q "$1"; cd "$1"
  for d in 1 2 3 4 5 6; do
    mkdir dir$d
    for f in $(seq 25); do seq $((d * f)) $((d * f + 200)) > dir$d/file$f.txt; done
  done
  git add .; git commit -qm start
  for c in $(seq 29); do echo "line $c" >> dir$((c % 6 + 1))/file$((c % 25 + 1)).txt; git commit -qam "change $c"; done
  git clone -q --bare "$1" "$2"`;

/** $1: a tree of 200 files with times of its own, as fine as the driver keeps them. */
const makeFiles = (driver: Driver) => `
  mkdir "$1"; cd "$1"
  for d in $(seq 10); do
    mkdir d$d
    for f in $(seq 20); do seq $((d * f * 7)) > d$d/f$f; touch -d "2020-01-$d 10:00:$((f + 10)).${driver === 'fuse-native' ? '123' : '123456789'}" d$d/f$f; done
  done`;
