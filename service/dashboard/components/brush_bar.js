/** What is brushed, as chips to remove; and a brush for those who use no mouse. */
import { html, useState } from '../core/html.js';
import { extent } from '../core/columns.js';
import { figure, label, number } from '../core/format.js';
import { Choice } from './choice.js';
import { Icon } from './icon.js';

/**
 * @param {{axes: import('../charts/parallel.js').Axis[], brush: import('../core/brush.js').Brush,
 *   setBrush: (next: import('../core/brush.js').Brush) => void, text: string}} props
 */
export function BrushBar({ axes, brush, setBrush, text }) {
  const numeric = axes.filter((axis) => !axis.names);
  const [name, setName] = useState(numeric[0]?.name);
  const say = (/** @type {string} */ column, /** @type {number} */ value) => (/accuracy|parameters|bytes|macs|latency/.test(column) ? figure(column, value) : number(value));
  const without = (/** @type {string} */ column) => setBrush(Object.fromEntries(Object.entries(brush).filter(([one]) => one !== column)));
  const add = (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    const form = new FormData(/** @type {HTMLFormElement} */ (event.target));
    const [low, high] = extent(numeric.find((axis) => axis.name === name)?.values ?? []);
    const given = (/** @type {string} */ end, /** @type {number} */ otherwise) => (form.get(end) === '' ? otherwise : Number(form.get(end)));
    setBrush({ ...brush, [name]: [given('low', low), given('high', high)] });
  };
  return html`
    <div class="brush-bar">
      <span class="small" role="status">${text}</span>
      ${Object.entries(brush).map(([column, [low, high]]) => html`<button key=${column} class="pill" aria-pressed="true" onClick=${() => without(column)}>
        <span class="visually-hidden">Remove the selection of </span>
        ${label(column)} ${say(column, low)} – ${say(column, high)} <${Icon} name="close" size="12" /></button>`)}
      ${Object.keys(brush).length > 0 && html`<button class="link small" onClick=${() => setBrush({})}>Clear</button>`}
      <details class="menu push"><summary class="button">Select a range</summary>
        <form class="menu-body stack" onSubmit=${add}>
          <${Choice} label="Column" value=${name} options=${numeric.map((axis) => [axis.name, label(axis.name)])} set=${setName} />
          <span class="range"><input name="low" type="number" step="any" aria-label="Lowest" placeholder="lowest" />
            <span aria-hidden="true">–</span>
            <input name="high" type="number" step="any" aria-label="Highest" placeholder="highest" /></span>
          <button class="primary">Select</button>
        </form></details>
    </div>`;
}
