/** What made students good: all choices at once, which mattered, and whether short trainings told the truth. */
import { html, useEffect, useMemo, useState } from '../core/html.js';
import { address, studyPath } from '../core/api.js';
import { brushed, useBrush } from '../core/brush.js';
import { extent, scoredRows, searched, thinned } from '../core/columns.js';
import { count, figure, label, lessIsBetter, number, percent, plural } from '../core/format.js';
import { useResource } from '../core/resource.js';
import { changeQuery, studyHref, useQuery } from '../core/router.js';
import { barsOption, parallelOption, showBrush, slicesOption, tintBrush } from '../charts/parallel.js';
import { BrushBar } from '../components/brush_bar.js';
import { Chart } from '../components/chart.js';
import { Choice } from '../components/choice.js';
import { Empty, Failure, Loaded } from '../components/states.js';
import { StudyHead } from '../components/study_head.js';

const FIGURES = ['parameters', 'peak_activation_bytes', 'accuracy'];
const LINES = 1200;
const SPOTS = 700;
const ROWS = 50;
/** From fewer trials the service says nothing of importances. */
const FEWEST = 10;

/** @param {{study: string}} props */
export default function AnalysePage({ study: name }) {
  const [live, setLive] = useState('*'); // until its id is known, so that nothing is missed
  const study = useResource(address(studyPath(name)), { live, kinds: ['study'] });
  const columns = useResource(address(`${studyPath(name)}/columns`), { live, kinds: ['trial', 'study'] });
  useEffect(() => void (study.data && setLive(study.data.id)), [study.data?.id]);
  return html`<${Loaded} resource=${study}>${(data) => html`
    <${StudyHead} study=${data} reload=${study.reload} page="/analyse" />
    <${Loaded} resource=${columns} lines=${10}>${(all) => html`<${Analysis} study=${data} columns=${all} />`}<//>`}<//>`;
}

/** A column as an axis; words get numbers. @param {string} name @param {any[]} values @returns {import('../charts/parallel.js').Axis} */
function asAxis(name, values) {
  const numeric = values.every((value) => value == null || typeof value === 'number');
  if (!numeric) return { name, values, names: [...new Set(values.filter((value) => value != null).map(String))].sort() };
  const [low, high] = extent(values);
  return { name, values, log: low > 0 && high / low > 12 };
}

/** @param {{study: import('../core/contract').StudyDetail, columns: any}} props */
function Analysis({ study, columns }) {
  const [query] = useQuery();
  const [brush, setBrush] = useBrush();
  const metric = query.get('metric') ?? study.objectives[0].metric;
  const rows = useMemo(() => scoredRows(columns).filter((i) => columns.figures[metric]?.[i] != null), [columns, metric]);
  const axes = useMemo(() => [
    ...searched(columns).map(([name, values]) => asAxis(name, values)),
    ...[...new Set([...FIGURES, metric])].filter((name) => columns.figures[name]).map((name) => asAxis(name, columns.figures[name])),
  ], [columns, metric]);
  const column = (/** @type {string} */ name) => axes.find((axis) => axis.name === name)?.values;
  const values = columns.figures[metric] ?? [];
  const sign = lessIsBetter(metric) ? 1 : -1;
  const chosen = useMemo(() => brushed(brush, rows, column).sort((a, b) => sign * (values[a] - values[b])), [brush, rows, axes]);
  if (rows.length < 2) return html`<div class="panel"><${Empty} title="Not enough to analyse yet">
    <p>Two scored candidates in budget are the least.</p><//></div>`;
  const metrics = Object.keys(columns.figures).filter((name) => columns.figures[name].some((value) => value != null));
  return html`
    <div class="toolbar">
      <${Choice} label="Metric" value=${metric} options=${metrics.map((name) => [name, label(name)])} set=${(/** @type {string} */ next) => changeQuery({ metric: next })} />
      </div>
    <section class="panel">
      <${Parallel} axes=${axes} rows=${rows} values=${values} metric=${metric} brush=${brush} setBrush=${setBrush} chosen=${chosen} columns=${columns} sign=${sign} />
      <${BrushBar} axes=${axes} brush=${brush} setBrush=${setBrush} text=${`${count(chosen.length)} of ${plural(rows.length, 'candidate')} selected`} />
        </section>
    <div class="grid">
      <section class="panel span-8">
        <${Slices} axes=${axes.filter((axis) => axis.name !== metric)} metric=${{ name: metric, values }} rows=${rows} chosen=${chosen} brush=${brush} setBrush=${setBrush} columns=${columns} />
        </section>
      <div class="span-4 stack">
        <section class="panel"><${Importances} study=${study} metric=${metric} /></section>
        <section class="panel"><${RankCorrelation} study=${study} metric=${metric} /></section>
      </div>
    </div>
    <${Selected} study=${study} columns=${columns} chosen=${chosen} axes=${axes} />`;
}

