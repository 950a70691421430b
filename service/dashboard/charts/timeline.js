/** Attempts as bars over time, a row for each slot. */
import { axis, lines, tooltip } from './base.js';
import { duration } from '../core/format.js';

const CLOCK = new Intl.DateTimeFormat('en', { hour: '2-digit', minute: '2-digit', hour12: false });

/** @param {{trial: number, kind: string, n: number, state: string, started: string, ended: string | null, slot: number}[]} attempts */
export const timelineOption = (attempts) => (palette) => {
  const slots = [...new Set(attempts.map((one) => one.slot))].sort((a, b) => a - b);
  const end = Math.max(...attempts.map((one) => Date.parse(one.ended ?? one.started)));
  const tones = { failed: palette.limit, lost: palette.limit, stopped: palette.dim };
  return {
    grid: { left: 56, right: 12, top: 8, bottom: 26 },
    tooltip: tooltip(palette, { formatter: ({ dataIndex }) => { const one = attempts[dataIndex]; return lines(`Trial ${one.trial}`, [['Kind', one.kind], ['Attempt', String(one.n)], ['State', one.state], ['For', duration((Date.parse(one.ended ?? one.started) - Date.parse(one.started)) / 1000)]]); } }),
    xAxis: axis(palette, { type: 'value', min: Math.min(...attempts.map((one) => Date.parse(one.started))), max: end, axisLabel: { showMinLabel: false, showMaxLabel: false, formatter: (/** @type {number} */ value) => CLOCK.format(value) } }),
    yAxis: { type: 'category', inverse: true, data: slots.map((slot) => `slot ${slot}`), axisLine: { show: false }, axisTick: { show: false }, axisLabel: { color: palette.muted, fontSize: 11 } },
    series: [{
      type: 'custom', encode: { x: [1, 2], y: 0 },
      data: attempts.map((one) => ({ value: [slots.indexOf(one.slot), Date.parse(one.started), Date.parse(one.ended ?? one.started) || end], itemStyle: { color: tones[one.state] ?? (one.kind === 'search' ? palette.accent : palette.series[1]) } })),
      renderItem: (_, api) => {
        const [left, middle] = api.coord([api.value(1), api.value(0)]);
        const [right] = api.coord([api.value(2), api.value(0)]);
        return { type: 'rect', shape: { x: left, y: middle - 8, width: Math.max(2, right - left - 1), height: 16, r: 2 }, style: { fill: api.visual('color') }, emphasis: { style: { stroke: palette.text, lineWidth: 1 } } };
      },
    }],
  };
};
