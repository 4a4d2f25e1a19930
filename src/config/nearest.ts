/** The right spelling that someone probably meant. */

/** Edits (insert, delete, replace, swap of neighbours) that still count as a slip, per length of the word typed. */
const CHARACTERS_PER_EDIT = 3;

/** The candidate nearest to `word`, or undefined when none is near. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.max(1, Math.floor(word.length / CHARACTERS_PER_EDIT)) + 1;
  for (const candidate of candidates) {
    const distance = editDistance(word, candidate);
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** Optimal string alignment distance of two short words. */
export function editDistance(a: string, b: string): number {
  const width = b.length + 1;
  const cells = new Uint16Array((a.length + 1) * width);
  const at = (i: number, j: number) => cells[i * width + j] ?? 0;
  for (let i = 0; i <= a.length; i++) {
    for (let j = 0; j <= b.length; j++) {
      let distance: number;
      if (i === 0 || j === 0) distance = i + j;
      else {
        const replaced = at(i - 1, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1);
        distance = Math.min(at(i - 1, j) + 1, at(i, j - 1) + 1, replaced);
        const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
        if (swapped) distance = Math.min(distance, at(i - 2, j - 2) + 1);
      }
      cells[i * width + j] = distance;
    }
  }
  return at(a.length, b.length);
}