/** @param {any} props */
function Parallel({ axes, rows, values, metric, brush, setBrush, chosen, columns, sign }) {
  const drawn = useMemo(() => thinned([...rows].sort((a, b) => sign * (values[b] - values[a])), LINES), [rows, values]);
  const range = extent(values, rows);
  const select = (_, chart) => {
    const next = {};
    chart.getModel().eachComponent('parallelAxis', (axis) => {
      if (axis.activeIntervals?.length) next[axis.id] = [Math.min(...axis.activeIntervals[0]), Math.max(...axis.activeIntervals[0])];
    });
    setBrush(next);
  };
  return html`<${Chart} title="Parallel coordinates" name="parallel" height=${330}
    summary=${`Each line is a candidate, coloured by ${label(metric).toLowerCase()} (${figure(metric, range[0])} to ${figure(metric, range[1])})${drawn.length < rows.length ? `; ${count(drawn.length)} of ${count(rows.length)} are drawn, the best among them` : ''}. Drag along an axis to select.`}
    depends=${[axes, drawn, metric]} shape=${axes.map((axis) => axis.name).join()}
    option=${parallelOption(axes, drawn, { values, range })}
    on=${{ axisareaselected: select, rendered: (_, chart, palette) => tintBrush(chart, palette) }} after=${(chart) => showBrush(chart, axes, brush)} afterDepends=${[brush]}
    table=${{ head: ['candidate', ...axes.map((axis) => axis.name)], rows: () => chosen.map((/** @type {number} */ i) => [columns.candidate[i], ...axes.map((axis) => axis.values[i])]) }} />`;
}

/** @param {any} props */
function Slices({ axes, metric, rows, chosen, brush, setBrush, columns }) {
  const inside = useMemo(() => new Set(chosen), [chosen]);
  const spots = useMemo(() => thinned(rows, SPOTS), [rows]);
  const across = matchMedia('(max-width: 42rem)').matches ? 2 : 3;
  const some = Object.keys(brush).length > 0;
  const near = thinned(chosen, SPOTS);
  const end = (event, chart) => {
    const area = event.areas?.[0];
    if (!area?.coordRanges) return;
    const index = Number(/\d+/.exec(area.panelId ?? '0')?.[0] ?? 0);
    const axis = axes[index];
    const [[low, high], [from, to]] = area.coordRanges[0] ?? area.coordRange;
    chart.dispatchAction({ type: 'brush', areas: [] });
    if (axis) setBrush({ ...brush, [axis.name]: [low, high], [metric.name]: [from, to] });
  };
  return html`<${Chart} title="Slices" name="slices" height=${Math.ceil(axes.length / across) * 190}
    summary=${`${label(metric.name)} against each choice and figure${spots.length < rows.length ? `, ${count(spots.length)} of ${count(rows.length)} candidates` : ''}. Drag over one to select.`}
    depends=${[axes, metric.values, chosen, spots]} shape=${axes.map((axis) => axis.name).join() + across}
    option=${slicesOption(axes, metric, some ? near : spots, some ? spots.filter((/** @type {number} */ i) => !inside.has(i)) : [], across, true, columns.candidate)}
    on=${{ brushend: end }} after=${(chart) => chart.dispatchAction({ type: 'takeGlobalCursor', key: 'brush', brushOption: { brushType: 'rect', brushMode: 'single' } })} afterDepends=${[]}
    table=${{ head: ['candidate', metric.name, ...axes.map((axis) => axis.name)], rows: () => chosen.map((/** @type {number} */ i) => [columns.candidate[i], metric.values[i], ...axes.map((axis) => axis.values[i])]) }} />`;
}

