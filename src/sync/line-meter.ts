/** What the line to the server is like: its round trip and its bandwidth, as measured on the requests that are made anyway. */

/** Of the newest round trip in the mean. */
const WEIGHT = 0.25;
/** What is left of the weight of earlier transfers with each new one: of two transfers the longer one says more. */
const FADING = 0.75;
/** A transfer below this says more of the round trip than of the bandwidth, in bytes. */
const MEASURED_FROM_BYTES = 64 * 1024;
/** Until something was measured: 20 ms and 10 MB/s, as of a transfer of a few milliseconds. */
const FIRST_ROUND_TRIP_MS = 20;
const FIRST_TRANSFER_MS = 2;
const FIRST_BYTES_PER_MS = 10_000;

export class LineMeter {
  #roundTripMs = FIRST_ROUND_TRIP_MS;
  #bytes = FIRST_BYTES_PER_MS * FIRST_TRANSFER_MS;
  #elapsedMs = FIRST_TRANSFER_MS;

  /** `elapsedMs`: from the request to the head of its answer. */
  noteRoundTrip(elapsedMs: number): void {
    this.#roundTripMs += WEIGHT * (elapsedMs - this.#roundTripMs);
  }

  /** `elapsedMs`: from the head of the answer to the end of its body. */
  noteTransfer(bytes: number, elapsedMs: number): void {
    if (bytes < MEASURED_FROM_BYTES) return;
    this.#bytes = FADING * this.#bytes + bytes;
    this.#elapsedMs = FADING * this.#elapsedMs + Math.max(1, elapsedMs);
  }

  get roundTripMs(): number {
    return this.#roundTripMs;
  }

  /** What a transfer of so many bytes takes, in ms. */
  timeOf(bytes: number): number {
    return (bytes / this.#bytes) * this.#elapsedMs;
  }

  /** Bandwidth x round trip, in bytes. */
  get bytesPerRoundTrip(): number {
    return Math.ceil((this.#bytes / this.#elapsedMs) * this.#roundTripMs);
  }
}
