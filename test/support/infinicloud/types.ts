/** What tests see of the InfiniCLOUD stand-in. */

import type { IncomingHttpHeaders } from 'node:http';

/**
 * `api` and `node` are the two hosts of the service and `issuer` its OAuth2 server. `other` and `plain` (http instead of
 * https) are where redirects may point: nothing that carries a credential belongs there.
 */
export type HostName = 'api' | 'node' | 'issuer' | 'other' | 'plain';

export interface ReceivedRequest {
  readonly host: HostName;
  readonly method: string;
  /** The request target as it came, percent-encoded. */
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** Milliseconds since the stand-in started. */
  readonly atMs: number;
  /** Bytes of the body that arrived. */
  bodyBytes: number;
  /** Undefined while it is not answered. */
  status: number | undefined;
}

export interface RedirectRule {
  /** Whose requests are answered with a redirect. */
  readonly from: 'api' | 'node';
  readonly to: 'plain' | 'other';
  /** 302 when absent. */
  readonly status?: number;
}

export interface InfiniCloudOptions {
  /** Bytes of the account's quota; 20 GiB when absent. */
  readonly quotaBytes?: number;
  /** How writing over the quota is refused; 507 when absent. */
  readonly overQuotaStatus?: 500 | 507;
  /** Life of an access token; 600 when absent. */
  readonly accessTokenSeconds?: number;
}

/** An account at the stand-in, and the levers of what can go wrong with it. */
export interface InfiniCloud {
  /** Of the REST API, without a slash at the end. */
  readonly apiUrl: string;
  readonly nodeUrl: string;
  /** The node as `ba/user` names it: host and port. */
  readonly nodeHost: string;
  /** End with a slash; BASIC. */
  readonly davUrl: string;
  readonly backupUrl: string;
  /** Ends with a slash; bearer tokens. Shows the same files as {@link davUrl}. */
  readonly v2DavUrl: string;
  readonly issuer: string;
  /** Client of the device and the authorization code flow; it has no secret. */
  readonly clientId: string;
  /** Client of the client credentials grant. */
  readonly serviceClient: { readonly id: string; readonly secret: string };
  /** The CA's certificate, PEM. */
  readonly caFile: string;
  readonly user: string;
  /** The apps password as it is now on the server, accepted already or not. */
  readonly password: string;
  readonly apiKey: string;
  /** The directory on disk behind `/dav/` and `/v2/dav/`, and that behind `/backup/`. */
  readonly root: string;
  readonly backupRoot: string;
  readonly quotaBytes: number;
  /** Bytes that the capacity call says are used. */
  usedBytes(): Promise<number>;

  /** All requests since the start or the last `clearReceived`, oldest first. */
  received(host?: HostName): readonly ReceivedRequest[];
  clearReceived(): void;

  /**
   * Makes a new apps password and gives it back. The old one is refused from now on, the new one until `acceptAfterMs`
   * have passed; when absent, until {@link acceptPassword}.
   */
  renewPassword(options?: { readonly acceptAfterMs?: number }): string;
  acceptPassword(): void;
  setAppsConnection(on: boolean): void;
  setNodeReady(ready: boolean): void;
  setQuota(bytes: number): void;
  /** A PROPFIND is answered with a web page and 200. */
  htmlInsteadOf207(on: boolean): void;
  /** `result` of the REST answers; 0 is success. */
  setRestResult(result: number): void;
  /** The API host takes no more connections, as when it is down. */
  setApiHostUp(up: boolean): Promise<void>;
  redirect(rule: RedirectRule | undefined): void;
  /** Bytes a second that the body of one upload is taken at; undefined for no limit. */
  setUploadRate(bytesPerSecond: number | undefined): void;
  /** No access token is good any more; with `cutUploads`, uploads under way get their 401 in the middle of the body. */
  expireAccessTokens(options?: { readonly cutUploads?: boolean }): Promise<void>;
  /**
   * Plays the person with a browser: opens the address that the client showed, types the code in where one is asked for,
   * logs in, consents, follows redirects. Resolves with the last address, which is the redirect URI with the code in the authorization code flow.
   */
  approve(url: string, userCode?: string): Promise<URL>;

  stop(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}
