import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as layouts from '../../../src/fuse/layouts.js';
import { defineStruct, type Fields, readU53, type Struct, writeU53 } from '../../../src/fuse/struct.js';
import { seededRandom } from '../../support/random.js';

/** sizeof of the structs, printed by a C program with linux/fuse.h (7.38; later ones counted by hand). */
const SIZES: Readonly<Record<string, number>> = {
  fuse_attr: 88,
  fuse_kstatfs: 80,
  fuse_file_lock: 24,
  fuse_in_header: 40,
  fuse_out_header: 16,
  fuse_entry_out: 128,
  fuse_forget_in: 8,
  fuse_forget_one: 16,
  fuse_batch_forget_in: 8,
  fuse_getattr_in: 16,
  fuse_attr_out: 104,
  fuse_mknod_in: 16,
  fuse_mkdir_in: 8,
  fuse_rename_in: 8,
  fuse_rename2_in: 16,
  fuse_link_in: 8,
  fuse_setattr_in: 88,
  fuse_open_in: 8,
  fuse_create_in: 16,
  fuse_open_out: 16,
  fuse_release_in: 24,
  fuse_flush_in: 24,
  fuse_read_in: 40,
  fuse_write_in: 40,
  fuse_write_out: 8,
  fuse_statfs_out: 80,
  fuse_fsync_in: 16,
  fuse_setxattr_in: 16,
  'fuse_setxattr_in (compat)': 8,
  fuse_getxattr_in: 8,
  fuse_getxattr_out: 8,
  fuse_lk_in: 48,
  fuse_lk_out: 24,
  fuse_access_in: 8,
  fuse_init_in: 64,
  'fuse_init_in (compat)': 16,
  fuse_init_out: 64,
  fuse_interrupt_in: 8,
  fuse_bmap_in: 16,
  fuse_ioctl_in: 32,
  fuse_poll_in: 24,
  fuse_fallocate_in: 32,
  fuse_lseek_in: 24,
  fuse_lseek_out: 8,
  fuse_copy_file_range_in: 56,
  fuse_copy_file_range_out: 8,
  fuse_setupmapping_in: 40,
  fuse_removemapping_in: 4,
  fuse_syncfs_in: 8,
  fuse_dirent: 24,
  fuse_direntplus: 152,
  fuse_notify_inval_inode_out: 24,
  fuse_notify_inval_entry_out: 16,
  fuse_notify_delete_out: 24,
  fuse_notify_store_out: 24,
  fuse_sx_time: 16,
  fuse_statx: 256,
  fuse_statx_in: 24,
  fuse_statx_out: 288,
  fuse_backing_map: 16,
};

const ALL = Object.values(layouts) as unknown as readonly Struct<Fields>[];

describe('layouts', () => {
  test('every struct has the size of the kernel header', () => {
    assert.deepEqual(
      Object.fromEntries(ALL.map((layout) => [layout.name, layout.size]).sort()),
      Object.fromEntries(Object.entries(SIZES).sort()),
    );
  });

  test('offsets that hot paths use', () => {
    assert.deepEqual(
      [
        layouts.SETATTR_IN.at.atimensec,
        layouts.SETATTR_IN.at.uid,
        layouts.ATTR.at.mode,
        layouts.ENTRY_OUT.at.attr,
      ],
      [56, 76, 60, 40],
    );
    assert.deepEqual([layouts.INIT_OUT.at.flags2, layouts.INIT_OUT.at.max_stack_depth], [32, 36]);
    assert.equal(layouts.IN_HEADER.at.total_extlen, 36);
  });

  test('random bytes survive decode and encode, and are printed whole', () => {
    const random = seededRandom(7);
    for (const layout of ALL) {
      const bytes = Buffer.from(Array.from({ length: layout.size }, () => random.below(256)));
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
      const values = layout.decode(view, 0);
      const again = Buffer.alloc(layout.size, 0xff);
      const againView = new DataView(again.buffer, again.byteOffset, again.length);
      layout.encode(againView, 0, values as Parameters<typeof layout.encode>[2]);
      assert.deepEqual(layout.decode(againView, 0), values, layout.name);
      const printed = layout.print(againView, 0);
      for (const [field, value] of Object.entries(values)) {
        if (typeof value !== 'object')
          assert.ok(printed.includes(`${field}=${value}`), `${layout.name}.${field}`);
      }
    }
  });
});

describe('defineStruct', () => {
  test('places fields as C does, and writes padding as zero', () => {
    const layout = defineStruct('sample', { a: 'u16', b: 'u64', c: 'i32', tail: 'pad2' });
    assert.deepEqual({ ...layout.at, size: layout.size }, { a: 0, b: 8, c: 16, tail: 20, size: 24 });
    const bytes = Buffer.alloc(25, 0xff);
    layout.encode(new DataView(bytes.buffer, bytes.byteOffset, 25), 0, { b: 5n, c: -1 });
    assert.equal(bytes.toString('hex'), '00000000000000000500000000000000ffffffff00000000ff');
  });
});

test('u53: numbers below 2^53, and no others', () => {
  const view = new DataView(new ArrayBuffer(8));
  for (const value of [0, 1, 0xffff_ffff, 0x1_0000_0000, Number.MAX_SAFE_INTEGER]) {
    writeU53(view, 0, value);
    assert.equal(readU53(view, 0), value);
    assert.equal(view.getBigUint64(0, true), BigInt(value));
  }
  for (const value of [2n ** 53n, 2n ** 63n, 2n ** 64n - 1n]) {
    view.setBigUint64(0, value, true);
    assert.equal(readU53(view, 0), -1);
  }
});
