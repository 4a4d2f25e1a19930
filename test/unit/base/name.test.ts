import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type NameFault, nameFault, toName } from '../../../src/base/index.js';

describe('Name', () => {
  const faults: readonly (readonly [string, NameFault])[] = [
    ['', 'empty'],
    ['.', 'dot'],
    ['..', 'dot'],
    ['a/b', 'slash'],
    ['/', 'slash'],
    ['a\0', 'nul'],
    ['\ud83d', 'not-unicode'],
    ['a\udc00b', 'not-unicode'],
    ['x'.repeat(256), 'too-long'],
    ['\u65e5'.repeat(86), 'too-long'],
    ['\u{1f600}'.repeat(64), 'too-long'],
    ['.DAV', 'reserved'],
    ['.davfs.tmp', 'reserved'],
    ['.davfs.tmpAb12', 'reserved'],
  ];
  for (const [text, fault] of faults) {
    test(`${JSON.stringify(text.slice(0, 12))} is refused as ${fault}`, () => {
      assert.equal(nameFault(text), fault);
      assert.equal(toName(text), undefined);
    });
  }

  test('255 bytes are no byte too many, in any alphabet', () => {
    for (const text of ['x'.repeat(255), '\u65e5'.repeat(85), `${'\u{1f600}'.repeat(63)}abc`]) {
      assert.equal(Buffer.byteLength(text), 255);
      assert.equal(toName(text), text);
    }
  });

  test('what only looks reserved or odd is a name', () => {
    for (const text of [
      '...',
      '.dav',
      '.DAVx',
      'x.DAV',
      '.davfs',
      ' ',
      'a\\b',
      '%2F',
      '#?&',
      '\n',
      '\u{1f600}',
    ]) {
      assert.equal(toName(text), text);
    }
  });
});
