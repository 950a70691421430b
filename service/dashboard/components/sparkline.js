/** A line as high as a word. */
import { html } from '../core/html.js';

const WIDTH = 88;
const HEIGHT = 22;

/** @param {{values: number[], label: string}} props */
export function Sparkline({ values, label }) {
  if (values.length < 2) return html`<span class="muted">–</span>`;
  const low = Math.min(...values);
  const range = Math.max(...values) - low || 1;
  const spots = values.map((value, i) => [
    2 + (i / (values.length - 1)) * (WIDTH - 6),
    HEIGHT - 3 - ((value - low) / range) * (HEIGHT - 6),
  ]);
  const line = spots.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(' ');
  const [endX, endY] = spots[spots.length - 1];
  return html`
    <svg class="sparkline" width=${WIDTH} height=${HEIGHT} role="img" aria-label=${label}>
      <polygon points=${`2,${HEIGHT} ${line} ${endX},${HEIGHT}`} />
      <polyline points=${line} /><circle cx=${endX} cy=${endY} r="2" />
    </svg>`;
}
