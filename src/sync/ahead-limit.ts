/** How many requests may run ahead of a reader, on a guess. */

/** Connections that stay free for what somebody waits for. */
const LEFT_FREE = 2;

/** Asked at each request: the number of connections may change while a mount runs. */
export function maxAhead({ maxConnections }: { readonly maxConnections: number }): number {
  return Math.max(1, maxConnections - LEFT_FREE);
}
