/** One of several, with its name beside it. */
import { html, useId } from '../core/html.js';

/**
 * @param {{label: string, value: any, options: [any, any][], set: (value: string) => void, none?: string}} props
 *   options: each value and how it reads; none: how '' reads, if it can be chosen
 */
export function Choice({ label, value, options, set, none }) {
  const id = useId();
  return html`
    <span class="choice"><label for=${id}>${label}</label>
      <select id=${id} onChange=${(event) => set(event.target.value)}>
        ${none && html`<option value="" selected=${!value}>${none}</option>`}
        ${options.map(([key, text]) => html`<option key=${key} value=${key} selected=${key === value}>${text}</option>`)}
      </select></span>`;
}
