/**
 * Loaded before each test file: `assert.ok` and `assert` without a message of their own say where they failed, and no more.
 * Node would look for the expression in the source; what tsx compiles is one long line, in which that takes minutes.
 */

import assert, { AssertionError } from 'node:assert';

function ok(value: unknown, message?: string | Error): asserts value {
  if (value) return;
  if (message instanceof Error) throw message;
  throw new AssertionError({
    message: message ?? 'what must hold does not; the stack says where',
    actual: value,
    expected: true,
    operator: '==',
    stackStartFn: ok,
  });
}

for (const shared of [assert, assert.strict]) Object.assign(shared, { ok });
