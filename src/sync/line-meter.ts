/** What the line to the server is like: its round trip and its bandwidth, as measured on the requests that are made anyway. */

/** Of one more measurement, where there were many. */
const WEIGHT = 0.25;
/** A transfer below this says more of the round trip than of the bandwidth, in bytes. */
const MEASURED_FROM_BYTES = 64 * 1024;
/** Until something was measured: 20 ms and 10 MB/s. */
const FIRST_ROUND_TRIP_MS = 20;
const FIRST_BYTES_PER_MS = 10_000;

export class LineMeter {
  #roundTripMs = FIRST_ROUND_TRIP_MS;
  #bytesPerMs = FIRST_BYTES_PER_MS;
  #transfers = 0;

  /** `elapsedMs`: from the request to the head of its answer. */
  noteRoundTrip(elapsedMs: number): void {
    this.#roundTripMs += WEIGHT * (elapsedMs - this.#roundTripMs);
  }

  /** `elapsedMs`: from the head of the answer to the end of its body. */
  noteTransfer(bytes: number, elapsedMs: number): void {
    if (bytes < MEASURED_FROM_BYTES) return;
    this.#transfers += 1;
    // What is assumed at first counts as one measurement.
    const weight = Math.max(WEIGHT, 1 / (1 + this.#transfers));
    this.#bytesPerMs += weight * (bytes / Math.max(1, elapsedMs) - this.#bytesPerMs);
  }

  get roundTripMs(): number {
    return this.#roundTripMs;
  }

  /** What a transfer of so many bytes takes, in ms. */
  timeOf(bytes: number): number {
    return bytes / this.#bytesPerMs;
  }

  /** Bandwidth x round trip, in bytes. */
  get bytesPerRoundTrip(): number {
    return Math.ceil(this.#bytesPerMs * this.#roundTripMs);
  }
}
