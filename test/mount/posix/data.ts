/** read(2), write(2), truncate(2), lseek(2), fallocate(2), fsync(2), mmap(2): the bytes of a file. */

import assert from 'node:assert/strict';
import fs from 'node:fs';
import {
  copyFileRange,
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  fallocate,
  ftruncate,
  lseek,
  SEEK_DATA,
  SEEK_END,
  SEEK_HOLE,
  SharedMapping,
  syncfs,
} from '../../support/mount/syscalls.js';
import {
  constants,
  fails,
  file,
  folder,
  type PosixTable,
  pattern,
  pread,
  pwrite,
  read,
  withOpen,
} from './context.js';

const KIB = 1024;
const MIB = 1024 * KIB;

/** A file system may lack an operation, but must say so rather than do nothing. */
function unlessUnsupported(action: () => void): void {
  try {
    action();
  } catch (error) {
    if (!['EOPNOTSUPP', 'ENOTSUP', 'ENOSYS'].includes((error as NodeJS.ErrnoException).code ?? ''))
      throw error;
  }
}

export const dataCases: PosixTable = {
  'write: an empty file': (c) => {
    file(c.at('f'), '');
    assert.equal(fs.statSync(c.at('f')).size, 0);
    assert.equal(read(c.at('f')), '');
  },
  'write: what is read is what was written, at awkward sizes': (c) => {
    for (const size of [1, 511, 4095, 4096, 4097, 65_537, 131_071, 131_073, MIB + 1]) {
      const content = pattern(size, size);
      file(c.at(`f${size}`), content);
      assert.ok(fs.readFileSync(c.at(`f${size}`)).equals(content), `size ${size}`);
    }
  },
  'write: ten mebibytes at once': (c) => {
    const content = pattern(10 * MIB);
    file(c.at('f'), content);
    assert.ok(fs.readFileSync(c.at('f')).equals(content));
  },
  'write: pieces at odd offsets in odd order': (c) => {
    const content = pattern(200_000);
    withOpen(c.at('f'), 'w+', (fd) => {
      const step = 7_919;
      const starts = Array.from({ length: Math.ceil(content.length / step) }, (_, i) => i * step);
      for (const start of starts.reverse()) pwrite(fd, content.subarray(start, start + step), start);
      assert.ok(pread(fd, content.length, 0).equals(content));
    });
    assert.ok(fs.readFileSync(c.at('f')).equals(content));
  },
  'write: over the middle keeps the rest': (c) => {
    const content = pattern(300_000);
    file(c.at('f'), content);
    const piece = Buffer.alloc(1_000, 0xee);
    withOpen(c.at('f'), 'r+', (fd) => pwrite(fd, piece, 150_001));
    piece.copy(content, 150_001);
    assert.ok(fs.readFileSync(c.at('f')).equals(content));
  },
  'write: behind the end leaves zeros between': (c) => {
    withOpen(c.at('f'), 'w', (fd) => {
      pwrite(fd, 'start', 0);
      pwrite(fd, 'end', 100_000);
    });
    const found = fs.readFileSync(c.at('f'));
    assert.equal(found.length, 100_003);
    assert.ok(found.subarray(5, 100_000).every((byte) => byte === 0));
    assert.equal(found.subarray(100_000).toString(), 'end');
  },
  'write: of no bytes changes nothing': (c) => {
    file(c.at('f'), 'same');
    withOpen(c.at('f'), 'r+', (fd) => assert.equal(fs.writeSync(fd, Buffer.alloc(0), 0, 0, 1_000), 0));
    assert.equal(read(c.at('f')), 'same');
  },
  'write: is seen by another handle before close': (c) => {
    withOpen(c.at('f'), 'w', (writer) => {
      withOpen(c.at('f'), 'r', (reader) => {
        fs.writeSync(writer, 'first');
        assert.equal(pread(reader, 20, 0).toString(), 'first');
        assert.equal(fs.statSync(c.at('f')).size, 5);
        fs.writeSync(writer, ' second');
        assert.equal(pread(reader, 20, 0).toString(), 'first second');
      });
    });
  },
  'write: a vector of buffers': (c) => {
    withOpen(c.at('f'), 'w+', (fd) => {
      assert.equal(fs.writevSync(fd, [Buffer.from('one '), Buffer.from('two '), Buffer.from('three')]), 13);
      const parts = [Buffer.alloc(4), Buffer.alloc(9)];
      assert.equal(fs.readvSync(fd, parts, 0), 13);
      assert.equal(Buffer.concat(parts).toString(), 'one two three');
    });
  },
  'read: at and behind the end is empty': (c) => {
    file(c.at('f'), 'short');
    withOpen(c.at('f'), 'r', (fd) => {
      assert.equal(pread(fd, 10, 3).toString(), 'rt');
      assert.equal(pread(fd, 10, 5).length, 0);
      assert.equal(pread(fd, 10, 1_000_000).length, 0);
    });
  },
  'read: a directory is EISDIR': (c) => {
    folder(c.at('d'));
    withOpen(c.at('d'), 'r', (fd) => fails('EISDIR', () => fs.readSync(fd, Buffer.alloc(1))));
  },
  'read: each handle has its own offset': (c) => {
    file(c.at('f'), 'abcdef');
    withOpen(c.at('f'), 'r', (one) =>
      withOpen(c.at('f'), 'r', (two) => {
        const buffer = Buffer.alloc(2);
        fs.readSync(one, buffer);
        fs.readSync(one, buffer);
        assert.equal(buffer.toString(), 'cd');
        fs.readSync(two, buffer);
        assert.equal(buffer.toString(), 'ab');
      }),
    );
  },
  'append: goes to the end whatever the offset': (c) => {
    file(c.at('f'), 'start');
    withOpen(c.at('f'), 'a+', (fd) => {
      pread(fd, 2, 0);
      fs.writeSync(fd, ' one');
      pread(fd, 2, 0);
      fs.writeSync(fd, ' two');
    });
    assert.equal(read(c.at('f')), 'start one two');
  },
  'append: two handles take turns': (c) => {
    withOpen(c.at('f'), 'a', (one) =>
      withOpen(c.at('f'), 'a', (two) => {
        for (let i = 0; i < 20; i++) fs.writeSync(i % 2 === 0 ? one : two, `line ${i}\n`);
      }),
    );
    assert.equal(read(c.at('f')), Array.from({ length: 20 }, (_, i) => `line ${i}\n`).join(''));
  },
  'append: after a truncate goes to the new end': (c) => {
    withOpen(c.at('f'), 'a', (fd) => {
      fs.writeSync(fd, 'a long line\n');
      fs.truncateSync(c.at('f'), 2);
      fs.writeSync(fd, 'end');
    });
    assert.equal(read(c.at('f')), 'a end');
  },
  'truncate: cuts': (c) => {
    file(c.at('f'), 'some content');
    fs.truncateSync(c.at('f'), 4);
    assert.equal(read(c.at('f')), 'some');
  },
  'truncate: grows with zeros': (c) => {
    file(c.at('f'), 'some');
    fs.truncateSync(c.at('f'), 10_000);
    const found = fs.readFileSync(c.at('f'));
    assert.equal(found.length, 10_000);
    assert.ok(found.subarray(4).every((byte) => byte === 0));
  },
  'truncate: what was cut away does not come back': (c) => {
    file(c.at('f'), 'secret content');
    fs.truncateSync(c.at('f'), 3);
    fs.truncateSync(c.at('f'), 14);
    assert.equal(read(c.at('f')), `sec${'\0'.repeat(11)}`);
  },
  'truncate: in the middle of a page, then growth by a write': (c) => {
    file(c.at('f'), Buffer.alloc(9_000, 0x41));
    fs.truncateSync(c.at('f'), 5_000);
    withOpen(c.at('f'), 'r+', (fd) => pwrite(fd, 'Z', 8_000));
    const found = fs.readFileSync(c.at('f'));
    assert.equal(found.length, 8_001);
    assert.ok(found.subarray(5_000, 8_000).every((byte) => byte === 0));
  },
  'truncate: by a descriptor': (c) => {
    withOpen(c.at('f'), 'w+', (fd) => {
      fs.writeSync(fd, '0123456789');
      fs.ftruncateSync(fd, 5);
      assert.equal(fs.fstatSync(fd).size, 5);
      assert.equal(pread(fd, 20, 0).toString(), '01234');
    });
  },
  'truncate: through a read-only descriptor is EINVAL or EBADF': (c) => {
    file(c.at('f'));
    withOpen(c.at('f'), 'r', (fd) => fails(['EINVAL', 'EBADF'], () => fs.ftruncateSync(fd, 1)));
  },
  'truncate: of a directory is EISDIR': (c) => {
    folder(c.at('d'));
    fails('EISDIR', () => fs.truncateSync(c.at('d'), 0));
  },
  'truncate: of nothing is ENOENT': (c) => fails('ENOENT', () => fs.truncateSync(c.at('f'), 0)),
  'truncate: to a negative size is EINVAL': (c) => {
    file(c.at('f'));
    withOpen(c.at('f'), 'r+', (fd) => fails('EINVAL', () => lseek(fd, -1, 0)));
  },
  'sparse: a hole of eight gibibytes': (c) => {
    withOpen(c.at('f'), 'w+', (fd) => {
      // Removed while open, so that no client ever has to send it anywhere.
      fs.unlinkSync(c.at('f'));
      const far = 8 * KIB * MIB;
      pwrite(fd, 'far away', far);
      assert.equal(fs.fstatSync(fd).size, far + 8);
      assert.equal(pread(fd, 8, far).toString(), 'far away');
      assert.ok(pread(fd, 4_096, far / 2).every((byte) => byte === 0));
    });
  },
  'sparse: a hole takes no blocks': (c) => {
    withOpen(c.at('f'), 'w+', (fd) => {
      fs.unlinkSync(c.at('f'));
      pwrite(fd, 'far away', 64 * MIB);
      assert.ok(fs.fstatSync(fd).blocks * 512 < 16 * MIB);
    });
  },
  'sparse: an offset that no file can have is EFBIG or EINVAL': (c) => {
    withOpen(c.at('f'), 'w', (fd) => {
      fails(['EFBIG', 'EINVAL'], () => ftruncate(fd, 2n ** 63n - 1n));
      assert.equal(fs.fstatSync(fd).size, 0);
    });
  },
  'lseek: to the end gives the size': (c) => {
    file(c.at('f'), 'twelve bytes');
    withOpen(c.at('f'), 'r', (fd) => assert.equal(lseek(fd, 0, SEEK_END), 12));
  },
  'lseek: SEEK_DATA and SEEK_HOLE find data and end': (c) => {
    file(c.at('f'), pattern(10_000));
    withOpen(c.at('f'), 'r', (fd) => {
      assert.equal(lseek(fd, 100, SEEK_DATA), 100);
      const hole = lseek(fd, 0, SEEK_HOLE);
      assert.ok(hole === 10_000, `a hole at ${hole}`);
      fails('ENXIO', () => lseek(fd, 10_000, SEEK_DATA));
      fails('ENXIO', () => lseek(fd, 20_000, SEEK_HOLE));
    });
  },
  'lseek: SEEK_DATA never skips data in a sparse file': (c) => {
    withOpen(c.at('f'), 'w+', (fd) => {
      pwrite(fd, 'data', 5 * MIB);
      const data = lseek(fd, 0, SEEK_DATA);
      assert.ok(data <= 5 * MIB, `data only from ${data}`);
      assert.ok(lseek(fd, 5 * MIB, SEEK_HOLE) > 5 * MIB);
    });
  },
  'fallocate: grows the file with zeros': (c) => {
    withOpen(c.at('f'), 'w+', (fd) => {
      fs.writeSync(fd, 'start');
      unlessUnsupported(() => {
        fallocate(fd, 0, 0, 100_000);
        assert.equal(fs.fstatSync(fd).size, 100_000);
      });
      assert.equal(pread(fd, 5, 0).toString(), 'start');
    });
  },
  'fallocate: KEEP_SIZE keeps the size': (c) => {
    withOpen(c.at('f'), 'w+', (fd) => {
      fs.writeSync(fd, 'start');
      unlessUnsupported(() => fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 100_000));
      assert.equal(fs.fstatSync(fd).size, 5);
    });
  },
  'fallocate: PUNCH_HOLE makes zeros': (c) => {
    file(c.at('f'), Buffer.alloc(100_000, 0x41));
    withOpen(c.at('f'), 'r+', (fd) => {
      unlessUnsupported(() => {
        fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 10_000, 50_000);
        const found = fs.readFileSync(c.at('f'));
        assert.equal(found.length, 100_000);
        assert.ok(found.subarray(10_000, 60_000).every((byte) => byte === 0));
        assert.ok(found.subarray(60_000).every((byte) => byte === 0x41));
        assert.ok(found.subarray(0, 10_000).every((byte) => byte === 0x41));
      });
    });
  },
  'copy_file_range: copies between two files': (c) => {
    const content = pattern(300_000);
    file(c.at('a'), content);
    withOpen(c.at('a'), 'r', (from) =>
      withOpen(c.at('b'), 'w', (to) => {
        let left = content.length;
        while (left > 0) {
          const copied = copyFileRange(from, to, left);
          assert.ok(copied > 0);
          left -= copied;
        }
      }),
    );
    assert.ok(fs.readFileSync(c.at('b')).equals(content));
  },
  'copy: fs.copyFile makes an equal file': (c) => {
    const content = pattern(123_457);
    file(c.at('a'), content);
    fs.copyFileSync(c.at('a'), c.at('b'));
    assert.ok(fs.readFileSync(c.at('b')).equals(content));
  },
  'fsync: of a written file': (c) => {
    withOpen(c.at('f'), 'w', (fd) => {
      fs.writeSync(fd, 'safe');
      fs.fsyncSync(fd);
      fs.fdatasyncSync(fd);
    });
    assert.equal(read(c.at('f')), 'safe');
  },
  'fsync: of a file opened for reading': (c) => {
    file(c.at('f'));
    withOpen(c.at('f'), 'r', (fd) => fs.fsyncSync(fd));
  },
  'fsync: of a directory': (c) => {
    file(c.at('f'));
    withOpen(c.dir, 'r', (fd) => fs.fsyncSync(fd));
  },
  'syncfs: of the file system': (c) => {
    withOpen(c.at('f'), 'w', (fd) => {
      fs.writeSync(fd, 'safe');
      syncfs(fd);
    });
  },
  'O_SYNC: writes go through': (c) => {
    withOpen(c.at('f'), constants.O_WRONLY | constants.O_CREAT | constants.O_SYNC, (fd) =>
      fs.writeSync(fd, 'sync'),
    );
    withOpen(c.at('f'), constants.O_WRONLY | constants.O_DSYNC | constants.O_APPEND, (fd) =>
      fs.writeSync(fd, '!'),
    );
    assert.equal(read(c.at('f')), 'sync!');
  },
  'mmap: shows the content': (c) => {
    const content = pattern(50_000);
    file(c.at('f'), content);
    withOpen(c.at('f'), 'r+', (fd) => {
      const map = new SharedMapping(fd, content.length);
      assert.ok(map.read(12_345, 1_000).equals(content.subarray(12_345, 13_345)));
      map.close();
    });
  },
  'mmap: what is written through the map is in the file after msync': (c) => {
    file(c.at('f'), Buffer.alloc(20_000, 0x41));
    withOpen(c.at('f'), 'r+', (fd) => {
      const map = new SharedMapping(fd, 20_000);
      map.write(9_999, Buffer.from('MAPPED'));
      map.sync();
      assert.equal(pread(fd, 8, 9_998).toString(), 'AMAPPEDA');
      map.close();
    });
    assert.equal(fs.readFileSync(c.at('f')).subarray(9_999, 10_005).toString(), 'MAPPED');
  },
  'mmap: a map outlives its descriptor and the name': (c) => {
    file(c.at('f'), 'mapped content');
    const map = withOpen(c.at('f'), 'r+', (fd) => new SharedMapping(fd, 14));
    fs.unlinkSync(c.at('f'));
    map.write(0, Buffer.from('M'));
    assert.equal(map.read(0, 6).toString(), 'Mapped');
    map.close();
  },
  'mmap: without msync, after munmap and close, the file has it': (c) => {
    file(c.at('f'), 'mapped content');
    const map = withOpen(c.at('f'), 'r+', (fd) => new SharedMapping(fd, 14));
    map.write(0, Buffer.from('M'));
    map.close();
    assert.equal(read(c.at('f')), 'Mapped content');
  },
  'mmap: a write by write(2) is seen in the map': (c) => {
    file(c.at('f'), 'one two three');
    withOpen(c.at('f'), 'r+', (fd) => {
      const map = new SharedMapping(fd, 13);
      assert.equal(map.read(4, 3).toString(), 'two');
      pwrite(fd, 'TWO', 4);
      assert.equal(map.read(4, 3).toString(), 'TWO');
      map.close();
    });
  },
};
