/** Learning curves of one or several trials: every loss term, every score. */
import { html, useMemo } from '../core/html.js';
import { figure, label, number, plural } from '../core/format.js';
import { linesOption } from '../charts/lines.js';
import { Chart } from './chart.js';
import { Empty } from './states.js';

const GROUPS = [
  { name: 'accuracy', title: 'Accuracy', of: (/** @type {string} */ name) => /accuracy/.test(name) },
  { name: 'loss', title: 'Losses', of: (/** @type {string} */ name) => /loss|entropy|^train_/.test(name) },
  { name: 'other', title: 'Others', of: () => true },
];

/** @type {Record<string, string>} */
const NAMES = { accuracy: 'Validation accuracy', loss: 'Validation loss', train_kd: 'Training KD' };

/** What a curve is called, in words. @param {string} name e.g. `train_cross_entropy` → Training cross entropy */
const curveName = (name) => NAMES[name] ?? label(name.replace(/^train_/, 'training_'));

/**
 * @param {{curves: {name: string, metrics: Record<string, [number, number | null][]>}[], teacher?: any, more?: any}} props
 *   curves: one for each trial; more: a chart beside them
 */
export function Curves({ curves, teacher, more }) {
  const groups = useMemo(() => {
    const names = [...new Set(curves.flatMap((curve) => Object.keys(curve.metrics).filter((name) => curve.metrics[name].length)))];
    const taken = new Set();
    return GROUPS.map((group) => ({ ...group, names: names.filter((name) => !taken.has(name) && group.of(name) && taken.add(name)) })).filter((group) => group.names.length);
  }, [curves]);
  if (!groups.length) return html`<${Empty} title="No epoch has ended yet" />`;
  const panel = `panel ${groups.length + (more ? 1 : 0) === 3 ? 'span-4' : 'span-6'}`;
  return html`<div class="grid stretch">
    ${groups.map((group) => html`<div class=${panel} key=${group.name}>
    <${Group} group=${group} curves=${curves} teacher=${teacher} /></div>`)}
    ${more && html`<div class=${panel}>${more}</div>`}</div>`;
}

/** @param {{group: {name: string, title: string, names: string[]}, curves: any[], teacher?: any}} props */
function Group({ group, curves, teacher }) {
  const several = curves.length > 1;
  const all = curves.flatMap((curve) => group.names.filter((name) => curve.metrics[name]?.length).map((name) => ({
    name: several ? `${curve.name}${group.names.length > 1 ? ` ${curveName(name)}` : ''}` : curveName(name), values: curve.metrics[name],
  })));
  const metric = group.name === 'accuracy' ? 'accuracy' : '';
  const say = (value) => (metric ? figure(metric, value) : number(value));
  const longest = all.reduce((a, b) => (b.values.length > a.values.length ? b : a), all[0]);
  const end = (line) => line.values[line.values.length - 1];
  const level = metric && teacher?.accuracy != null ? { value: teacher.accuracy, name: 'Teacher' } : null;
  const title = group.name === 'other' && group.names.length === 1 ? label(group.names[0]) : group.title;
  return html`<${Chart} title=${title} name=${`curves-${group.name}`} height=${230}
    summary=${`After ${plural(end(longest)[0], 'epoch')}: ${all.slice(0, 4).map((line) => `${line.name} ${say(end(line)[1])}`).join(', ')}.`}
    depends=${[curves]} shape=${all.map((line) => line.name).join()} option=${linesOption(all, { x: 'Epoch', y: '', metric, level })}
    stops=${longest.values.map((/** @type {any} */ [epoch, value], /** @type {number} */ i) => ({ series: all.indexOf(longest), index: i, text: `epoch ${epoch}: ${longest.name} ${say(value)}` }))}
    table=${{ head: ['epoch', ...all.map((line) => line.name)], rows: () => longest.values.map(([epoch]) => [epoch, ...all.map((line) => line.values.find(([e]) => e === epoch)?.[1] ?? null)]) }} />`;
}
