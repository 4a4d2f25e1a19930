/** What an upload under way tells of itself. */
export interface Progress {
  sentBytes: number;
  totalBytes: number;
  /** The server has been told all, and may do it whatever becomes of the request: its answer is worth waiting for. */
  isSent: boolean;
}
