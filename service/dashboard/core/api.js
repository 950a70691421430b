/** The service's API: one place that sends requests and turns problem documents into errors. */

export const API = '/api/v1';

/** What the service says went wrong (RFC 9457). */
export class Problem extends Error {
  /**
   * @param {number} status 0 when the service could not be reached
   * @param {{title?: string, detail?: string, code?: string, hint?: string, request_id?: string,
   *   errors?: {pointer: string, message: string, hint?: string}[]}} document
   */
  constructor(status, document) {
    super(document.detail || document.title || `The service answered ${status}.`);
    this.status = status;
    this.code = document.code ?? 'unexpected';
    this.hint = document.hint ?? '';
    this.errors = document.errors ?? [];
    this.requestId = document.request_id ?? '';
  }

  /** What went wrong and what to do, in one line. */
  get line() {
    return [this.message, this.hint].filter(Boolean).join(this.message.endsWith('.') ? ' ' : '; ');
  }
}

/**
 * The path of a request with its query; null and '' are left out.
 * @param {string} path below /api/v1
 * @param {Record<string, any>} [query]
 */
export function address(path, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value != null && value !== '');
  const text = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
  return API + path + (text && `?${text}`);
}

/**
 * Sends a request and gives what the service answers: JSON data, text, or null.
 * @param {string} method
 * @param {string} url as `address` makes them
 * @param {{body?: any, headers?: Record<string, string>, signal?: AbortSignal}} [options]
 * @throws {Problem}
 */
export async function send(method, url, { body, headers = {}, signal } = {}) {
  const safe = method === 'GET';
  const response = await fetch(url, {
    method,
    signal,
    credentials: 'same-origin',
    headers: {
      Accept: 'application/json',
      ...(safe ? {} : { 'X-Autokd-Session': '1' }),
      ...(body === undefined ? {} : { 'Content-Type': body instanceof Blob ? 'application/octet-stream' : 'application/json' }),
      ...headers,
    },
    body: body === undefined || body instanceof Blob ? body : JSON.stringify(body),
  }).catch((error) => {
    if (error.name === 'AbortError') throw error;
    throw new Problem(0, { detail: 'The service does not answer.', code: 'disconnected', hint: 'Is it running? This page tries again by itself.' });
  });
  const type = response.headers.get('content-type') ?? '';
  const content = response.status === 204 ? null : type.includes('json') ? await response.json() : await response.text();
  if (response.ok) return content;
  if (response.status === 401) dispatchEvent(new Event('autokd:signed-out'));
  throw new Problem(response.status, typeof content === 'object' && content ? content : {});
}

/** @param {string} path @param {Record<string, any>} [query] */
export const get = (path, query) => send('GET', address(path, query));

/** @param {string} path @param {any} [body] @param {Record<string, any>} [query] */
export const post = (path, body, query) => send('POST', address(path, query), { body });

/** @param {string} path @param {any} body @param {string} [etag] what was read before the change */
export const patch = (path, body, etag) =>
  send('PATCH', address(path), { body, headers: etag ? { 'If-Match': etag } : {} });

/** @param {string} path */
export const remove = (path) => send('DELETE', address(path));

/**
 * Waits until an operation has ended and gives its response.
 * @param {{id: string, done: boolean, error: any, response: any}} operation
 * @throws {Problem} what the operation failed with
 */
export async function finished(operation) {
  let now = operation;
  while (!now.done) now = await get(`/operations/${now.id}`, { wait: 20 });
  if (now.error) throw new Problem(now.error.status ?? 500, now.error);
  return now.response ?? {};
}

/** @param {string} study */
export const studyPath = (study) => `/studies/${encodeURIComponent(study)}`;