/** @param {{study: import('../core/contract').StudyDetail, metric: string}} props */
function Importances({ study, metric }) {
  const [query] = useQuery();
  const method = query.get('method') ?? 'ped_anova';
  const found = useResource(address(`${studyPath(study.id)}/importances`, { metric, method }));
  const methods = { ped_anova: 'PED-ANOVA', fanova: 'fANOVA' };
  const choose = html`<${Choice} label="Method" value=${method} options=${Object.entries(methods)} set=${(/** @type {string} */ next) => changeQuery({ method: next })} />`;
  if (found.error) return html`<h2>Importances</h2><div class="chart-controls">${choose}</div>
    <${Failure} error=${found.error} />`;
  const bars = Object.entries(found.data?.importances ?? {}).map(([name, value]) => ({ name: label(name.replace(/^(choices|distillation)\./, '')), value: /** @type {number} */ (value), text: percent(/** @type {number} */ (value), 0) })).sort((a, b) => b.value - a.value);
  if (found.data && !bars.length) return html`<h2>Importances</h2><div class="chart-controls">${choose}</div>
    <p class="muted small">${found.data.trials < FEWEST ? `Too few trials to tell: ${count(found.data.trials)} of the ${FEWEST} that it takes.` : 'No choice was ever made differently.'}</p>`;
  return html`<${Loaded} resource=${found}>
    ${() => html`<${Chart} title="Importances" name="importances" height=${Math.max(120, bars.length * 26)} controls=${choose}
    summary=${bars[0].value > 0 ? `${bars[0].name} matters most: ${bars[0].text} of what varies, over ${plural(found.data.trials, 'trial')}.` : `Nothing matters: ${plural(found.data.trials, 'trial')} scored the same.`}
    depends=${[found.data]} shape=${bars.length} option=${barsOption(bars)} stops=${bars.map((bar, i) => ({ series: 0, index: i, text: `${bar.name} ${bar.text}` }))}
    table=${{ head: ['parameter', 'importance'], rows: () => bars.map((bar) => [bar.name, bar.value]) }} />`}<//>`;
}

/** @param {{study: import('../core/contract').StudyDetail, metric: string}} props */
function RankCorrelation({ study, metric }) {
  const found = useResource(address(`${studyPath(study.id)}/rank_correlation`, { metric }));
  const bars = (found.data?.pairs ?? []).filter((pair) => pair.spearman != null)
    .map((pair) => ({ name: `${pair.low} → ${pair.high} epochs`, value: pair.spearman, text: pair.spearman.toFixed(2), pair }));
  if (found.error) return html`<h2>Rank correlation</h2><${Failure} error=${found.error} />`;
  if (found.data && !bars.length) return html`<h2>Rank correlation</h2>
    <p class="muted small">Too few candidates have been scored on two rungs to tell.</p>`;
  const longest = bars.find((bar) => bar.pair.low === found.data?.rungs[0] && bar.pair.high === found.data?.rungs[found.data.rungs.length - 1]) ?? bars[0];
  return html`<${Loaded} resource=${found}>
    ${() => html`<${Chart} title="Rank correlation" name="correlation" height=${Math.max(90, bars.length * 30)}
    summary=${`How far a short training tells the order after a long one: ${longest.text} (Spearman) from ${longest.pair.low} to ${longest.pair.high} epochs, ${plural(longest.pair.n, 'candidate')}.`}
    depends=${[found.data]} option=${barsOption(bars, 1)} stops=${bars.map((bar, /** @type {number} */ i) => ({ series: 0, index: i, text: `${bar.name}: ${bar.text}` }))}
    table=${{ head: ['low', 'high', 'n', 'Spearman', 'Kendall'], rows: () => bars.map(({ pair }) => [pair.low, pair.high, pair.n, pair.spearman, pair.kendall]) }} />`}<//>`;
}

/** The best of what is selected. @param {{study: import('../core/contract').StudyDetail, columns: any, chosen: number[], axes: any[]}} props */
const Selected = ({ study, columns, chosen, axes }) => html`
  <section class="panel flush" data-testid="selected">
    <div class="panel-head"><h2>Selected</h2><span class="muted small">
      ${chosen.length > ROWS ? `the best ${ROWS} of ${count(chosen.length)}` : plural(chosen.length, 'candidate')}</span>
      </div>
    <div class="table-box chart-table" tabindex="0" role="region" aria-label="Selected candidates"><table>
      <thead><tr><th scope="col">Candidate</th>
        ${axes.map((axis) => html`<th scope="col" class="number" key=${axis.name}>${label(axis.name)}</th>`)}</tr>
        </thead>
      <tbody>${chosen.slice(0, ROWS).map((i) => html`<tr key=${i}><th scope="row">
        <a href=${studyHref(study, `/candidates/${columns.candidate[i]}`)}>${columns.candidate[i]}</a></th>
        ${axes.map((axis) => html`<td class="number" key=${axis.name}>
          ${columns.figures[axis.name] ? figure(axis.name, axis.values[i]) : typeof axis.values[i] === 'number' ? number(axis.values[i]) : axis.values[i] ?? '–'}</td>`)}</tr>`)}</tbody>
    </table></div>
  </section>`;
