/** What is said once: toasts for eyes, a live region for screen readers. */
import { html, useEffect, useState } from '../core/html.js';
import { Icon } from './icon.js';

const SHOWN = 6000;
const target = new EventTarget();

/**
 * Shows a short message for a while; screen readers say it.
 * @param {string} text
 * @param {{kind?: 'done' | 'error', href?: string, link?: string}} [options]
 */
export const toast = (text, options = {}) =>
  void target.dispatchEvent(new CustomEvent('toast', { detail: { text, kind: 'done', id: Math.random(), ...options } }));

/** Says something to screen readers only. @param {string} text */
export const announce = (text) => void target.dispatchEvent(new CustomEvent('say', { detail: text }));

/** Does something and says how it went. @param {() => Promise<any>} action @param {string} done */
export async function attempt(action, done) {
  try {
    const result = await action();
    if (done) toast(done);
    return result;
  } catch (error) {
    const { message, line } = /** @type {any} */ (error);
    toast(line ?? message, { kind: 'error' });
    return undefined;
  }
}

/** @param {string} name @param {(detail: any) => void} listener */
function useTold(name, listener) {
  useEffect(() => {
    const hear = (event) => listener(event.detail);
    target.addEventListener(name, hear);
    return () => target.removeEventListener(name, hear);
  }, []);
}

export function Toasts() {
  const [toasts, setToasts] = useState(/** @type {any[]} */ ([]));
  const drop = (/** @type {number} */ id) => setToasts((all) => all.filter((one) => one.id !== id));
  useTold('toast', (one) => {
    setToasts((all) => [...all.slice(-2), one]);
    setTimeout(drop, one.kind === 'error' ? 2 * SHOWN : SHOWN, one.id);
  });
  return html`<div class="toasts" role="log" aria-live="polite" aria-label="Messages">
    ${toasts.map((one) => html`
      <div class="toast" data-kind=${one.kind} key=${one.id}>
        <${Icon} name=${one.kind === 'error' ? 'error' : 'check'} />
        <span>${one.text} ${one.href && html`<a href=${one.href}>${one.link}</a>`}</span>
        <button class="quiet icon" aria-label="Dismiss" onClick=${() => drop(one.id)}>
          <${Icon} name="close" size="14" /></button>
      </div>`)}
  </div>`;
}

export function Announcer() {
  const [text, setText] = useState('');
  useTold('say', setText);
  return html`<div class="visually-hidden" role="status" aria-live="polite">${text}</div>`;
}
