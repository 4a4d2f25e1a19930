/**
 * Who may have a place at the control socket: the mount's user and root, a bounded number at a time, and not for long
 * without asking for something. Decided for each connection before anything else is spent on it.
 */

import type { Socket } from 'node:net';
import type { Clock, Log, Timer } from '../base/index.js';
import type { Peers } from './peer.js';
import { RequestError, rawAnswer } from './problems.js';

/** Connections that are being refused; beyond these they are closed without a word. */
const MAX_REFUSALS = 64;
/** A connection without a request makes room for another one after this long. */
const IDLE_GRACE_MS = 1_000;
/** For a refused client to read why. */
const REFUSAL_LINGER_MS = 1_000;
/** The same where others wait for the place. */
const CROWD_LINGER_MS = 100;

export interface AdmissionDeps {
  readonly peers: Peers;
  readonly maxConnections: number;
  readonly clock: Clock;
  readonly log: Log;
}

export class Admission {
  readonly #deps: AdmissionDeps;
  readonly #allowedUids: ReadonlySet<number> = new Set([0, process.geteuid?.() ?? 0]);
  readonly #admitted = new Set<Socket>();
  readonly #refused = new Set<Socket>();
  /** Those without a whole request so far. */
  readonly #asking = new Map<Socket, Timer>();
  /** Of these, those that had time for one; the eldest first. */
  readonly #silent = new Set<Socket>();

  constructor(deps: AdmissionDeps) {
    this.#deps = deps;
  }

  /** Admitted and refused ones together. */
  get mostSockets(): number {
    return this.#deps.maxConnections + MAX_REFUSALS;
  }

  /** Whether a connection may ask for something; the others are ended here. */
  admit(socket: Socket): boolean {
    const { peers, maxConnections, clock, log } = this.#deps;
    // Before anything else: under an attack these are most.
    if (peers.isGone(socket)) {
      socket.destroy();
      return false;
    }
    const uid = peers.uidOf(socket);
    if (uid === undefined || !this.#allowedUids.has(uid)) {
      log.warn({ uid }, 'a control connection of another user was refused');
      this.#refuse(
        socket,
        new RequestError('another-user', 'This mount is controlled by its user and root only'),
        REFUSAL_LINGER_MS,
      );
      return false;
    }
    if (this.#admitted.size >= maxConnections && !this.#makeRoom()) {
      const busy = `There are ${maxConnections} connections already`;
      this.#refuse(
        socket,
        new RequestError('too-many-connections', busy, { advice: 'Try again in a moment.' }),
        CROWD_LINGER_MS,
      );
      return false;
    }
    this.#admitted.add(socket);
    // On a machine that is busy the time may be over with the request here, and unread: it is read before the immediate.
    const timer = clock.after(IDLE_GRACE_MS, () =>
      setImmediate(() => {
        if (this.#asking.has(socket)) this.#silent.add(socket);
      }),
    );
    this.#asking.set(socket, timer);
    socket.on('close', () => this.#forget(socket));
    return true;
  }

  /** A whole request has come: the place is the connection's until it ends. */
  hasAsked(socket: Socket): void {
    this.#asking.get(socket)?.cancel();
    this.#asking.delete(socket);
    this.#silent.delete(socket);
  }

  /** Ends those that are being refused. */
  close(): void {
    for (const socket of this.#refused) socket.destroy();
  }

  /** Ends the connection that has been silent for longest, if there is one. */
  #makeRoom(): boolean {
    const [eldest] = this.#silent;
    if (eldest === undefined) return false;
    this.#forget(eldest);
    eldest.destroy();
    return true;
  }

  #forget(socket: Socket): void {
    this.#admitted.delete(socket);
    this.hasAsked(socket);
  }

  #refuse(socket: Socket, { problem }: RequestError, lingerMs: number): void {
    this.#refused.add(socket);
    // Nobody else hears of its errors.
    socket.on('error', () => undefined);
    socket.end(rawAnswer(problem));
    // At once, a client that is still writing would see its write fail rather than why.
    const timer = this.#deps.clock.after(lingerMs, () => socket.destroy());
    socket.on('close', () => {
      this.#refused.delete(socket);
      timer.cancel();
    });
  }
}
