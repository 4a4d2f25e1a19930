/**
 * The requests that an earlier process took and left unanswered, on a kernel that cannot send them again (before
 * 6.9). The programs behind them wait, and not even SIGKILL ends that. Nobody knows their numbers, but every one is
 * below that of the first request that is read now, so each number of the recent past is answered once.
 */

/** How far back: half a million requests are minutes of hard work, and answering for them takes a second. */
const LOOK_BACK_REQUESTS = 512 * 1024;
/** Numbers of requests go up by two; odd ones are interrupts (FUSE_REQ_ID_STEP, fs/fuse/fuse_dev_i.h). */
const STEP = 2;
/** Answered in one turn of the event loop: some milliseconds. */
const TURN_REQUESTS = 2048;

export class LostRequests {
  readonly #answer: (unique: number) => boolean;

  /** `answer` says whether to go on. */
  constructor(answer: (unique: number) => boolean) {
    this.#answer = answer;
  }

  /** Answers everything that may have been asked before the request `first`, the latest first. */
  endBelow(first: number): void {
    const start = first - (first % STEP);
    this.#turn(start - STEP, Math.max(STEP, start - LOOK_BACK_REQUESTS * STEP));
  }

  #turn(next: number, last: number): void {
    setImmediate(() => {
      const end = Math.max(last, next - (TURN_REQUESTS - 1) * STEP);
      for (let unique = next; unique >= end; unique -= STEP) if (!this.#answer(unique)) return;
      if (end > last) this.#turn(end - STEP, last);
    });
  }
}
