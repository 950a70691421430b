/** Two to six studies, or candidates, beside each other. */
import { html, useEffect, useMemo, useState } from '../core/html.js';
import { address, get, studyPath } from '../core/api.js';
import { count, duration, figure, label, lessIsBetter, number } from '../core/format.js';
import { useResource } from '../core/resource.js';
import { changeQuery, studyHref, useQuery } from '../core/router.js';
import { frontsOption } from '../charts/fronts.js';
import { linesOption } from '../charts/lines.js';
import { Badge } from '../components/badge.js';
import { Chart } from '../components/chart.js';
import { Curves } from '../components/curves.js';
import { Icon } from '../components/icon.js';
import { Empty, Failure, Loading } from '../components/states.js';

const MOST = 6;

export default function ComparePage() {
  const [query] = useQuery();
  const studies = query.getAll('study');
  const candidates = query.getAll('candidate');
  useEffect(() => void (document.title = 'Compare · autokd'), []);
  return html`
    <div class="page-head"><h1>Compare</h1><span class="muted">two to six studies, or candidates</span></div>
    <${Picker} studies=${studies} candidates=${candidates} />
    ${candidates.length ? html`<${Candidates} key=${candidates.join()} ids=${candidates.slice(0, MOST)} />`
      : studies.length ? html`<${Studies} key=${studies.join()} ids=${studies.slice(0, MOST)} />`
      : html`<div class="panel"><${Empty} title="Nothing chosen yet">
        <p>Choose studies above, or select candidates in a study's table.</p><//></div>`}`;
}

/** @param {{studies: string[], candidates: string[]}} props */
function Picker({ studies, candidates }) {
  const all = useResource(address('/studies', { page_size: 500 }));
  const items = all.data?.items ?? [];
  const name = (/** @type {string} */ id) => items.find((one) => one.id === id)?.name ?? id;
  const without = (/** @type {string[]} */ list, /** @type {string} */ one) => list.filter((other) => other !== one);
  const add = (event) => { if (event.target.value) changeQuery({ study: [...studies, event.target.value] }); event.target.value = ''; };
  return html`
    <div class="toolbar">
      ${studies.map((id) => html`<button class="pill" aria-pressed="true" key=${id} onClick=${() => changeQuery({ study: without(studies, id) })}>
        <span class="visually-hidden">Remove </span>${name(id)} <${Icon} name="close" size="12" /></button>`)}
      ${candidates.map((id) => html`<button class="pill" aria-pressed="true" key=${id} onClick=${() => changeQuery({ candidate: without(candidates, id) })}>
        <span class="visually-hidden">Remove candidate </span>
        ${name(id.split('/')[0])} / ${id.split('/')[1]} <${Icon} name="close" size="12" /></button>`)}
      ${!candidates.length && studies.length < MOST && html`<select aria-label="Add a study" onChange=${add}>
        <option value="">Add a study</option>
        ${items.filter((one) => !studies.includes(one.id)).map((one) => html`<option key=${one.id} value=${one.id}>
        ${one.name}</option>`)}</select>`}
      ${candidates.length > 0 && candidates.length < MOST && html`<form class="add-candidate" onSubmit=${(event) => { event.preventDefault(); const n = new FormData(event.target).get('number'); changeQuery({ candidate: [...candidates, `${candidates[0].split('/')[0]}/${n}`] }); }}>
        <input name="number" type="number" min="0" required aria-label=${`Candidate of ${name(candidates[0].split('/')[0])} to add`} placeholder="candidate" />
        <button>Add</button></form>`}
    </div>`;
}

/** Several answers at once. @param {(() => Promise<any>)[]} asks */
function useAll(asks) {
  const [state, setState] = useState({ data: /** @type {any[] | null} */ (null), error: /** @type {any} */ (null) });
  useEffect(() => {
    let wanted = true;
    Promise.all(asks.map((ask) => ask())).then((data) => wanted && setState({ data, error: null }), (error) => wanted && setState({ data: null, error }));
    return () => void (wanted = false);
  }, []);
  return state;
}

