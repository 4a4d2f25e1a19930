/** Lays out directories for the workloads. */

import { closeSync, mkdirSync, openSync, readdirSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';

export const MIB = 1024 * 1024;

/** `files` files of a few bytes spread over `directories` directories, seven of them under each parent. */
export function makeTree(root: string, directories: number, files: number): void {
  const paths: string[] = [];
  for (let d = 0; d < directories; d++) {
    const parent = d === 0 ? root : (paths[Math.floor((d - 1) / 7)] ?? root);
    const path = d === 0 ? root : join(parent, `directory${d}`);
    mkdirSync(path, { recursive: true });
    paths.push(path);
  }
  for (let f = 0; f < files; f++) {
    writeFileSync(join(paths[f % directories] ?? root, `file${f}.txt`), `file ${f}`);
  }
}

/** One file of `size` bytes that do not compress or repeat. */
export function makeLarge(path: string, size: number): void {
  const fd = openSync(path, 'w');
  const block = Buffer.alloc(MIB);
  let state = 1;
  for (let offset = 0; offset < size; offset += block.length) {
    for (let i = 0; i < block.length; i += 4) {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      block.writeUInt32LE(state, i);
    }
    writeSync(fd, block, 0, Math.min(block.length, size - offset));
  }
  closeSync(fd);
}

/** `count` files of `size` bytes in one directory. */
export function makeFiles(dir: string, count: number, size: number): void {
  mkdirSync(dir, { recursive: true });
  const content = Buffer.alloc(size, 'content ');
  for (let i = 0; i < count; i++) writeFileSync(join(dir, `file${i}.bin`), content);
}

/** Whether the directory holds `count` files of `size` bytes. */
export function hasFiles(dir: string, count: number, size: number): boolean {
  const names = list(dir);
  return names.length === count && names.every((name) => hasSize(join(dir, name), size));
}

/** Whether the file is there with this size. */
export function hasSize(path: string, size: number): boolean {
  return statSync(path, { throwIfNoEntry: false })?.size === size;
}

function list(dir: string): string[] {
  try {
    return readdirSync(dir).filter((name) => name !== '.DAV');
  } catch {
    return [];
  }
}
