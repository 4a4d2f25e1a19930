/** PUT: a file, whole, with Content-Length. Never repeated after an open outcome; a refusal by 412 changed nothing. */

import type { RemotePath, UploadBody, WriteOptions, WriteResult } from '../remote/index.js';
import { absentHeaders, changeVersion } from './conditions.js';
import type { DavContext } from './context.js';
import { diagnose } from './diagnosis.js';
import { makeError, type RequestSubject, statusError } from './error-map.js';
import { parseTag } from './etags.js';
import { parseHttpDate } from './headers.js';

export async function put(
  context: DavContext,
  path: RemotePath,
  body: UploadBody,
  options: WriteOptions,
): Promise<WriteResult> {
  const { condition, signal } = options;
  const subject: RequestSubject = { method: 'PUT', action: 'write', path, changes: true };
  const send = (headers: Readonly<Record<string, string>>) =>
    sendBody(context, subject, body, options, headers);
  try {
    switch (condition.kind) {
      case 'any':
        return await send({});
      case 'absent':
        return await send(await absentHeaders(context, subject, signal));
      case 'match':
        return await changeVersion(context, subject, condition.etag, signal, send);
    }
  } catch (error) {
    throw await diagnose(context, subject, { target: { path, replaces: true } }, error, signal);
  }
}

/** Well within the slack that versions are compared with. */
const SHORT_UPLOAD_MS = 1_000;

async function sendBody(
  context: DavContext,
  subject: RequestSubject,
  body: UploadBody,
  options: WriteOptions,
  condition: Readonly<Record<string, string>>,
): Promise<WriteResult> {
  const { signal, onProgress, onSent } = options;
  const beganAtMs = context.clock.nowMs();
  const reply = await context.client.send({
    subject,
    url: context.urls.urlOf(subject.path, false),
    headers: {
      'content-type': 'application/octet-stream',
      'content-length': String(body.size),
      ...condition,
    },
    body,
    expect: [412],
    expectsSlashRedirect: true,
    ...(signal === undefined ? {} : { signal }),
    ...(onProgress === undefined ? {} : { onProgress }),
    ...(onSent === undefined ? {} : { onSent }),
  });
  await reply.settle();
  const { status, headers } = reply;
  if (status === 412) throw conditionFailed(context, subject, options, headers);
  if (status >= 300) {
    throw makeError(subject, { code: 'exists', found: 'the name is taken by a directory', status });
  }
  if (status !== 200 && status !== 201 && status !== 204) {
    throw makeError(subject, {
      code: 'protocol',
      found: `the server answered ${status}`,
      status,
      outcome: 'unknown',
    });
  }
  const tag = parseTag(headers.etag);
  if (tag !== undefined) context.tags.note(tag);
  context.found.learn({ etagOnPut: tag !== undefined });
  // Without a time of the file itself, the time of the answer is close to it; but mod_dav's is that of the request's
  // begin, and of a long upload neither end tells when the file was put in place.
  const isShort = context.clock.nowMs() - beganAtMs <= SHORT_UPLOAD_MS;
  const time = headers['last-modified'] ?? (isShort ? headers.date : undefined);
  return { etag: tag?.etag, mtimeMs: parseHttpDate(time) };
}

function conditionFailed(
  context: DavContext,
  subject: RequestSubject,
  { condition }: WriteOptions,
  headers: Readonly<Record<string, string>>,
): Error {
  if (condition.kind !== 'absent') return statusError(subject, 412, headers, context.clock.nowMs());
  context.found.learn({ ifNoneMatch: true });
  return makeError(subject, { code: 'exists', found: 'the name is taken', status: 412 });
}
