/** The same by other means: what the page shows or does, as a command, a request, and Python. */
import { html, useState } from '../core/html.js';
import { announce } from './announcer.js';
import { Icon } from './icon.js';

/** A button that copies. @param {{text: string, what?: string}} props */
export function Copy({ text, what = 'Copy' }) {
  const [done, setDone] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    announce('Copied');
    setDone(true);
    setTimeout(setDone, 1500, false);
  };
  return html`<button class="quiet icon copy" aria-label=${what} title=${what} onClick=${copy}>
    <${Icon} name=${done ? 'check' : 'copy'} size="14" /></button>`;
}

/** @param {{text: string, label?: string}} props */
export const Code = ({ text, label = 'Code' }) => html`
  <div class="code"><pre tabindex="0" aria-label=${label}><code>${text}</code></pre>
    <${Copy} text=${text} what=${`Copy ${label}`} /></div>`;

/**
 * A few texts of which one is shown.
 * @param {{texts: Record<string, string>, label: string}} props title of each → its text
 */
export function CodeTabs({ texts, label }) {
  const names = Object.keys(texts);
  const [shown, setShown] = useState(names[0]);
  const step = (/** @type {KeyboardEvent} */ event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    const next = names[(names.indexOf(shown) + by + names.length) % names.length];
    setShown(next);
    /** @type {any} */ (event.currentTarget).querySelector(`[data-name="${next}"]`)?.focus();
  };
  return html`
    <div class="tabs" role="tablist" aria-label=${label} onKeyDown=${step}>
      ${names.map((name) => html`<button role="tab" key=${name} data-name=${name} aria-selected=${shown === name} tabindex=${shown === name ? 0 : -1} onClick=${() => setShown(name)}>
        ${name}</button>`)}
    </div>
    <div role="tabpanel" aria-label=${shown}><${Code} text=${texts[shown]} label=${shown} /></div>`;
}

/** @param {{texts: Record<string, string>, summary?: string}} props */
export const Equivalents = ({ texts, summary = 'The same as a command, a request, or Python' }) => html`
  <details class="disclosure"><summary>${summary}</summary><${CodeTabs} texts=${texts} label="Equivalents" /></details>`;

/** An address of the API as curl asks for it. @param {string} path @param {string} [method] @param {any} [body] */
export function curl(path, method = 'GET', body) {
  const lines = [`curl ${method === 'GET' ? '' : `-X ${method} `}'${location.origin}/api/v1${path}'`, `-H "Authorization: Bearer $AUTOKD_TOKEN"`];
  if (body) lines.push(`-H 'Content-Type: application/json'`, `-d '${JSON.stringify(body).replace(/'/g, `'\\''`)}'`);
  return lines.join(' \\\n  ');
}

/** A word that a shell takes as one. @param {string} text */
export const shellWord = (text) => (/^[\w./-]+$/.test(text) ? text : `'${text.replace(/'/g, `'\\''`)}'`);
