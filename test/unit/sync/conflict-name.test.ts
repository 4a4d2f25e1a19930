import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Name, nameFault, toName } from '../../../src/base/index.js';
import { conflictName } from '../../../src/sync/conflict-name.js';

const AT_MS = new Date(2026, 10, 23, 9, 5, 7).getTime();
const MARK = '(conflict here 2026-11-23 09-05-07)';

function conflict(name: string, taken: readonly string[] = [], host = 'here'): string {
  const checked = toName(name);
  assert.ok(checked !== undefined);
  const result = conflictName(checked, host, AT_MS, (candidate: Name) => taken.includes(candidate));
  assert.equal(nameFault(result), undefined);
  return result;
}

describe('conflictName', () => {
  test('stands before the extension, host and date in brackets', () => {
    assert.equal(conflict('report.txt'), `report ${MARK}.txt`);
    assert.equal(conflict('Makefile'), `Makefile ${MARK}`);
    assert.equal(conflict('a.b.c'), `a.b ${MARK}.c`);
  });

  test('a leading dot is no extension, a double one is one', () => {
    assert.equal(conflict('.bashrc'), `.bashrc ${MARK}`);
    assert.equal(conflict('backup.tar.gz'), `backup ${MARK}.tar.gz`);
    assert.equal(conflict('.tar.gz'), `.tar ${MARK}.gz`);
  });

  test('an endless extension belongs to the name', () => {
    const name = `a.${'x'.repeat(40)}`;
    assert.equal(conflict(name), `${name} ${MARK}`);
  });

  test('is numbered from two on where it is taken', () => {
    const first = `a ${MARK}.txt`;
    const second = `a ${MARK.slice(0, -1)} 2).txt`;
    assert.equal(conflict('a.txt', [first]), second);
    assert.equal(conflict('a.txt', [first, second]), `a ${MARK.slice(0, -1)} 3).txt`);
  });

  test('fits into 255 bytes and cuts no character, in any alphabet', () => {
    for (const stem of ['x'.repeat(251), '\u65e5'.repeat(83), '\u{1f600}'.repeat(62)]) {
      const result = conflict(`${stem}.txt`);
      assert.ok(Buffer.byteLength(result) <= 255);
      assert.ok(Buffer.byteLength(result) > 251);
      assert.ok(result.endsWith(`${MARK}.txt`));
      assert.ok(stem.startsWith(result.slice(0, -` ${MARK}.txt`.length)));
    }
  });

  test('a host name of any kind becomes part of a name', () => {
    assert.equal(conflict('a', [], 'my/host name'), 'a (conflict my-host-name 2026-11-23 09-05-07)');
    assert.equal(conflict('a', [], ''), 'a (conflict host 2026-11-23 09-05-07)');
    assert.equal(conflict('a', [], 'h'.repeat(99)), `a (conflict ${'h'.repeat(32)} 2026-11-23 09-05-07)`);
    // A letter of two UTF-16 units at the cut.
    const cut = `${'h'.repeat(31)}${'\u{1d4b3}'.repeat(2)}`;
    assert.equal(conflict('a', [], cut), `a (conflict ${'h'.repeat(31)} 2026-11-23 09-05-07)`);
    assert.ok(Buffer.byteLength(conflict('x'.repeat(255), [], '\u{1d4b3}'.repeat(40))) <= 255);
  });
});
