/** How an operation says that it is not to be carried out after all, or not now. */

/** The trees changed so that the operation makes no sense any more, or has to wait: the planner decides anew. */
export class Superseded extends Error {
  override readonly name = 'Superseded';
  /** Milliseconds to leave the node alone. */
  readonly delayMs: number;

  constructor(reason: string, delayMs = 0) {
    super(reason);
    this.delayMs = delayMs;
  }
}
