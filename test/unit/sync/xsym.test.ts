import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, test } from 'node:test';
import { decodeXSym, encodeXSym, XSYM_SIZE_BYTES, XSYM_TARGET_MAX_BYTES } from '../../../src/sync/xsym.js';

/** The file for a target of any bytes, as another client may write it. */
function fileOf(target: Uint8Array, header: { length?: string; md5?: string } = {}): Buffer {
  const md5 = header.md5 ?? createHash('md5').update(target).digest('hex');
  const length = header.length ?? String(target.length).padStart(4, '0');
  const file = Buffer.alloc(XSYM_SIZE_BYTES, ' ');
  file.write(`XSym\n${length}\n${md5}\n`, 'latin1');
  file.set(target, 43);
  file[43 + target.length] = 0x0a;
  return file;
}

describe('links as files', () => {
  test('the form is the one of fs/smb/client/link.c', () => {
    const file = encodeXSym('../a');
    assert.ok(file !== undefined);
    const text = Buffer.from(file).toString('latin1');
    assert.equal(text.length, 1067);
    assert.equal(
      text,
      `XSym\n0004\n${createHash('md5').update('../a').digest('hex')}\n../a\n`.padEnd(1067, ' '),
    );
  });

  test('what was encoded is decoded', () => {
    for (const target of ['a', '../d\u00e4r/\u65e5\u672c', '\u{1f600}', 'x'.repeat(1023), 'x'.repeat(1024)]) {
      const file = encodeXSym(target);
      assert.ok(file !== undefined);
      assert.equal(decodeXSym(file), target);
    }
  });

  test('decodes from the middle of a larger buffer', () => {
    const file = encodeXSym('target');
    assert.ok(file !== undefined);
    const larger = Buffer.concat([Buffer.alloc(10), file, Buffer.alloc(10)]);
    assert.equal(decodeXSym(larger.subarray(10, 10 + XSYM_SIZE_BYTES)), 'target');
  });

  test('a target that is empty or too long has no such file', () => {
    assert.equal(encodeXSym(''), undefined);
    assert.equal(encodeXSym('x'.repeat(XSYM_TARGET_MAX_BYTES + 1)), undefined);
    assert.equal(encodeXSym('\u65e5'.repeat(342)), undefined);
  });

  const target = Buffer.from('target');
  const ordinary: readonly (readonly [string, Uint8Array])[] = [
    ['another size', fileOf(target).subarray(1)],
    ['another head', Buffer.alloc(XSYM_SIZE_BYTES, 'x')],
    ['a wrong checksum', fileOf(target, { md5: '0'.repeat(32) })],
    ['length zero', fileOf(Buffer.alloc(0))],
    ['a length beyond the field', fileOf(target, { length: '1025' })],
    ['no number', fileOf(target, { length: '00x6' })],
    ['a NUL in the target', fileOf(Buffer.from('a\0b'))],
    ['a target that is no UTF-8', fileOf(Buffer.from([0x61, 0xff]))],
    ['a cut character of as many bytes as its replacement', fileOf(Buffer.from([0xf0, 0x9f, 0x98]))],
  ];
  for (const [what, file] of ordinary) {
    test(`a file with ${what} is an ordinary file`, () => {
      assert.equal(decodeXSym(file), undefined);
    });
  }
});
