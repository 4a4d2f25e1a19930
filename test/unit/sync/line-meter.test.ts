import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { LineMeter } from '../../../src/sync/line-meter.js';

const MIB = 1024 * 1024;

function measured(roundTripMs: number, bytesPerMs: number): LineMeter {
  const meter = new LineMeter();
  for (let time = 0; time < 60; time += 1) {
    meter.noteRoundTrip(roundTripMs);
    meter.noteTransfer(bytesPerMs * 1_000, 1_000);
  }
  return meter;
}

describe('LineMeter', () => {
  test('has something to say before anything was measured', () => {
    assert.equal(new LineMeter().bytesPerRoundTrip, 200_000);
  });

  test('comes to what the line is, far or near, thick or thin', () => {
    for (const [roundTripMs, bytesPerMs] of [
      [100, 12_500],
      [1, 100_000],
      [300, 125],
    ] as const) {
      const product = measured(roundTripMs, bytesPerMs).bytesPerRoundTrip;
      assert.ok(Math.abs(product / (roundTripMs * bytesPerMs) - 1) < 0.01, `${product}`);
    }
  });

  test('of a short transfer and a long one the long one tells the bandwidth', () => {
    const meter = new LineMeter();
    for (let time = 0; time < 4; time += 1) meter.noteTransfer(100_000, 10);
    meter.noteTransfer(10_000_000, 100);
    assert.ok(
      meter.timeOf(10_000_000) > 90 && meter.timeOf(10_000_000) < 150,
      `${meter.timeOf(10_000_000)} ms`,
    );
  });

  test('one outlier does not decide', () => {
    const meter = measured(20, 10_000);
    meter.noteRoundTrip(10_000);
    assert.ok(meter.bytesPerRoundTrip < 2_600 * 10_000);
    assert.ok(meter.bytesPerRoundTrip > 20 * 10_000);
  });

  test('small transfers say nothing of the bandwidth, and one in no time is no division by zero', () => {
    const meter = new LineMeter();
    meter.noteTransfer(1_000, 5_000);
    assert.equal(meter.bytesPerRoundTrip, 200_000);
    meter.noteTransfer(MIB, 0);
    assert.ok(Number.isFinite(meter.bytesPerRoundTrip));
  });
});