/** @param {{ids: string[]}} props */
function Studies({ ids }) {
  const [query] = useQuery();
  const { data, error } = useAll(ids.map((id) => async () => ({ ...(await get(studyPath(id))), points: (await get(`${studyPath(id)}/hypervolume`)).points })));
  if (error) return html`<${Failure} error=${error} />`;
  if (!data) return html`<${Loading} lines=${8} />`;
  const seconds = query.get('over') === 'seconds';
  const axis = seconds ? 'Time' : 'Finished trials';
  const at = (point) => (seconds ? point.seconds : point.finished);
  const lines = data.map((study) => ({ name: study.name, values: study.points.map((p) => [at(p), p.hypervolume]) }));
  const { metric } = data[0].objectives[0];
  const best = Math.max(...data.map((study) => study.best?.[metric] ?? 0));
  const leader = data.find((study) => study.best?.[metric] === best);
  const figures = [['State', (s) => html`<${Badge} state=${s.state} />`], [`Best ${label(metric).toLowerCase()}`, (s) => figure(metric, s.best?.[metric])], ['Its parameters', (s) => count(s.best?.parameters)], ['Front', (s) => s.front_size], ['Hypervolume', (s) => number(s.hypervolume[s.hypervolume.length - 1])], ['Trials', (s) => count(s.trials.total)], ['Time', (s) => duration(s.seconds)]];
  const switcher = html`<span class="segmented" role="group" aria-label="Over">
    ${['trials', 'seconds'].map((name) => html`<button key=${name} aria-pressed=${(name === 'seconds') === seconds} onClick=${() => changeQuery({ over: name === 'seconds' ? name : null })}>
    ${name}</button>`)}</span>`;
  return html`
    <div class="grid stretch">
      <section class="panel span-7"><${Chart} title="Fronts" name="fronts" height=${380}
        summary=${leader ? `${leader.name} has the best student in budget: ${figure(metric, best)} with ${count(leader.best.parameters)} parameters.` : 'No study has a student in budget.'}
        depends=${[data]} option=${frontsOption(data.map((study) => ({ name: study.name, rows: study.front, teacher: study.teacher })), 'parameters', metric)}
        table=${{ head: ['study', 'candidate', 'parameters', metric], rows: () => data.flatMap((study) => study.front.map((row) => [study.name, row.candidate, row.parameters, row[metric]])) }} />
          </section>
      <section class="panel span-5"><${Chart} title="Hypervolume" name="hypervolumes" height=${340} controls=${switcher}
        summary=${`Each against its own reference point: ${lines.map((line) => `${line.name} ${number(line.values[line.values.length - 1]?.[1])}`).join(', ')}.`}
        depends=${[data, seconds]} shape=${axis} option=${linesOption(lines, { x: axis, y: '', step: true, seconds })}
        table=${{ head: ['study', 'finished', 'trial', 'seconds', 'hypervolume'], rows: () => data.flatMap((study) => study.points.map((p) => [study.name, p.finished, p.trial, p.seconds, p.hypervolume])) }} />
          </section>
    </div>
    <${Side} title="Results" heads=${data.map((study) => html`<a href=${studyHref(study)}>
      ${study.name}</a>`)} rows=${figures.map(([name, cell]) => ({ name, cells: data.map(/** @type {any} */ (cell)) }))} />
    <${Differences} title="Settings that differ" heads=${data.map((study) => study.name)} all=${data.map(({ spec: { name: _, ...rest } }) => flat(rest))} />`;
}

