/** A page's other faces: loading, empty, wrong, away. */
import { html, useEffect } from '../core/html.js';
import { Icon } from './icon.js';

/** @param {{lines?: number}} props */
export const Loading = ({ lines = 5 }) => html`
  <div class="loading" role="status"><span class="visually-hidden">Loading</span>
    ${Array.from({ length: lines }, (_, i) => html`<div class="bone" key=${i} style=${{ width: `${92 - ((i * 29) % 45)}%` }}>
      </div>`)}
  </div>`;

/** @param {{title: string, children?: any}} props */
export const Empty = ({ title, children }) => html`
  <div class="empty">
    <svg width="72" height="48" viewBox="0 0 72 48" aria-hidden="true"><path d="M4 4v40h64" />
      <path class="curve" d="M12 38C14 20 28 10 60 9" /></svg>
    <p class="empty-title">${title}</p>${children}
  </div>`;

/** @param {{error: any, retry?: () => void}} props */
export function Failure({ error, retry }) {
  const away = error.status === 0;
  const title = away ? 'The service does not answer' : error.status === 404 ? 'There is no such thing here' : 'That did not work';
  return html`
    <div class="failure" role="alert">
      <${Icon} name=${away ? 'warning' : 'error'} size="20" />
      <div>
        <p class="failure-title">${title}</p>
        <p>${error.message}</p>
        ${error.hint && html`<p class="muted">${error.hint}</p>`}
        ${error.requestId && html`<p class="muted small">Request <code>${error.requestId}</code></p>`}
        ${retry && html`<button onClick=${retry}>Try again</button>`}
      </div>
    </div>`;
}

/** The page of an address that is none: a point far from any front. */
export function NotFound() {
  useEffect(() => void (document.title = 'Not found · autokd'), []);
  return html`
    <div class="empty nowhere">
      <svg width="216" height="144" viewBox="0 0 72 48" aria-hidden="true"><path d="M4 4v40h64" />
        <path class="curve" d="M12 38C14 20 28 10 60 9" /><circle cx="52" cy="33" r="2.5" /></svg>
      <h1>No page has this address</h1>
      <p><code>${location.pathname}</code></p>
      <p>It may be mistyped, or from another version.</p>
      <a class="button primary" href="/studies">All studies</a>
    </div>`;
}

/**
 * Shows a resource when it is there, and says what it is until then.
 * @param {{resource: import('../core/resource.js').Resource<any>, lines?: number, children: (data: any) => any}} props
 */
export function Loaded({ resource, lines, children }) {
  const { data, error, reload } = resource;
  if (data) {
    return html`${error && html`<p class="stale" role="status"><${Icon} name="warning" />
      ${error.message} You see what was known last.</p>`}${children(data)}`;
  }
  return error ? html`<${Failure} error=${error} retry=${reload} />` : html`<${Loading} lines=${lines} />`;
}
