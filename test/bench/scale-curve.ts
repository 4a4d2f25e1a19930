/**
 * What one operation costs while the tree grows, over the real stores on disk and without kernel and network: CPU time
 * of this process, which other programs on the machine do not change. A program of two commands, so that memory is that
 * of a process which did not fill the tree itself:
 *
 *     node --import tsx test/bench/scale-curve.ts fill DIR NODES
 *     node --import tsx test/bench/scale-curve.ts measure DIR RESULT
 */

import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Ino } from '../../src/base/index.js';
import type { Fh } from '../../src/vfs/index.js';
import { openStores, ScaleDrive } from '../support/scale/drive.js';
import { fillState } from '../support/scale/fill.js';

const CALLER = { uid: 0, gid: 0 };
const OPEN = { writable: true, append: false, truncate: true };
const ROUNDS = 2_000;

/** Microseconds of CPU time that one of `count` calls takes. */
function cost(count: number, call: (index: number) => void): number {
  const before = process.cpuUsage();
  for (let index = 0; index < count; index++) call(index);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / count;
}

/** What is asked for without a wait, or an error that says so. */
function now<T>(answer: T | Promise<T>): T {
  if (answer instanceof Promise) throw new Error('an operation on what is here had to wait');
  return answer;
}

/** Of this process, in MB: its own memory, or the pages of files (programs, and the database) that are mapped into it. */
function residentMegabytes(kind: 'Anon' | 'File'): number {
  const kibibytes = new RegExp(`^Rss${kind}:\\s+(\\d+) kB$`, 'm').exec(
    readFileSync('/proc/self/status', 'utf8'),
  )?.[1];
  return (Number(kibibytes ?? 0) * 1024) / 1e6;
}

/** The same numbers in each run. */
function makeRandom(): (below: number) => number {
  let state = 12_345;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

async function fill(dir: string, nodes: number): Promise<void> {
  const { state, content } = await openStores(dir);
  const { directories } = await fillState(state, nodes);
  writeFileSync(join(dir, 'directories.json'), JSON.stringify(directories));
  await content.close();
  await state.close();
}

async function measure(dir: string): Promise<Record<string, number>> {
  const directories = JSON.parse(readFileSync(join(dir, 'directories.json'), 'utf8')) as Ino[];
  const openBefore = performance.now();
  const drive = await ScaleDrive.open(dir);
  const openMs = performance.now() - openBefore;
  const { vfs, engine } = drive;
  const random = makeRandom();
  const somewhere = () => directories[random(directories.length)] as Ino;
  const places = Array.from({ length: ROUNDS }, () => ({ dir: somewhere(), name: `file${random(250)}.txt` }));
  const at = (index: number) => places[index] as (typeof places)[number];

  const found: Ino[] = [];
  const lookup = cost(ROUNDS, (index) => {
    const attributes = now(vfs.names.lookup(at(index).dir, at(index).name));
    if (attributes !== undefined) found.push(attributes.ino);
  });
  const getattr = cost(ROUNDS, (index) => vfs.attributes.get(found[index % found.length] as Ino));
  const made: { dir: Ino; name: string; fh: Fh }[] = [];
  const create = cost(ROUNDS, (index) => {
    const place = { dir: at(index).dir, name: `new${index}` };
    const wanted = { mode: 0o644, caller: CALLER, open: OPEN, exclusive: true };
    made.push({ ...place, fh: now(vfs.names.create(place.dir, place.name, wanted)).fh });
  });
  const data = Buffer.alloc(100, 'x');
  const write = cost(ROUNDS, (index) => {
    const { fh } = made[index] as (typeof made)[number];
    now(vfs.files.write(fh, data, 0));
    now(vfs.files.flush(fh));
    vfs.files.release(fh);
  });
  const rename = cost(ROUNDS, (index) => {
    const { dir: parent, name } = made[index] as (typeof made)[number];
    now(vfs.renames.run({ parent, name }, { parent: at(index).dir, name: `renamed${index}` }, 'replace'));
  });
  const readdir = cost(200, () => {
    const fh = now(vfs.directories.open(somewhere()));
    let left = 100;
    vfs.directories.readPlus(fh, 0, () => --left > 0);
    vfs.directories.release(fh);
  });
  const unlink = cost(ROUNDS, (index) => now(vfs.names.unlink(at(index).dir, `renamed${index}`)));
  const removed = cost(ROUNDS, (index) => {
    const { dir: parent, name } = at(index);
    if (drive.state.localChild(parent, name as never) !== undefined) now(vfs.names.unlink(parent, name));
  });
  const status = cost(ROUNDS, () => {
    engine.summary();
    engine.pendingCount();
    drive.content.stats();
    void drive.state.nodeCount;
  });
  const entries = cost(20, () => engine.entries(100));
  const memory = { 'own MB': residentMegabytes('Anon'), 'mapped MB': residentMegabytes('File') };
  await drive.close();
  return {
    'database MB': statSync(join(dir, 'state', 'state.mdb')).size / 1e6,
    'open ms': openMs,
    'lookup us': lookup,
    'getattr us': getattr,
    'create us': create,
    'write us': write,
    'rename us': rename,
    'readdir us': readdir,
    'unlink us': unlink,
    'remove us': removed,
    'status us': status,
    'queue us': entries,
    ...memory,
  };
}

const [command, dir = '', last = ''] = process.argv.slice(2);
if (command === 'fill') await fill(dir, Number(last));
else writeFileSync(last, JSON.stringify(await measure(dir)));
