/** A set of byte positions kept as sorted ranges that neither touch nor overlap: which bytes of a file are here. */

/** The positions start <= p < end. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/**
 * Positions are integers from 0 to 2^53-1. Adding and removing cost O(log n) plus the shift of the ranges behind;
 * asking costs O(log n), for n ranges.
 *
 * INVARIANT: start[i] < end[i] < start[i+1] for every i, and `total` is the sum of the lengths.
 */
export class RangeSet implements Iterable<Range> {
  #starts: number[] = [];
  #ends: number[] = [];
  #total = 0;

  /** Takes ranges as `toArray` gave them. Throws RangeError when they are not sorted and disjoint. */
  static fromArray(flat: readonly number[]): RangeSet {
    const set = new RangeSet();
    if (flat.length % 2 !== 0) throw new RangeError('a range without an end');
    for (let i = 0; i < flat.length; i += 2) {
      const start = flat[i] as number;
      const end = flat[i + 1] as number;
      const previousEnd = set.#ends.at(-1) ?? -1;
      if (
        !Number.isSafeInteger(start) ||
        !Number.isSafeInteger(end) ||
        start <= previousEnd ||
        end <= start
      ) {
        throw new RangeError(`ranges are not sorted and disjoint at [${start}, ${end})`);
      }
      set.#starts.push(start);
      set.#ends.push(end);
      set.#total += end - start;
    }
    return set;
  }

  /** The set of all positions below `end`. */
  static upTo(end: number): RangeSet {
    const set = new RangeSet();
    set.add(0, end);
    return set;
  }

  /** How many positions are in the set. */
  get total(): number {
    return this.#total;
  }

  /** How many ranges the set consists of. */
  get rangeCount(): number {
    return this.#starts.length;
  }

  add(start: number, end: number): void {
    if (start >= end) return;
    // Ranges first..last-1 touch or overlap the new one and become a part of it.
    const first = firstAtLeast(this.#ends, start);
    const last = firstAbove(this.#starts, end);
    let from = start;
    let to = end;
    if (first < last) {
      from = Math.min(from, this.#starts[first] as number);
      to = Math.max(to, this.#ends[last - 1] as number);
    }
    for (let i = first; i < last; i++) this.#total -= this.#length(i);
    this.#starts.splice(first, last - first, from);
    this.#ends.splice(first, last - first, to);
    this.#total += to - from;
  }

  remove(start: number, end: number): void {
    if (start >= end) return;
    const first = firstAbove(this.#ends, start);
    const last = firstAtLeast(this.#starts, end);
    if (first >= last) return;
    const headStart = this.#starts[first] as number;
    const tailEnd = this.#ends[last - 1] as number;
    for (let i = first; i < last; i++) this.#total -= this.#length(i);
    const starts: number[] = [];
    const ends: number[] = [];
    if (headStart < start) {
      starts.push(headStart);
      ends.push(start);
    }
    if (tailEnd > end) {
      starts.push(end);
      ends.push(tailEnd);
    }
    for (let i = 0; i < starts.length; i++) this.#total += (ends[i] as number) - (starts[i] as number);
    this.#starts.splice(first, last - first, ...starts);
    this.#ends.splice(first, last - first, ...ends);
  }

  clear(): void {
    this.#starts = [];
    this.#ends = [];
    this.#total = 0;
  }

  /** Whether every position of [start, end) is in the set; true for an empty range. */
  has(start: number, end: number): boolean {
    if (start >= end) return true;
    const i = firstAbove(this.#ends, start);
    return (
      i < this.#starts.length && (this.#starts[i] as number) <= start && (this.#ends[i] as number) >= end
    );
  }

  /** The first run of positions within [start, end) that are not in the set, or undefined. */
  firstGap(start: number, end: number): Range | undefined {
    if (start >= end) return undefined;
    let i = firstAbove(this.#ends, start);
    let from = start;
    if (i < this.#starts.length && (this.#starts[i] as number) <= start) {
      from = this.#ends[i] as number;
      i++;
    }
    if (from >= end) return undefined;
    const next = i < this.#starts.length ? (this.#starts[i] as number) : end;
    return { start: from, end: Math.min(next, end) };
  }

  /** Every run of positions within [start, end) that are not in the set. */
  *gaps(start: number, end: number): Generator<Range> {
    let gap = this.firstGap(start, end);
    while (gap !== undefined) {
      yield gap;
      gap = this.firstGap(gap.end, end);
    }
  }

  *[Symbol.iterator](): Generator<Range> {
    for (let i = 0; i < this.#starts.length; i++) {
      yield { start: this.#starts[i] as number, end: this.#ends[i] as number };
    }
  }

  clone(): RangeSet {
    const copy = new RangeSet();
    copy.#starts = this.#starts.slice();
    copy.#ends = this.#ends.slice();
    copy.#total = this.#total;
    return copy;
  }

  /** The ranges as [start, end, start, end, ...]. */
  toArray(): number[] {
    const flat: number[] = [];
    for (let i = 0; i < this.#starts.length; i++)
      flat.push(this.#starts[i] as number, this.#ends[i] as number);
    return flat;
  }

  /** Throws with a description of the first broken invariant. */
  checkInvariants(): void {
    const checked = RangeSet.fromArray(this.toArray());
    if (checked.#total !== this.#total)
      throw new RangeError(`total is ${this.#total}, must be ${checked.#total}`);
  }

  #length(i: number): number {
    return (this.#ends[i] as number) - (this.#starts[i] as number);
  }
}

/** Index of the first element that is at least `value` in a sorted array. */
function firstAtLeast(sorted: readonly number[], value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] as number) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Index of the first element that is above `value` in a sorted array. */
function firstAbove(sorted: readonly number[], value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] as number) <= value) low = middle + 1;
    else high = middle;
  }
  return low;
}
