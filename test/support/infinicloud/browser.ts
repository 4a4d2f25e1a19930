/** The person with a browser: opens an address, fills in the login form, says yes, until there is no form any more. */

import { Agent, fetch, type RequestInit } from 'undici';

/** Redirects and forms of one login; the flows here take about ten. */
const MAX_STEPS = 30;

export interface BrowserOptions {
  readonly ca: string;
  /** Typed into a field `login`. */
  readonly login: string;
  /** Typed into a field `user_code` that is empty. */
  readonly userCode?: string | undefined;
}

/**
 * Resolves with the last address; that of the program which waits for the answer on plain http, if it comes to that, and
 * is opened too unless nobody listens there. Rejects where a page of the server is an error.
 */
export async function browse(start: string, options: BrowserOptions): Promise<URL> {
  const dispatcher = new Agent({ connect: { ca: options.ca } });
  const cookies = new Map<string, string>();
  try {
    let step: Step = { url: new URL(start) };
    const origin = step.url.origin;
    for (let count = 0; count < MAX_STEPS; count++) {
      const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
      const answer = await fetch(step.url, {
        dispatcher,
        redirect: 'manual',
        ...(step.form === undefined ? {} : { method: 'POST', body: step.form }),
        headers: { accept: 'text/html', ...(cookie === '' ? {} : { cookie }) },
      } satisfies RequestInit);
      keepCookies(cookies, answer.headers.getSetCookie());
      const page = await answer.text();
      if (answer.status >= 400) throw new Error(`${step.url.href} answers ${answer.status}: ${page}`);
      const location = answer.headers.get('location');
      const next = location === null ? submit(page, step.url, options) : { url: new URL(location, step.url) };
      if (next === undefined) return step.url;
      step = next;
      if (step.url.origin !== origin) {
        // The program's own page; whether it is there is for the test to see.
        await fetch(step.url, { redirect: 'manual' }).then(
          (page) => page.text(),
          () => undefined,
        );
        return step.url;
      }
    }
    throw new Error(`still not done after ${MAX_STEPS} pages, at ${step.url.href}`);
  } finally {
    await dispatcher.close();
  }
}

interface Step {
  readonly url: URL;
  readonly form?: URLSearchParams;
}

/** The first form of the page, filled in; undefined where there is none. */
function submit(page: string, base: URL, { login, userCode }: BrowserOptions): Step | undefined {
  const form = /<form[^>]*>/i.exec(page)?.[0];
  const action = form === undefined ? undefined : attribute(form, 'action');
  if (action === undefined) return undefined;
  const fields = new URLSearchParams();
  for (const [input] of page.matchAll(/<input[^>]*>/gi)) {
    const name = attribute(input, 'name');
    if (name === undefined) continue;
    if (name === 'login') fields.set(name, login);
    else if (name === 'password') fields.set(name, 'any');
    else fields.set(name, attribute(input, 'value') ?? (name === 'user_code' ? (userCode ?? '') : ''));
  }
  return { url: new URL(action, base), form: fields };
}

function attribute(tag: string, name: string): string | undefined {
  return new RegExp(`\\b${name}="([^"]*)"`, 'i').exec(tag)?.[1]?.replaceAll('&amp;', '&');
}

function keepCookies(jar: Map<string, string>, headers: readonly string[]): void {
  for (const header of headers) {
    const [pair = ''] = header.split(';', 1);
    const split = pair.indexOf('=');
    const value = pair.slice(split + 1);
    if (value === '') jar.delete(pair.slice(0, split));
    else jar.set(pair.slice(0, split), value);
  }
}