/** @param {{ids: string[]}} props */
function Candidates({ ids }) {
  const { data, error } = useAll(ids.map((id) => async () => {
    const [study, number_] = id.split('/');
    const [owner, candidate] = await Promise.all([get(studyPath(study)), get(`${studyPath(study)}/candidates/${number_}`)]);
    const { metrics } = await get(`${studyPath(study)}/trials/${candidate.trial}/metrics`, { max_points: 200 });
    return { owner, candidate, metrics };
  }));
  const columns = useMemo(() => data && [...new Set(data.flatMap(({ candidate }) => Object.keys(candidate.figures)))], [data]);
  if (error) return html`<${Failure} error=${error} />`;
  if (!data || !columns) return html`<${Loading} lines=${8} />`;
  const heads = data.map(({ owner, candidate }) => html`<a href=${studyHref(owner, `/candidates/${candidate.number}`)}>
    ${owner.name} / ${candidate.number}</a>`);
  const rows = [
    { name: 'State', cells: data.map(({ candidate }) => html`<${Badge} state=${candidate.state} />`) },
    ...[['test_accuracy', 'Test accuracy'], ['baseline_test_accuracy', 'Without teacher']].map(([name, title]) => ({ name: title, values: data.map(({ candidate }) => candidate.final?.[name]), metric: name })),
    ...columns.map((name) => ({ name: label(name), values: data.map(({ candidate }) => candidate.figures[name]), metric: name })),
  ].map((/** @type {Record<string, any>} */ row) => (row.values ? { name: row.name, cells: marked(row.metric, row.values) } : row));
  const shared = ['accuracy', 'loss'];
  const curves = data.map(({ owner, candidate, metrics }) => ({ name: `${owner.name} ${candidate.number}`, metrics: Object.fromEntries(Object.entries(metrics).filter(([name]) => shared.includes(name))) }));
  return html`
    <${Side} title="Figures" heads=${heads} rows=${rows} />
    <section class="part" aria-label="Learning curves"><${Curves} curves=${curves} teacher=${data[0].owner.teacher} />
      </section>
    <${Differences} title="Choices that differ" heads=${heads} all=${data.map(({ candidate }) => ({ ...candidate.choices, ...candidate.distillation, draw: candidate.draw }))} />`;
}

/** Figures with the best of them marked. @param {string} metric @param {(number | null)[]} values */
function marked(metric, values) {
  const known = /** @type {number[]} */ (values.filter((value) => value != null));
  const best = lessIsBetter(metric) ? Math.min(...known) : Math.max(...known);
  return values.map((value) => (value != null && value === best && known.length > 1 ? html`<strong>
    ${figure(metric, value)}</strong>` : figure(metric, value)));
}

/** @param {{title: string, heads: any[], rows: {name: string, cells: any[]}[]}} props */
const Side = ({ title, heads, rows }) => html`
  <section class="panel flush"><div class="panel-head"><h2>${title}</h2></div>
    <div class="table-box" tabindex="0" role="region" aria-label=${title}><table><thead><tr><td></td>
      ${heads.map((head, i) => html`<th scope="col" class="number" key=${i}>${head}</th>`)}</tr></thead>
      <tbody>${rows.map((row) => html`<tr key=${row.name}><th scope="row" class="muted">${row.name}</th>
        ${row.cells.map((cell, i) => html`<td class="number" key=${i}>${cell}</td>`)}</tr>`)}</tbody></table></div>
  </section>`;

/** A value of a study file in a line. @param {any} value */
const written = (value) => (typeof value === 'string' ? value : value && 'low' in Object(value) ? `${value.low} to ${value.high}${value.log ? ', log' : ''}` : JSON.stringify(value));

/** A nested value as dotted names; what has a name of its own stands under it. @param {any} value @param {string} [prefix] @returns {Record<string, string | null>} */
const flat = (value, prefix = '') => Object.fromEntries(Object.entries(value ?? {}).flatMap(([key, inner]) => {
  const name = prefix + (Array.isArray(value) ? inner.name ?? key : key);
  const deeper = inner && typeof inner === 'object' && !('low' in inner) && (!Array.isArray(inner) || typeof inner[0] === 'object');
  return deeper ? Object.entries(flat(inner, `${name}.`)) : [[name, inner == null ? null : written(inner)]];
}));

/** @param {{title: string, heads: any[], all: Record<string, any>[]}} props */
function Differences({ title, heads, all }) {
  const names = [...new Set(all.flatMap(Object.keys))].filter((name) => new Set(all.map((one) => String(one[name]))).size > 1);
  if (!names.length) return html`<section class="panel"><h2>${title}</h2><p class="muted small">None.</p></section>`;
  return html`<${Side} title=${title} heads=${heads} rows=${names.map((name) => ({ name, cells: all.map((one) => (one[name] == null ? '–' : html`<span class="value">
    ${typeof one[name] === 'number' ? number(one[name]) : String(one[name])}</span>`)) }))} />`;
}
