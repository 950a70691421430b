/** Whether a student's confidence can be believed. */
import { html } from '../core/html.js';
import { count, label, number, percent } from '../core/format.js';
import { calibrationOption } from '../charts/calibration.js';
import { Chart } from './chart.js';

/** @typedef {import('../core/contract').CalibrationBin} Bin */

/** How far confidence and accuracy are apart, in words. @param {Bin[]} bins */
function said(bins) {
  const images = bins.reduce((sum, bin) => sum + bin.count, 0);
  const mean = (/** @type {(bin: Bin) => number} */ of) => bins.reduce((sum, bin) => sum + bin.count * of(bin), 0) / images;
  const error = mean((bin) => Math.abs(bin.accuracy - bin.confidence));
  return `${percent(mean((bin) => bin.confidence), 1)} sure and ${percent(mean((bin) => bin.accuracy), 1)} right on average, calibration error ${number(error)}`;
}

/** @param {{calibration: Record<string, Bin[]>}} props bins by split */
export function Calibration({ calibration }) {
  const splits = Object.entries(calibration).map(([name, bins]) => ({ name: label(name), bins }));
  const rows = splits.flatMap(({ name, bins }, series) => bins.map((bin, index) => ({ name, series, index, ...bin })));
  return html`<${Chart} title="Calibration" name="calibration" height=${230}
    summary=${`${splits.map(({ name, bins }) => `${name}: ${said(bins)}.`).join(' ')} Larger marks are more images.`}
    depends=${[calibration]} shape=${splits.map(({ name }) => name).join()} option=${calibrationOption(splits)}
    stops=${rows.map(({ name, series, index, confidence, accuracy, count: n }) => ({ series, index, text: `${name}, ${percent(confidence, 1)} sure: ${percent(accuracy, 1)} of ${count(n)} right` }))}
    table=${{ head: ['split', 'confidence', 'accuracy', 'images'], rows: () => rows.map((row) => [row.name, row.confidence, row.accuracy, row.count]) }} />`;
}
