/** All candidates of a study: a table of any length, filtered and sorted by the service. */
import { html, useEffect, useState } from '../core/html.js';
import { address, studyPath } from '../core/api.js';
import { count, figure, label, number } from '../core/format.js';
import { useResource } from '../core/resource.js';
import { changeQuery, studyHref, useQuery } from '../core/router.js';
import { Badge } from '../components/badge.js';
import { Equivalents, curl } from '../components/equivalents.js';
import { Icon } from '../components/icon.js';
import { Empty, Loaded } from '../components/states.js';
import { StudyHead } from '../components/study_head.js';
import { VirtualTable, usePages } from '../components/virtual_table.js';

const SHOWN = ['accuracy', 'parameters', 'peak_activation_bytes', 'macs', 'epochs'];
const QUICK = [['On the front', 'on_front=true'], ['In budget', 'feasible=true'], ['Failed', 'state=failed'], ['Trained in full', 'state=complete']];
const MOST_COMPARED = 6;

/** @param {{study: string}} props */
export default function CandidatesPage({ study: name }) {
  const study = useResource(address(studyPath(name)), { live: '*', kinds: ['study'] });
  return html`<${Loaded} resource=${study}>${(data) => html`
    <${StudyHead} study=${data} reload=${study.reload} page="/candidates" />
    <${Candidates} study=${data} />`}<//>`;
}

/** @param {{study: import('../core/contract').StudyDetail}} props */
function Candidates({ study }) {
  const [query] = useQuery();
  const filter = query.get('filter') ?? '';
  const order = query.get('order') ?? '-accuracy';
  const [picked, setPicked] = useState(/** @type {number[]} */ ([]));
  const path = `${studyPath(study.id)}/candidates`;
  const pages = usePages((token, size) => address(path, { filter, order_by: order, page_size: size, page_token: token }), `${filter}|${order}`, study.id);
  const sample = pages.rows[0];
  const [known, setKnown] = useState(/** @type {any} */ (null));
  useEffect(() => void (sample && !known && setKnown(sample)), [sample]);
  const columns = useColumns(known, query.get('columns'));
  const toggle = (/** @type {number} */ n) => setPicked((all) => (all.includes(n) ? all.filter((one) => one !== n) : [...all, n].slice(-MOST_COMPARED)));
  const fixed = [
    { name: 'pick', title: html`<span class="visually-hidden">Select</span>`, sort: false, cell: (row) => html`<input type="checkbox" aria-label=${`Select candidate ${row.number}`} checked=${picked.includes(row.number)} onChange=${() => toggle(row.number)} />` },
    { name: 'number', title: 'Candidate', head: true, cell: (row) => html`<a href=${studyHref(study, `/candidates/${row.number}`)}>
      ${row.number}</a>` },
    { name: 'state', title: 'State', sort: false, cell: (row) => html`<${Badge} state=${row.state} />
      ${row.on_front && html` <span class="chip">front</span>`}` },
  ];
  return html`
    <${Filter} filter=${filter} pages=${pages} known=${known} chosen=${columns.map((column) => column.name)} csv=${address(`${path}.csv`, { filter, order_by: order })} />
    ${pages.ready && pages.total === 0 && !pages.error
      ? html`<div class="panel"><${Empty} title=${filter ? 'No candidate fits this filter' : 'No candidate yet'}>
        ${filter && html`<p><button onClick=${() => changeQuery({ filter: null })}>Show all</button></p>`}<//></div>`
      : html`<div class="panel flush">
        <${VirtualTable} label=${`Candidates of ${study.name}`} columns=${[...fixed, ...columns]} pages=${pages} order=${order} keyOf=${(row) => row.number} setOrder=${(/** @type {string} */ next) => changeQuery({ order: next })} />
        </div>`}
    ${picked.length > 0 && html`<div class="bulk" role="region" aria-label="Selected candidates"><span>
      ${picked.length} selected</span>
      ${picked.length > 1 && html`<a class="button primary" href=${`/compare?${picked.map((n) => `candidate=${study.id}/${n}`).join('&')}`}>Compare</a>`}
      <button onClick=${() => setPicked([])}>Clear</button></div>`}
    <${Equivalents} texts=${{ curl: curl(address(`/studies/${study.id}/candidates`, { filter, order_by: order }).replace('/api/v1', '')), CLI: `autokd study show ${study.id} --json` }} />`;
}

/** The columns that were chosen; all that a candidate has can be. @param {any} known a candidate @param {string | null} chosen */
function useColumns(known, chosen) {
  if (!known) return [];
  const names = chosen ? chosen.split(' ') : SHOWN;
  return available(known).filter(({ name }) => names.includes(name));
}

/** Everything that can be a column. @param {any} known a candidate @returns {import('../components/virtual_table.js').Column[]} */
const available = (known) => [
  ...Object.keys(known.figures).map((name) => ({ name, title: label(name), number: true, cell: (row) => figure(name, row.figures[name]) })),
  { name: 'epochs', title: 'Epochs', number: true, cell: (row) => row.epochs || '–' },
  ...['choices', 'distillation'].flatMap((group) => Object.keys(known[group]).map((name) => ({
    name, title: label(name), number: true, cell: (row) => { const value = row[group][name]; return typeof value === 'number' ? number(value) : String(value ?? '–'); },
  }))),
];

/** @param {{filter: string, pages: any, known: any, chosen: string[], csv: string}} props */
function Filter({ filter, pages, known, chosen, csv }) {
  const apply = (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    changeQuery({ filter: String(new FormData(/** @type {HTMLFormElement} */ (event.target)).get('filter')).trim() }, { replace: false });
  };
  const parts = filter ? filter.split(',') : [];
  const quick = (/** @type {string} */ part) => changeQuery({ filter: (parts.includes(part) ? parts.filter((one) => one !== part) : [...parts, part]).join(',') });
  const column = (/** @type {string} */ name) => changeQuery({ columns: (chosen.includes(name) ? chosen.filter((one) => one !== name) : [...chosen, name]).join(' ') });
  return html`
    <form class="toolbar" role="search" onSubmit=${apply}>
      <div class="grow field"><label for="filter">Filter</label>
        <input id="filter" name="filter" type="search" key=${filter} value=${filter} placeholder="parameters<=20k, accuracy>0.95, state=complete|paused" aria-describedby="filter-count" spellcheck="false" />
          </div>
      <button>Apply</button>
      <details class="menu"><summary class="button">Columns</summary><div class="menu-body tall">
        ${known && available(known).map(({ name, title }) => html`<label key=${name}>
          <input type="checkbox" checked=${chosen.includes(name)} onChange=${() => column(name)} />
          ${title}</label>`)}</div></details>
      <a class="button" href=${csv} download="candidates.csv"><${Icon} name="save" />CSV</a>
    </form>
    <div class="toolbar">
      ${QUICK.map(([title, part]) => html`<button type="button" key=${part} class="pill" aria-pressed=${parts.includes(part)} onClick=${() => quick(part)}>
        ${title}</button>`)}
      <span class="push muted small" id="filter-count" role="status">
        ${pages.ready ? `${count(pages.total)} candidates` : 'Loading'}</span>
    </div>`;
}
