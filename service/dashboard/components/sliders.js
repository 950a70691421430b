/** "What is the best student under …?": one slider for each limit of the device, answered at once. */
import { html, useId } from '../core/html.js';
import { figure, label } from '../core/format.js';

const STEPS = 200;

/** The limit at a position of a slider, on a log scale. @param {number} step @param {[number, number]} range */
const valueAt = (step, [low, high]) => Math.round(low * (high / low) ** (step / STEPS));
/** @param {number} value @param {[number, number]} range */
const stepAt = (value, [low, high]) =>
  high > low ? Math.max(0, Math.min(STEPS, Math.ceil((STEPS * Math.log(value / low)) / Math.log(high / low)))) : STEPS;

/**
 * @param {{metrics: {name: string, range: [number, number]}[], limits: Record<string, number | null>,
 *   set: (name: string, limit: number | null) => void}} props limit null: none
 */
export const Sliders = ({ metrics, limits, set }) => html`
  <div class="sliders">
    ${metrics.map(({ name, range }) => html`<${Slider} key=${name} name=${name} range=${range} limit=${limits[name] ?? null} set=${set} />`)}
  </div>`;

/** @param {{name: string, range: [number, number], limit: number | null, set: (name: string, limit: number | null) => void}} props */
function Slider({ name, range, limit, set }) {
  const id = useId();
  const step = limit === null ? STEPS : stepAt(limit, range);
  const text = limit === null ? 'any' : `≤ ${figure(name, limit)}`;
  const move = (event) => {
    const next = Number(event.target.value);
    set(name, next >= STEPS ? null : valueAt(next, range));
  };
  return html`
    <div class="slider">
      <label for=${id}><span>${label(name)}</span><output for=${id}>${text}</output></label>
      <input id=${id} type="range" min="0" max=${STEPS} value=${step} aria-valuetext=${text} onInput=${move}
        style=${{ '--filled': `${(100 * step) / STEPS}%` }} />
      <span class="sub"><span>${figure(name, range[0])}</span><span>${figure(name, range[1])}</span></span>
    </div>`;
}
