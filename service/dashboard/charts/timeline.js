/** Attempts as bars over time, a row for each slot. */
import { duration } from '../core/format.js';
import { axis, legend, lines, tooltip } from './base.js';

/**
 * @typedef {{trial: number, kind: string, n: number, state: string, started: string, ended: string | null, slot: number}} Attempt
 */

/** What is told apart by colour, in the order of the legend. @type {[string, (attempt: Attempt) => boolean][]} */
const GROUPS = [
  ['Failed or lost', (one) => ['failed', 'lost'].includes(one.state)],
  ['Search', (one) => one.kind === 'search'],
  ['Final stage', () => true],
];

/** @param {Attempt} attempt */
const span = (attempt) => [Date.parse(attempt.started), attempt.ended ? Date.parse(attempt.ended) : Date.now()];

/** Attempts by what they are told apart by; those of none are left out. @param {Attempt[]} attempts */
export function groupsOf(attempts) {
  const mine = (/** @type {Attempt} */ one) => GROUPS.findIndex(([, fits]) => fits(one));
  return GROUPS.map(([name], k) => ({ name, attempts: attempts.filter((one) => mine(one) === k) }))
    .filter((group) => group.attempts.length);
}

/** @param {Attempt[]} attempts */
export const timelineOption = (attempts) => (palette) => {
  const slots = [...new Set(attempts.map((one) => one.slot))].sort((a, b) => a - b);
  const [min, max] = [Math.min(...attempts.map((one) => span(one)[0])), Math.max(...attempts.map((one) => span(one)[1]))];
  const precise = max - min < 600_000 ? /** @type {const} */ ('2-digit') : undefined;
  const clock = new Intl.DateTimeFormat('en', { hour: '2-digit', minute: '2-digit', second: precise, hour12: false });
  const groups = groupsOf(attempts);
  const colors = { Search: palette.accent, 'Final stage': palette.series[1], 'Failed or lost': palette.limit };
  const say = (/** @type {Attempt} */ one) => lines(`Trial ${one.trial}`, [
    ['Kind', one.kind], ['Attempt', String(one.n)], ['State', one.state],
    ['For', duration((span(one)[1] - span(one)[0]) / 1000)],
  ]);
  const bar = (_, api) => {
    const [left, middle] = api.coord([api.value(1), api.value(0)]);
    const [right] = api.coord([api.value(2), api.value(0)]);
    const shape = { x: left, y: middle - 8, width: Math.max(2, right - left - 1), height: 16, r: 2 };
    const emphasis = { style: { stroke: palette.text, lineWidth: 1 } };
    return { type: 'rect', shape, style: { fill: api.visual('color') }, emphasis };
  };
  return {
    grid: { left: 56, right: 12, top: 32, bottom: 26 },
    legend: legend(palette, { icon: 'roundRect' }),
    tooltip: tooltip(palette, { formatter: ({ seriesIndex, dataIndex }) => say(groups[seriesIndex].attempts[dataIndex]) }),
    xAxis: axis(palette, {
      type: 'value', min, max,
      axisLabel: { showMinLabel: false, showMaxLabel: false, formatter: (/** @type {number} */ value) => clock.format(value) },
    }),
    yAxis: {
      type: 'category', inverse: true, data: slots.map((slot) => `slot ${slot ?? '–'}`),
      axisLine: { show: false }, axisTick: { show: false }, axisLabel: { color: palette.muted, fontSize: 11 },
    },
    series: groups.map((group) => ({
      name: group.name, type: 'custom', encode: { x: [1, 2], y: 0 }, renderItem: bar, itemStyle: { color: colors[group.name] },
      data: group.attempts.map((one) => [slots.indexOf(one.slot), ...span(one)]),
    })),
  };
};
